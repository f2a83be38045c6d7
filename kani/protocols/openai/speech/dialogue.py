"""Kokoro-FastAPI's POST /dev/dialogue: the turns of several voices as one speech."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from kani.core.request import Range
from kani.protocols.openai.errors import ApiError
from kani.protocols.openai.speech.body import SpeechBody, field, parse_body
from kani.protocols.openai.speech.tags import MAX_MARKS, MAX_PAUSE_S, Turn, split_turns

PAUSES = Range(0.0, MAX_PAUSE_S)
"""Seconds that ``pause_between_turns`` takes, besides the pause after a sentence."""

MAX_TURNS = MAX_MARKS

_NAMES = {"turns": ("turns", "inputs"), "voice": ("voice", "voice_id")}
"""Names of fields: Kokoro-FastAPI's own, and ElevenLabs'."""


def parse_dialogue(given: Mapping[str, Any], max_text: int) -> SpeechBody:
    """Parse a body with ``turns`` in the place of ``input`` and ``voice``; marks in a turn's text are read.

    max_text: characters of all turns. Raises as ``parse_body``.
    """
    pause = field(given, "pause_between_turns", (int, float))
    if pause is not None:
        PAUSES.check("pause_between_turns", pause)
    turns = list(_turns(given, float(pause or 0)))
    own = (*_NAMES["turns"], "pause_between_turns")
    rest = {name: value for name, value in given.items() if name not in ("input", "voice")}
    body = parse_body(
        rest | {"input": "".join(turn.text for turn in turns), "ssml": False}, max_text, own_fields=own
    )
    unused = [name for name in ("input", "voice", "ssml") if given.get(name) is not None]
    return replace(body, turns=tuple(turns), unknown_fields=(*unused, *body.unknown_fields))


def _turns(given: Mapping[str, Any], pause: float) -> Iterator[Turn]:
    name, turns = _named(given, "turns")
    if not isinstance(turns, list) or not 1 <= len(turns) <= MAX_TURNS:
        raise _invalid(name, f"must be a list of 1 to {MAX_TURNS} turns")
    for place, turn in enumerate(turns):
        here = f"{name}[{place}]"
        if not isinstance(turn, dict):
            raise _invalid(here, 'must be {"voice": a string, "text": a string}')
        called, voice = _named(turn, "voice")
        for field_name, value in ((called, voice), ("text", turn.get("text"))):
            if not isinstance(value, str) or not value.strip():
                raise _invalid(f"{here}.{field_name}", "must be a string that is not empty")
        before: tuple[str | float, ...] = (pause,) if pause and place else ()
        for part in split_turns(turn["text"], marks=True):
            spoken_by = voice.strip() if part.voice is None else part.voice
            yield replace(part, voice=spoken_by, pieces=(*before, *part.pieces))
            before = ()


def _named(given: Mapping[str, Any], name: str) -> tuple[str, Any]:
    """Return a field's name as it is given, and its value."""
    found = next((each for each in _NAMES[name] if given.get(each) is not None), name)
    return found, given.get(found)


def _invalid(param: str, reason: str) -> ApiError:
    return ApiError(400, f"{param}: {reason}", param, "invalid_value")
