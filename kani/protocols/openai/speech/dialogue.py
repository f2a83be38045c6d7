"""Kokoro-FastAPI's POST /dev/dialogue: the turns of several voices as one speech."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any

from msgspec import Meta, Struct

from kani.core.errors import InvalidRequest
from kani.core.request import Range
from kani.protocols.openai.speech.body import SpeechBody, SpeechFields, Spoken, validated
from kani.protocols.openai.speech.tags import MAX_MARKS, MAX_PAUSE_S, Turn, split_turns
from kani.protocols.shared.calls.bodies import FILLED, about, read, unknown, within

PAUSES = Range(0.0, MAX_PAUSE_S)
Filled = Annotated[str, FILLED]


class SpokenTurn(Struct):
    text: Filled
    voice: Filled | None = None
    voice_id: Annotated[Filled | None, about("ElevenLabs' name of voice.")] = None


Turns = Annotated[list[SpokenTurn], Meta(min_length=1, max_length=MAX_MARKS)]


class DialogueFields(Spoken, kw_only=True):
    """A null equals a missing field."""

    turns: Annotated[Turns | None, about("Texts with their voices; needed.")] = None
    inputs: Annotated[Turns | None, about("ElevenLabs' name of turns.")] = None
    pause_between_turns: Annotated[float, within(PAUSES, "Seconds, besides the pause after a sentence.")] = (
        0.0
    )


def parse_dialogue(given: Mapping[str, Any], max_text: int) -> SpeechBody[SpeechFields]:
    """Parse a body with ``turns`` in the place of ``input`` and ``voice``; marks in a turn's text are read.

    max_text: characters of all turns. Raises as ``parse_body``.
    """
    fields = read(given, DialogueFields)
    turns = tuple(_turns(fields))
    common = {name: getattr(fields, name) for name in Spoken.__struct_fields__}
    speech = SpeechFields(input="".join(turn.text for turn in turns), ssml=False, **common)
    return replace(validated(speech, unknown(given, DialogueFields), max_text), turns=turns)


def _turns(fields: DialogueFields) -> Iterator[Turn]:
    name = "inputs" if fields.turns is None and fields.inputs is not None else "turns"
    turns: list[SpokenTurn] | None = getattr(fields, name)
    if turns is None:
        raise InvalidRequest(name, f"must be a list of 1 to {MAX_MARKS}")
    pause = fields.pause_between_turns
    for place, turn in enumerate(turns):
        voice = turn.voice or turn.voice_id
        if voice is None:
            raise InvalidRequest(f"{name}[{place}].voice", "is needed")
        before: tuple[str | float, ...] = (pause,) if pause and place else ()
        for part in split_turns(turn.text, marks=True):
            spoken_by = voice.strip() if part.voice is None else part.voice
            yield replace(part, voice=spoken_by, pieces=(*before, *part.pieces))
            before = ()
