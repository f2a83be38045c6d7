"""Quotations in another language in the text's own script: those that are told apart, and when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kani_text.foreign_passages import (
    MAX_DETECTION_TEXT,
    LanguageRun,
    LanguageSplitter,
    outside_quotations,
)

SPOKEN = frozenset("ar de en es fr hi it ja pt ru zh".split())


def runs(language: str, *pieces: str) -> list[tuple[str, str | None]]:
    """Runs of a text that comes in pieces, neighbours of one language joined."""
    splitter = LanguageSplitter(language, SPOKEN)
    found: list[LanguageRun] = [run for piece in pieces for run in splitter.feed(piece)]
    joined: list[tuple[str, str | None]] = []
    for run in found + splitter.flush():
        if joined and joined[-1][1] == run.language:
            joined[-1] = (joined[-1][0] + run.text, run.language)
        else:
            joined.append((run.text, run.language))
    return joined


@pytest.mark.parametrize(
    ("own", "language", "text"),
    [
        ("es", "en", 'Me salió [["you have no permission to open this file"]] y cerré el programa.'),
        ("es", "fr", "En la tarjeta ponía [[«merci pour tout et à bientôt»,]] nada más."),
        ("en", "es", "He kept saying [[“no sé qué hacer con mi vida”]] all evening."),
        ("en", "de", 'A sticker said [["hier wird nicht geraucht".]] We left.'),
        ("fr", "en", "L'écran affiche [[« there is not enough space on the disk »]] depuis hier."),
        ("de", "en", "Er rief [[„what are you doing here?“]] und lachte."),
        ("it", "pt", "Mi ha scritto [[(não sei se vou amanhã)]] ieri sera."),
        ("es", "en", "Pone [[‹see you again next year›]] en la puerta."),
        ("de", "en", "Er sagte [[»I do not know why«,]] und ging."),
        ("fr", "en", "Il dit [[「we have no time for that」]] et part."),
        ("pt", "it", 'O garçom disse [["il conto è già stato pagato"]] e saiu.'),
        ("es", "en", 'Y entonces: [["I will never forget what you have done for all of us in these years"]]'),
        ("es", "en", 'Dice [["please wait until the line is free]]\nY nada más.'),
        # No word of it is a common one, but none has a capital either.
        ("es", "en", "Siempre decía [[«patience brings roses»,]] y callaba."),
        ("fr", "es", 'Il rêve de [["rompiendo platos viejos"]] chaque nuit.'),
        ("de", "en", "Auf dem Zettel [[(handle with care, my friend)]] war ein Fleck."),
        # Words that both languages have tell nothing.
        ("fr", "es", "Au menu il y a [[« pulpo a la gallega »]] et des olives."),
        ("fr", "es", "Le roman [[« Cien años de soledad »]] est resté sur la table."),
        ("pt", "it", 'O gondoleiro cantava [["O sole mio"]] sem parar.'),
        # Rare words, the first with a capital.
        ("es", "de", "El letrero [[«Vorsicht frisch gestrichen»]] estaba torcido."),
        ("en", "it", "The sign read [[“Vietato calpestare erba”]] in red."),
        # Two words, where they are clear.
        ("es", "fr", 'En París se dice [["merci beaucoup"]] al salir.'),
        ("en", "de", "She whispered [[“gute Nacht”]] and left."),
    ],
)
def test_quotation_is_in_its_language_with_its_marks(own: str, language: str, text: str) -> None:
    before, _, rest = text.partition("[[")
    inside, _, after = rest.partition("]]")
    expected = [(before, None), (inside, language), *([(after, None)] if after else [])]
    whole = before + inside + after
    assert runs(own, whole) == expected
    assert runs(own, *whole) == expected
    assert runs(own, *(f"{word} " for word in whole.split(" ")[:-1]), whole.split(" ")[-1]) == expected


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("es", 'Dijo "no sé qué decirte ahora mismo" y se fue.'),
        ("es", 'Su libro "Star Wars" me gusta, y "Google Maps" también.'),
        ("es", "La película «Rocky» (con Sylvester Stallone y Talia Shire) es de 1976."),
        ("en", 'The "New York Times" and the "La Scala" are old.'),
        ("en", 'A 5" pipe, a 3" bolt and 12" records of the band.'),
        ("de", "Das „Projekt Open Source Software“ ist (wie immer) fertig."),
        ("fr", "Il dit « je ne sais pas ce que tu veux » et (comme toujours) il part."),
        ("it", 'Ha scritto "tutto bene, ci vediamo dopo" alla squadra.'),
        ("es", "La escritora (Rosa von der Heide) llegó tarde."),
        ("de", "Der Sänger (Marie de la Tour) kam zu spät."),
        ("it", "Ha comprato «Prodotti Agricoli Biologici» in centro."),
        ("es", "Leo «Le Monde», veo «La Strada» y no entiendo nada de «due diligence» ni de “merci”."),
        ("fr", "Le plat « poulet à la crème » et la chanson « La mer » sont (merci beaucoup) à la carte."),
        ("es", 'Un "'),
        ("es", '""'),
    ],
)
def test_own_language_names_and_short_quotations_stay(language: str, text: str) -> None:
    assert runs(language, text) == [(text, None)]
    assert runs(language, *text) == [(text, None)]


def test_text_without_marks_passes_at_once_and_a_quotation_waits_for_its_words() -> None:
    splitter = LanguageSplitter("es", SPOKEN)
    assert splitter.feed("Hola, ¿qu") == [LanguageRun("Hola, ¿qu", None)]
    assert splitter.feed('é tal? "I do not know ') == [LanguageRun("é tal? ", None)]
    assert splitter.feed("what you mean ") == []
    assert splitter.feed("by that ") == [LanguageRun('"I do not know what you mean by that ', "en")]
    assert splitter.feed("at all") == [LanguageRun("at all", "en")]
    assert splitter.feed('"') == []
    assert splitter.feed(" y") == [LanguageRun('"', "en"), LanguageRun(" y", None)]


def test_nothing_is_held_back_for_long() -> None:
    splitter = LanguageSplitter("es", SPOKEN)
    given_out = "".join(run.text for piece in ['"'] + ["123 "] * 300 for run in splitter.feed(piece))
    assert len(given_out) > 1200 - 2 * MAX_DETECTION_TEXT
    splitter = LanguageSplitter("es", SPOKEN)
    given_out = "".join(run.text for piece in ['"a b"'] + ["!"] * 1200 for run in splitter.feed(piece))
    assert len(given_out) > 1200 - 2 * MAX_DETECTION_TEXT


def test_closing_mark_of_a_passage_in_another_script_opens_no_quotation() -> None:
    splitter = LanguageSplitter("es", SPOKEN)
    given = [*splitter.feed('Dijo "добрый день" y '), *splitter.feed("se fue a casa")]
    assert "".join(run.text for run in given).endswith("se fue a casa")


def test_quotations_may_stay_in_the_texts_language() -> None:
    splitter = LanguageSplitter("es", SPOKEN, quotations=False)
    text = 'Dice "could not connect to the server" otra vez.'
    assert splitter.feed(text) + splitter.flush() == [LanguageRun(text, None)]


@given(st.text('ab "«»‹›“”„()[]「」.,\nñ', max_size=120), st.lists(st.integers(1, 7), max_size=40))
def test_pieces_do_not_change_the_runs(text: str, lengths: list[int]) -> None:
    pieces, at = [], 0
    for length in lengths:
        pieces.append(text[at : at + length])
        at += length
    pieces.append(text[at:])
    found = runs("es", *pieces)
    assert "".join(part for part, _ in found) == text
    assert found == runs("es", text)


@pytest.mark.parametrize(
    ("text", "outside"),
    [
        ('El error es "could not connect", dijo.', "El error es , dijo."),
        ('El error es "could not', "El error es "),
        ('Un tubo de 5" y (I think) ya', 'Un tubo de 5" y  ya'),
        ("", ""),
    ],
)
def test_outside_quotations(text: str, outside: str) -> None:
    assert outside_quotations(text) == outside
