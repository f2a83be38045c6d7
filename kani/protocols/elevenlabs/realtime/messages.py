"""JSON messages of realtime speech to text, parsed and written, and how each error is told.

Names and shapes are those of ElevenLabs' client libraries (``elevenlabs`` 2.78 of PyPI, 2.73 of npm).
"""

import base64
import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from msgspec import Struct

from kani.core import errors
from kani.core.audio.encoding import AudioFormat, decode_raw
from kani.core.expected_words import MAX_TEXT
from kani.core.recognizer import RecognizedWord
from kani.core.types import Samples
from kani.protocols.elevenlabs.realtime.config import SessionConfig
from kani.protocols.shared.calls.bodies import converted, json_text, object_of
from kani.protocols.shared.calls.faults import WrongFields
from kani.protocols.shared.connection import GOING_AWAY, INTERNAL_ERROR, POLICY_VIOLATION, TRY_LATER
from kani.protocols.shared.errors import BadMessage
from kani_text.writing import space_between

MAX_CHUNK_BYTES = 8 * 2**20
"""Decoded bytes of one message's audio."""


class Fault(NamedTuple):
    """An error as a client learns of it: a message, and the close of the connection."""

    message_type: str
    reason: str
    code: int  # of the close

    def as_json(self) -> str:
        return json_text({"message_type": self.message_type, "error": self.reason})


class Refused(BadMessage):
    """Input with an error of its own; message_type: its name, code: of the close."""

    def __init__(self, message_type: str, reason: str, code: int = POLICY_VIOLATION) -> None:
        super().__init__(reason)
        self.message_type, self.code = message_type, code


class AudioChunk(Struct):
    """``input_audio_chunk``, the one message of clients."""

    message_type: Literal["input_audio_chunk"]
    audio_base_64: str = ""
    commit: bool | None = None
    sample_rate: int | None = None
    previous_text: str | None = None


class Input(NamedTuple):
    samples: Samples
    commit: bool
    previous_text: str  # what was said before the session


def parse_message(text: str, audio_format: AudioFormat) -> Input:
    """Parse a client's message; the samples are at the format's rate. Raises BadMessage."""
    fields = object_of(text, "is not JSON", lambda reason: BadMessage(f"the message: {reason}"))
    try:
        chunk = converted(fields, AudioChunk)
    except WrongFields as error:
        raise BadMessage(str(error)) from error
    if chunk.sample_rate not in (None, audio_format.sample_rate):
        raise BadMessage(f"sample_rate: must be that of audio_format, {audio_format.sample_rate}")
    if len(chunk.previous_text or "") > MAX_TEXT:
        raise BadMessage(f"previous_text: too long (at most {MAX_TEXT} characters)")
    return Input(samples_of(chunk.audio_base_64, audio_format), bool(chunk.commit), chunk.previous_text or "")


def samples_of(given: str, audio_format: AudioFormat, field: str = "audio_base_64") -> Samples:
    """Decode base64, at the format's rate; field: its name. Raises BadMessage."""
    if len(given) * 3 // 4 > MAX_CHUNK_BYTES + 2:
        reason = f"{field}: too large (at most {MAX_CHUNK_BYTES >> 20} MiB in one message)"
        raise Refused("chunk_size_exceeded", reason)
    try:
        data = base64.b64decode(given, validate=True)
    except ValueError as error:
        raise BadMessage(f"{field}: is not base64") from error
    try:
        return decode_raw(data, audio_format.codec)
    except ValueError as error:
        raise BadMessage(f"{field}: {error}") from error


def session_started(session_id: str, config: SessionConfig) -> str:
    message = {"message_type": "session_started", "session_id": session_id}
    return json_text({**message, "config": config.as_json()})


def partial(text: str) -> str:
    """Write the words of a segment so far."""
    return json_text({"message_type": "partial_transcript", "text": text})


def committed(text: str) -> str:
    return json_text({"message_type": "committed_transcript", "text": text})


def committed_with_timestamps(
    text: str, language: str, words: Sequence[RecognizedWord] | None, offset_s: float
) -> str:
    """Write a transcript with its language; words: None without times, offset_s: what their times lack."""
    message = {"message_type": "committed_transcript_with_timestamps", "text": text}
    return json_text(
        message
        | {"language_code": language or None, "words": None if words is None else _items(words, offset_s)}
    )


def _items(words: Sequence[RecognizedWord], offset_s: float) -> list[dict[str, Any]]:
    """Return words and the spaces between them, in seconds of the connection's audio."""
    items = []
    for before, word in zip((None, *words), words, strict=False):
        if before is not None and (gap := space_between(before.text, word.text)):
            items.append(_item(gap, "spacing", before.end_s + offset_s, word.start_s + offset_s))
        items.append(_item(word.text, "word", word.start_s + offset_s, word.end_s + offset_s))
    return items


def _item(text: str, kind: str, start_s: float, end_s: float) -> dict[str, Any]:
    # Rounded down, so that no time is later than the next.
    start, end = (math.floor(at_s * 1000) / 1000 for at_s in (start_s, end_s))
    return {"text": text, "start": start, "end": end, "type": kind, "speaker_id": None}


def fault_of(error: BadMessage | errors.SpeechError) -> Fault:
    match error:
        case Refused():
            return Fault(error.message_type, str(error), error.code)
        case BadMessage():
            return Fault("input_error", str(error), POLICY_VIOLATION)
        case errors.ServerStopping() | errors.SpeechCancelled():
            return Fault("error", str(errors.ServerStopping()), GOING_AWAY)
        case errors.RateLimited():
            return Fault("rate_limited", str(error), TRY_LATER)
        case errors.Busy():
            return Fault("resource_exhausted", str(error), TRY_LATER)
        case errors.EngineFailed() | errors.EngineUnavailable():
            return Fault("transcriber_error", str(error), INTERNAL_ERROR)
        case errors.InvalidRequest():
            name = "language_code" if error.field == "language" else error.field
            return Fault("invalid_request", f"{name}: {error.reason}", POLICY_VIOLATION)
    return Fault("error", str(error), INTERNAL_ERROR)
