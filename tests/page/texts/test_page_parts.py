"""Long texts with tags are cut where a reader would, and each part of a document is a document."""

import re

import pytest

from kani_text.ssml import SsmlDocument, parse
from tests.page.node import run

PARTS = "return m.speechParts(a[0], a[1], 1, () => true);"
MOST = 5000
SENTENCE = "The quick brown fox jumps over the lazy dog."
PARAGRAPH = (
    '<p><s>{0}</s> <prosody rate="slow">{0} Meet <sub alias="Doctor No, of the third floor">Dr. N.</sub> '
    '<say-as interpret-as="characters">A. B. C.</say-as> now.</prosody><break time="1s"/> {0}</p>'
)
LONG = (
    f'<?xml version="1.0"?>\n<speak xml:lang="en">{"".join(PARAGRAPH.format(SENTENCE) for _ in range(40))}'
    "</speak>"
)
ONE_PARAGRAPH = f"<speak><p>{f'{SENTENCE} ' * 200}</p></speak>"
WITH_A_PAUSE = f"<speak><p>{SENTENCE} [pause:1s] {SENTENCE}</p></speak>"
HELD = '<speak><lang xml:lang="es">[voice:x] Hola. [voice:y] Adiós.</lang> Bye.</speak>'


def text_of(document: SsmlDocument) -> str:
    """Its text, as long as what was parsed."""
    return "".join(part for part in document.parts if isinstance(part, str))


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text)


@pytest.mark.parametrize(
    "text", [LONG, ONE_PARAGRAPH, WITH_A_PAUSE, HELD], ids=["long", "one", "pause", "held"]
)
def test_each_part_of_a_document_is_one(text: str) -> None:
    parts = run("text-parts.js", PARTS, text, MOST)
    said = []
    for part in parts:
        assert len(part["text"]) <= MOST
        shown = text_of(parse(part["text"], 0))
        said += words(shown)
        # Its last word is where it stands in the whole, which is how words are lit.
        last = list(re.finditer(r"\w+", shown))[-1]
        assert text[part["start"] + last.start() : part["start"] + last.end()] == last[0]
    whole = parse(re.sub(r"\[[^\]]*\]", " ", text), 0)
    assert said == words(text_of(whole))
    assert len(parts) > 1


def test_no_tag_is_cut() -> None:
    text = "Look: " + "<span title='of a picture, which is long'>a fox</span> and more. " * 200
    parts = run("text-parts.js", PARTS, text, 200)
    assert "".join(part["text"] for part in parts) == text
    assert all(part["text"].count("<") == part["text"].count(">") for part in parts)
