"""ElevenLabs' ``stream-input`` messages: builds those to send, and parses those received.

Received messages are untrusted: fields that are not as documented are ignored, and the others are used.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from urllib.parse import urlencode

from kani_text import foreign

SAMPLE_RATE = 24_000
OUTPUT_FORMAT = f"pcm_{SAMPLE_RATE}"

INACTIVITY_TIMEOUT_S = 180
"""Longest pause between a client's messages that ElevenLabs allows, in seconds (its default is 20)."""

COMPLETE_TEXT_SCHEDULE = (500,)
"""Characters that ElevenLabs buffers before it speaks, where all of the text is there: one piece."""

INCREMENTAL_TEXT_SCHEDULE = (50, 120, 160, 250)
"""The same for a text that is still being written: the minimum for the first piece, then the defaults."""

_MAX_TIME_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class CharacterAlignment:
    """Times of the characters in a message, in seconds.

    They count from the start of the stream or of the message's own audio; the message does not say which.
    """

    texts: tuple[str, ...]  # as they were sent, mostly one character each
    starts_s: tuple[float, ...]  # never decreasing
    durations_s: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Message:
    audio: bytes = b""  # 16-bit PCM at ``SAMPLE_RATE``; may end in half a sample
    alignment: CharacterAlignment | None = None  # None also where the times received cannot be true
    final: bool = False  # whether it is the last message
    error: tuple[object, object] | None = None  # code and sentence of an error frame


def stream_path(voice: str, **query: str | int | bool) -> str:
    """Return the path and query of the WebSocket of ``voice`` (letters and digits)."""
    written = {
        name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in query.items()
    }
    return f"/v1/text-to-speech/{voice}/stream-input?{urlencode(written)}"


def initialize_connection(schedule: tuple[int, ...], speed: float) -> str:
    """Return the first message; the voice keeps its own settings except for a speed other than 1."""
    message: dict[str, Any] = {"text": " ", "generation_config": {"chunk_length_schedule": list(schedule)}}
    if speed != 1.0:
        message["voice_settings"] = {"speed": round(speed, 4)}
    return json.dumps(message)


def add_text(text: str) -> str:
    return json.dumps({"text": text})


KEEP_ALIVE = add_text(" ")
"""Resets the inactivity timeout, and adds nothing to the text that is spoken."""

END_OF_TEXT = add_text("")
"""Ends the text; ElevenLabs closes the stream after its last audio."""


def parse(raw: str) -> Message:
    """Parse a received message. Raises ValueError where it is no JSON object."""
    # NaN costs a message its times and no audio.
    fields = foreign.parse_json(raw, endless=True)
    if not isinstance(fields, dict):
        raise ValueError("not an object")
    code = fields.get("error")
    return Message(
        audio=_audio(fields.get("audio")),
        alignment=_alignment(fields.get("alignment")) or _alignment(fields.get("normalizedAlignment")),
        final=fields.get("isFinal") is True,
        error=(code, fields.get("message", "")) if code else None,
    )


def _audio(encoded: object) -> bytes:
    if not isinstance(encoded, str):
        return b""
    try:
        # Characters outside base64's alphabet are ignored, and missing padding is added.
        kept = encoded.rstrip("=")
        return base64.b64decode(kept + "=" * (-len(kept) % 4))
    except (binascii.Error, ValueError):
        return b""


def _alignment(fields: object) -> CharacterAlignment | None:
    """Parse an alignment; None where its fields are invalid or cannot be true."""
    if not isinstance(fields, Mapping):
        return None
    texts = fields.get("chars")
    starts = _seconds(_first(fields, "charStartTimesMs", "char_start_times_ms"))
    durations = _seconds(_first(fields, "charDurationsMs", "charsDurationsMs", "char_durations_ms"))
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        return None
    if starts is None or durations is None or not len(texts) == len(starts) == len(durations):
        return None
    if any(later < earlier for earlier, later in pairwise(starts)):
        return None
    return CharacterAlignment(tuple(texts), starts, durations)


def _first(fields: Mapping[str, object], *names: str) -> object:
    return next((fields[name] for name in names if fields.get(name) is not None), None)


def _seconds(times_ms: object) -> tuple[float, ...] | None:
    """Convert a list of milliseconds to seconds; None where one of them is no valid time."""
    if not isinstance(times_ms, list):
        return None
    for time in times_ms:
        if not isinstance(time, int | float) or isinstance(time, bool):
            return None
        # NaN fails every comparison; an integer may be too large to become a float.
        if not 0 <= time <= _MAX_TIME_MS:
            return None
    return tuple(time / 1000 for time in times_ms)
