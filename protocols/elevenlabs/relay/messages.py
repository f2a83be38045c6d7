"""The relay's messages: read, checked, and written without a socket.

Its app takes every type but ``error``, ``complete``, ``pong`` and ``stopped`` for a chunk, so there are
no others.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass

from protocols.shared.json_input import TooManyValues, parse_object
from speech.errors import SpeechCancelled, SpeechError

SAMPLE_RATE = 22_050
"""Hertz of the relay's audio, which is 16-bit PCM, mono, little endian."""

MAX_ECHOED = 100
"""How many characters of a client's own words an answer repeats."""


class BadMessage(Exception):
    """A message that cannot be done; ``str()`` is what its client is told."""


@dataclass(frozen=True, slots=True)
class Start:
    """Say ``text``, which is all of it."""

    text: str


@dataclass(frozen=True, slots=True)
class Append:
    """Say ``text`` behind what came before it; more may come."""

    text: str


@dataclass(frozen=True, slots=True)
class Finish:
    """No more will come."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Say nothing more."""


@dataclass(frozen=True, slots=True)
class Ping:
    """Answer."""


Command = Start | Append | Finish | Stop | Ping


def parse_command(raw: str | None) -> Command:
    """What a client sends; None stands for a binary message. Raises BadMessage."""
    if raw is None:
        raise BadMessage("Binary messages are not supported")
    try:
        message = parse_object(raw)
    except TooManyValues as error:
        raise BadMessage(f"Invalid JSON: {error}") from error
    except ValueError as error:
        raise BadMessage("Invalid JSON") from error
    match message.get("action"):
        case "start_tts":
            return Start(_text(message.get("text") or None))
        case "append_tts":
            return Append(_text(message.get("text")))
        case "finish_tts":
            return Finish()
        case "stop":
            return Stop()
        case "ping":
            return Ping()
        case other:
            raise BadMessage(f"Unknown action: {str(other)[:MAX_ECHOED]}")


def _text(text: object) -> str:
    if text is None:
        raise BadMessage("No text provided")
    if not isinstance(text, str):
        raise BadMessage("text: must be a string")
    return text


def chunk(index: int, pcm: bytes, characters: str, starts_ms: list[int], durations_ms: list[int]) -> str:
    """Audio, and the characters that begin in it: milliseconds since the utterance began."""
    return _message(
        "chunk",
        audio=base64.b64encode(pcm).decode(),
        char_times=starts_ms,
        char_durations=durations_ms,
        chars=list(characters),
        chunk_index=index,
    )


def duration_ms(pcm: bytes) -> int:
    """What a chunk adds to ``complete``'s total: the milliseconds begun in it are not counted."""
    return int(len(pcm) / (2 * SAMPLE_RATE) * 1000)


def complete(text: str, total_duration_ms: int) -> str:
    """All of an utterance was sent."""
    return _message("complete", total_chars=len(text), total_duration_ms=total_duration_ms, text=text)


def error_message(error: SpeechError | BadMessage) -> str:
    """Why something is not said."""
    # What a client stops itself is answered by "stopped".
    sentence = "the server is stopping" if isinstance(error, SpeechCancelled) else str(error)
    return _message("error", message=sentence)


def _message(kind: str, **fields: object) -> str:
    # Half a surrogate pair, which JavaScript sends of a text that was cut in an emoji, stays what it is.
    return json.dumps({"type": kind, **fields}, separators=(",", ":"))


STOPPED = _message("stopped")
PONG = _message("pong")
