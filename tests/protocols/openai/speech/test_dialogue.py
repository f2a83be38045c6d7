"""POST /dev/dialogue: turns in order, each in its voice, with the pauses that are asked for."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from kani.protocols.openai.speech.dialogue import parse_dialogue
from kani.protocols.openai.speech.tags import Turn

PATH = "/dev/dialogue"
RATE = 24_000
FIRST = {"voice": "espeak:en", "text": "Who left the gate open?"}
SECOND = {"voice_id": "espeak:es", "text": "Yo no, estaba durmiendo."}


def said(client: httpx.Client, turns: list[dict[str, str]], **fields: Any) -> bytes:
    answer = client.post(PATH, json={"model": "kokoro", "turns": turns, "response_format": "pcm"} | fields)
    assert answer.status_code == 200, answer.text
    return answer.content


def test_turns_are_the_marks_of_a_text() -> None:
    """As in Kokoro-FastAPI, which writes them so."""
    turns = [FIRST | {"text": "Who? [pause:2s] You?"}, SECOND, FIRST]
    body = parse_dialogue({"inputs": turns, "pause_between_turns": 0.5, "speed": 1.2}, 1000)
    assert body.turns == (
        Turn("espeak:en", ("Who? ", 2.0, " You?")),
        Turn("espeak:es", (0.5, SECOND["text"])),
        Turn("espeak:en", (0.5, FIRST["text"])),
    )
    assert body.speed == 1.2 and not body.unknown_fields


def test_turns_are_spoken_in_order_and_streamed_alike(client: httpx.Client) -> None:
    marked = f"[voice:espeak:en]{FIRST['text']}[voice:espeak:es]{SECOND['text']}"
    asked = {"input": marked, "voice": "alloy", "response_format": "pcm", "allow_voice_tags": True}
    expected = client.post("/v1/audio/speech", json=asked).content
    for stream in (True, False):
        assert said(client, [FIRST, SECOND], stream=stream) == expected
    assert len(said(client, [FIRST])) < len(expected) - RATE


def test_pause_between_turns_is_added(client: httpx.Client) -> None:
    turns = [FIRST, SECOND, FIRST]
    tight, spaced = (said(client, turns, pause_between_turns=pause) for pause in (0, 1.5))
    assert (len(spaced) - len(tight)) / 2 / RATE == pytest.approx(3, abs=0.05)


def test_fields_of_a_text_are_named_as_unused(client: httpx.Client) -> None:
    answer = client.post(
        PATH, json={"turns": [FIRST], "input": "no", "voice": "alloy", "download_format": "wav"}
    )
    assert answer.status_code == 200 and answer.headers["content-type"] == "audio/mpeg"
    assert answer.headers["x-unused"] == "input, voice, download_format"


@pytest.mark.parametrize(
    ("fields", "param", "told"),
    [
        ({}, "turns", "must be a list of 1 to 1000 turns"),
        ({"turns": []}, "turns", "must be a list of 1 to 1000 turns"),
        ({"turns": [FIRST] * 1001}, "turns", "must be a list of 1 to 1000 turns"),
        ({"inputs": "Hello."}, "inputs", "must be a list"),
        ({"turns": [FIRST, "Hello."]}, "turns[1]", "must be {"),
        ({"turns": [{"text": "Hello."}]}, "turns[0].voice", "must be a string that is not empty"),
        ({"turns": [FIRST, FIRST | {"text": " "}]}, "turns[1].text", "must be a string that is not empty"),
        ({"turns": [FIRST | {"text": "[pause:1h]"}]}, "input", "has no length"),
        ({"turns": [FIRST, FIRST | {"voice": "nobody"}]}, "voice", "nobody"),
        ({"turns": [FIRST], "pause_between_turns": 11}, "pause_between_turns", "between 0 and 10"),
        ({"turns": [FIRST], "pause_between_turns": "1"}, "pause_between_turns", "must be a number"),
        ({"turns": [FIRST | {"text": "a" * 100_001}]}, "input", "100000"),
    ],
)
def test_wrong_turns_are_named_before_anything_is_spoken(
    client: httpx.Client, fields: dict[str, Any], param: str, told: str
) -> None:
    answer = client.post(PATH, json=fields)
    error = answer.json()["error"]
    assert answer.status_code == 400 and error["param"] == param and told in error["message"], error
