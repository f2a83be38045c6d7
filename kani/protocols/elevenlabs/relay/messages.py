"""The relay's messages: parsing and writing, without a socket.

The relay's app treats every type but ``error``, ``complete``, ``pong`` and ``stopped`` as a chunk, so no
other types are sent.
"""

import base64
import json
from typing import NamedTuple

from kani.core.errors import SpeechCancelled, SpeechError
from kani.protocols.shared.calls.bodies import object_of
from kani.protocols.shared.errors import BadMessage

SAMPLE_RATE = 22_050
"""Hertz of the relay's audio, which is 16-bit PCM, mono, little endian."""

MAX_ECHOED = 100
"""Characters of a client's input that an error message repeats."""


class Command(NamedTuple):
    """A client's command. "finish_tts" ends the text that "append_tts" began."""

    action: str  # "start_tts", "append_tts", "finish_tts", "stop" or "ping"
    text: str = ""


def parse_command(raw: str | bytes) -> Command:
    """Parse a client's message. Raises BadMessage."""
    if isinstance(raw, bytes):
        raise BadMessage("Binary messages are not supported")
    message = object_of(raw, "Invalid JSON", BadMessage)
    match message.get("action"):
        case "start_tts":
            return Command("start_tts", _text(message.get("text") or None))
        case "append_tts":
            return Command("append_tts", _text(message.get("text")))
        case "finish_tts" | "stop" | "ping" as action:
            return Command(action)
        case other:
            raise BadMessage(f"Unknown action: {str(other)[:MAX_ECHOED]}")


def _text(text: object) -> str:
    if text is None:
        raise BadMessage("No text provided")
    if not isinstance(text, str):
        raise BadMessage("text: must be a string")
    return text


def chunk(index: int, pcm: bytes, characters: str, starts_ms: list[int], durations_ms: list[int]) -> str:
    """Write audio and the characters that begin in it; times count from the start of the utterance."""
    return _message(
        "chunk",
        audio=base64.b64encode(pcm).decode(),
        char_times=starts_ms,
        char_durations=durations_ms,
        chars=list(characters),
        chunk_index=index,
    )


def duration_ms(pcm: bytes) -> int:
    """Return a chunk's part of ``total_duration_ms``: complete milliseconds only, as the original relay."""
    return int(len(pcm) / (2 * SAMPLE_RATE) * 1000)


def complete(text: str, total_duration_ms: int) -> str:
    return _message("complete", total_chars=len(text), total_duration_ms=total_duration_ms, text=text)


def error_message(error: SpeechError | BadMessage) -> str:
    # Only a stopping server cancels here: an utterance that the client stops is answered by "stopped".
    sentence = "the server is stopping" if isinstance(error, SpeechCancelled) else str(error)
    return _message("error", message=sentence)


def _message(message_type: str, **fields: object) -> str:
    # ASCII: an unpaired surrogate, which JavaScript sends for text cut inside an emoji, is kept.
    return json.dumps({"type": message_type, **fields}, separators=(",", ":"))


STOPPED = _message("stopped")
PONG = _message("pong")
