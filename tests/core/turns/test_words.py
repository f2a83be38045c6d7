"""Words that a sentence does not end with."""

from __future__ import annotations

import pytest

from kani.core.turns.words import ends_sentence, goes_on, is_reply, plain


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "I would like to book a table for."),
        ("en", "My brother and"),
        ("en", "Where are the?"),
        ("en", "It costs three..."),
        ("en", "First of all,"),
        ("en", "My number is 555 0123"),
        ("en", "My number is 415."),
        ("en", "602. 835"),
        ("en", "The code is 4, 8. 2-1"),
        ("en", "My name is S. I."),
        ("es", "Mi apellido es LOP."),
        ("es", "Mi correo es ana.ruiz."),
        ("es", "Mi correo es ana.ruiz @gmail."),
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
        ("en", "My email is ana@acme.org."),
        ("en", "My name is Tom."),
        ("en", "My number is 555-012-3456."),
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


@pytest.mark.parametrize(
    ("language", "replies", "others"),
    [
        (
            "en",
            "Yes|No, thanks.|Yes, of course!|Stop|Not now.|Tomorrow",
            "Well.|So|I want.|Turn it|415|B|um|the|no and",
        ),
        (
            "es",
            "Sí|Para.|Vale|No, gracias.|El martes.",
            "Bueno|A ver|Eh|Quiero|Necesito.|dos 1|Sí, pero|Para…",
        ),
        ("zz", "", "bla"),
        ("ja", "", "はい。"),
    ],
)
def test_reply_is_a_word_or_two_that_nothing_follows(language: str, replies: str, others: str) -> None:
    texts = [text for text in (replies + "|" + others).split("|") if text]
    assert [text for text in texts if is_reply(text.split(), language)] == [*filter(None, replies.split("|"))]


def test_marks_of_ends() -> None:
    assert ends_sentence("Sí.") and ends_sentence("“What?”") and ends_sentence("好。")
    assert not ends_sentence("well...") and not ends_sentence("well…") and not ends_sentence("well,")


def test_words_are_compared_without_marks() -> None:
    assert [plain(text) for text in ("¿Sí?", "Mm-hmm,", "don’t.", "…")] == ["sí", "mm-hmm", "don't", ""]
