"""ElevenLabs' ``stream-input`` messages: those that are sent, and what can be read of those that come.

What comes is somebody else's: whatever of a message is not as documented is left out, and the rest is used.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from urllib.parse import urlencode

SAMPLE_RATE = 24_000
OUTPUT_FORMAT = f"pcm_{SAMPLE_RATE}"

INACTIVITY_TIMEOUT_S = 180
"""The longest that ElevenLabs lets a client be silent (its own default is 20)."""

COMPLETE_TEXT_SCHEDULE = (500,)
"""Characters that are waited for before speech is made, where all of the text is there: one piece."""

INCREMENTAL_TEXT_SCHEDULE = (50, 120, 160, 250)
"""The same where it is still being written: the least for the first piece, then ElevenLabs' defaults."""

_LONGEST_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class CharacterAlignment:
    """``texts`` as they were sent, mostly a character each; said from ``starts_s`` for ``durations_s``.

    Seconds; starts never fall. What they count from is not said in the message.
    """

    texts: tuple[str, ...]
    starts_s: tuple[float, ...]
    durations_s: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    audio: PCM, perhaps ending in half a sample; timed: which characters are said when, where that is told
    and can be true; final: nothing comes behind it; error: the code and the sentence, where it tells one.
    """

    audio: bytes = b""
    alignment: CharacterAlignment | None = None
    final: bool = False
    error: tuple[object, object] | None = None


def stream_path(voice: str, **query: str | int | bool) -> str:
    """The path of the WebSocket of ``voice`` (letters and digits), with what is asked of it."""
    written = {
        name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in query.items()
    }
    return f"/v1/text-to-speech/{voice}/stream-input?{urlencode(written)}"


def initialize_connection(schedule: tuple[int, ...], speed: float) -> str:
    """The first message; the voice's own settings hold but for a speed that is not 1."""
    message: dict[str, Any] = {"text": " ", "generation_config": {"chunk_length_schedule": list(schedule)}}
    if speed != 1.0:
        message["voice_settings"] = {"speed": round(speed, 4)}
    return json.dumps(message)


def add_text(text: str) -> str:
    """A message with more text."""
    return json.dumps({"text": text})


KEEP_ALIVE = add_text(" ")
"""Adds nothing to the text that is spoken."""

END_OF_TEXT = add_text("")
"""No more text will come."""


def parse(raw: str) -> Message:
    """What ``raw`` says. Raises ValueError where it is no JSON object."""
    try:
        fields = json.loads(raw)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(fields, dict):
        raise ValueError("not an object")
    code = fields.get("error")
    return Message(
        audio=_audio(fields.get("audio")),
        alignment=_timed(fields.get("alignment")) or _timed(fields.get("normalizedAlignment")),
        final=fields.get("isFinal") is True,
        error=(code, fields.get("message", "")) if code else None,
    )


def _audio(written: object) -> bytes:
    if not isinstance(written, str):
        return b""
    try:
        # Signs that are not base64's are left out, and what is missing behind the last group is made up for.
        kept = written.rstrip("=")
        return base64.b64decode(kept + "=" * (-len(kept) % 4))
    except (binascii.Error, ValueError):
        return b""


def _timed(alignment: object) -> CharacterAlignment | None:
    """An alignment, or None where it is not one, or cannot be true."""
    if not isinstance(alignment, Mapping):
        return None
    texts = alignment.get("chars")
    starts = _seconds(_first(alignment, "charStartTimesMs", "char_start_times_ms"))
    durations = _seconds(_first(alignment, "charDurationsMs", "charsDurationsMs", "char_durations_ms"))
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        return None
    if starts is None or durations is None or not len(texts) == len(starts) == len(durations):
        return None
    if any(later < earlier for earlier, later in pairwise(starts)):
        return None
    return CharacterAlignment(tuple(texts), starts, durations)


def _first(alignment: Mapping[str, object], *names: str) -> object:
    return next((alignment[name] for name in names if alignment.get(name) is not None), None)


def _seconds(written: object) -> tuple[float, ...] | None:
    """A list of milliseconds in seconds, or None where one of them is no time."""
    if not isinstance(written, list):
        return None
    for time in written:
        if not isinstance(time, int | float) or isinstance(time, bool):
            return None
        # What is not a number compares as false; an integer may be too large for a float.
        if not 0 <= time <= _LONGEST_MS:
            return None
    return tuple(time / 1000 for time in written)
