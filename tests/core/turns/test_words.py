"""Words that a sentence does not end with."""

from __future__ import annotations

import pytest

from kani.core.turns.words import ends_sentence, goes_on, plain


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "I would like to book a table for."),
        ("en", "My brother and"),
        ("en", "Where are the?"),
        ("en", "It costs three..."),
        ("en", "First of all,"),
        ("en", "My number is 555 0123"),
        ("en", "It is 3 point"),
        ("es", "Quiero reservar una mesa para."),
        ("es", "Creo que el."),
        ("es", "Son 3 coma"),
        ("fr", "Je voudrais du"),
        ("it", "Vorrei prenotare un tavolo per."),
        ("pt", "Eu moro na"),
        ("de", "Ich hätte gerne einen"),
        ("hi", "मुझे यह किताब और"),
        ("zh", "我想要一个"),
        ("ja", "明日は"),
        ("xx", "bla bla…"),
    ],
)
def test_sentence_goes_on(language: str, text: str) -> None:
    assert goes_on(text.split(), language)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Where are you from?"),
        ("en", "Turn it on."),
        ("en", "It is 25."),
        ("en", "My number is 555 012 3456."),
        ("es", "Creo que sí."),
        ("es", "Es para mí."),
        ("es", "¿Dónde está?"),
        ("fr", "Il est là."),
        ("de", "Schalte das Licht ein."),
        ("ja", "明日ですか？"),
        ("xx", "The and of"),
    ],
)
def test_sentence_may_end(language: str, text: str) -> None:
    assert not goes_on(text.split(), language)


def test_marks_of_ends() -> None:
    assert ends_sentence("Sí.") and ends_sentence("“What?”") and ends_sentence("好。")
    assert not ends_sentence("well...") and not ends_sentence("well…") and not ends_sentence("well,")


def test_words_are_compared_without_marks() -> None:
    assert [plain(text) for text in ("¿Sí?", "Mm-hmm,", "don’t.", "…")] == ["sí", "mm-hmm", "don't", ""]
