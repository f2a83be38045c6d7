"""SSML documents in a text that comes in pieces."""

from __future__ import annotations

import pytest

from kani.core.errors import InvalidRequest
from kani.text.ssml import Mark, SsmlDocument, SsmlGate
from kani.text.ssml.gate import MAX_PROLOG


def passed(gate: SsmlGate, *pieces: str) -> list[str | SsmlDocument]:
    return [found for found in [*map(gate.feed, pieces), gate.finish()] if found]


BEFORE = [
    *(
        "",
        " \n\ufeff",
        '<?xml version="1.0"?>\n',
        "<!-- a --> ",
        '<?xml version="1.0"?><!-- <speak> -->\n<!--b-->',
    ),
    '<!DOCTYPE speak PUBLIC "-//W3C//DTD SYNTHESIS 1.0//EN" "synthesis.dtd">',
]


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("before", BEFORE)
def test_document_is_found_however_it_is_cut(before: str, size: int) -> None:
    text = before + '<speak>a <mark name="m"/>b</speak>'
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    found = passed(SsmlGate(), *pieces)
    assert len(found) == 1 and isinstance(found[0], SsmlDocument)
    assert found[0].marks == (Mark("m", text.index("b</")),)


def test_positions_go_on_in_next_document() -> None:
    first, second = "<speak>a</speak> ", '<speak><mark name="m"/>b</speak>'
    found = passed(SsmlGate(), first, second)
    assert isinstance(found[1], SsmlDocument)
    assert found[1].marks == (Mark("m", len(first) + second.index("b</")),)


OTHER = [
    *(
        "Hola",
        " <speaker>a",
        "<b>a</b>",
        "a <speak>b",
        "<spea",
        "<SPEAK>a",
        "<!-- a --> b",
        "<!-- a",
        "<!DOCTYPE html>",
    ),
    f"<!--{'a' * MAX_PROLOG}--><speak>b</speak>",
]


@pytest.mark.parametrize("text", OTHER)
def test_other_text_passes(text: str) -> None:
    assert "".join(str(part) for part in passed(SsmlGate(), *text)) == text


def test_request_decides() -> None:
    document = "<speak>a</speak>"
    assert passed(SsmlGate(False), document) == [document]
    assert isinstance(passed(SsmlGate(True), 'a <break time="1s"/> b')[0], SsmlDocument)
    assert isinstance(passed(SsmlGate(True), document)[0], SsmlDocument)


def test_document_without_end_is_refused_at_the_end_of_the_text() -> None:
    gate = SsmlGate()
    assert gate.feed("<speak>a") == "" and gate.holding and gate.release() == ""
    with pytest.raises(InvalidRequest, match="<speak> is not closed"):
        gate.finish()
    assert not gate.holding


def test_uncertain_beginning_is_released_as_text() -> None:
    gate = SsmlGate()
    assert gate.feed("<sp") == "" and gate.release() == "<sp"
    assert gate.feed("eak>") == "eak>"
