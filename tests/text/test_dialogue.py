"""The speech in a story, by the marks of each language."""

import pytest

from kani_text.dialogue import dialogue
from tests.text.linear_time import is_linear


@pytest.mark.parametrize(
    ("language", "marked"),
    [
        ("en", "{“Come,”} said Tom, {“and sit.”} The “best” of “The Times” came. {“Why?”}"),
        ("en", '{"No!"} he said. He had a "reason", or two. {"I don\'t."}'),
        ("en", "{‘I don’t know,’} said Ann. The dogs’ bowl, the ‘new’ one. {‘That’s it.’}"),
        ("en", "{“It was long.}\n\n{“It was cold,”} she ended. He read “so it goes.”"),
        ("en", "{“He said ‘no’ to me.”}\n\nAnd “nothing\n\nelse."),
        ("de", "{„Ja“}, sagte er. {»Gut.«} Das „gute“ Buch. Er rief: {„komm her!“}"),
        ("fr", "{« Oui », }dit-il. Le « grand » jour. {« Viens ! »}\n\n{— Non, dit-elle. Reste.}"),
        ("es", "{—Hola }—dijo Juan{—. ¿Qué tal? }—preguntó.\n\nEra —creo— tarde. {«Ven.»}"),
        ("ru", "{— Да, }— сказал он. {— Иду.}\n\nОн — врач. {«Стой!»} — крикнул он."),
        ("pl", "{— Tak }— powiedział Jan. {— Idziemy.}"),
        ("ja", "{「行こう」}と言った。{「はい」}。『雪国』を読む。"),
        ("zh", "他说：{“走吧。”}这本“好”书。{「好。」}"),
        ("en", "Nothing is said."),
    ],
)
def test_dialogue_is_found(language: str, marked: str) -> None:
    text, expected = "", list[int]()
    for each in marked:
        if each in "{}":
            expected.append(len(text))
        else:
            text += each
    # Spaces at the ends count for nothing.
    trimmed = [text[begin:end].strip() for begin, end in dialogue(text, language)]
    wanted = [text[begin:end].strip() for begin, end in zip(expected[::2], expected[1::2], strict=True)]
    assert trimmed == [
        each.rstrip(", ") if each.startswith("«") and language == "fr" else each for each in wanted
    ]


@pytest.mark.parametrize("text", ["“", "“a\n\n", "‘a ", "— a —", '"', "«", "\n"])
def test_it_takes_linear_time(text: str) -> None:
    assert is_linear(dialogue, text)
