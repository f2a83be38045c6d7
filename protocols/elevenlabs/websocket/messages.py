"""The JSON messages of ElevenLabs' two WebSockets: read and written without a socket.

Names, shapes and the order of keys are those of frames recorded from the service, and of the message types
in its own client library (``elevenlabs`` 2.78).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from protocols.elevenlabs import errors
from protocols.elevenlabs.voice_settings import VoiceSettings, parse_voice_settings
from protocols.elevenlabs.websocket.schedule import ENTRY_RANGE
from protocols.shared.json_input import TooManyValues, parse_object
from speech.errors import InvalidRequest, SpeechCancelled, SpeechError, UnknownVoice

MAX_CONTEXT_ID_LENGTH = 200
"""Characters of a ``context_id``."""

MAX_SCHEDULE_ENTRIES = 100
"""Entries of a ``chunk_length_schedule``."""

POLICY_VIOLATION = 1008
GOING_AWAY = 1001
INTERNAL_ERROR = 1011

_UNREADABLE = (
    "Could not parse input message, make sure it is a json and follows the schema outlined in protocol."
)
_KEYS = ("xi_api_key", "xi-api-key", "authorization")
_CONFIGS = ("generation_config", "generator_config")


@dataclass(frozen=True, slots=True)
class ErrorMessage:
    """Why a connection or a context ends: a close code, the protocol's name for it, and a sentence."""

    code: int
    error: str
    message: str


class ProtocolError(Exception):
    """A message that ends its connection."""

    def __init__(self, failure: ErrorMessage) -> None:
        super().__init__(failure.message)
        self.error_message = failure


class BadMessage(ProtocolError):
    """A message of the wrong shape; reason: the field and what it has to be, where that is known."""

    def __init__(self, reason: str = "") -> None:
        sentence = f"{_UNREADABLE} ({reason})" if reason else _UNREADABLE
        super().__init__(ErrorMessage(POLICY_VIOLATION, "invalid_input_message", sentence))


@dataclass(frozen=True, slots=True)
class ClientMessage:
    """What a client says; both WebSockets' messages in one.

    text: None where there is none; trigger: ``try_trigger_generation``; voice, schedule: None where
    nothing is said of them; key: what opens the server, if the message brings one.
    """

    text: str | None = None
    flush: bool = False
    trigger_generation: bool = False
    context_id: str | None = None
    close_context: bool = False
    close_socket: bool = False
    voice_settings: VoiceSettings | None = None
    chunk_lengths: tuple[float, ...] | None = None
    key: str | None = field(default=None, repr=False)

    @property
    def ends_input(self) -> bool:
        """Whether it is the empty text by which ``stream-input`` ends, and ``multi-stream-input`` waits."""
        return self.text == "" and not self.flush


def parse_message(message: str) -> ClientMessage:
    """A client's message; what nobody knows in it is passed over.

    Raises BadMessage for what has the wrong shape, InvalidRequest for a value beyond its limit.
    """
    try:
        parsed = parse_object(message)
    except TooManyValues as error:
        raise BadMessage(f"{error}") from error
    except ValueError as error:
        raise BadMessage from error
    found = ClientMessage(
        text=_text(parsed, "text"),
        flush=_flag(parsed, "flush"),
        trigger_generation=_flag(parsed, "try_trigger_generation"),
        context_id=_context_id(parsed),
        close_context=_flag(parsed, "close_context"),
        close_socket=_flag(parsed, "close_socket"),
        voice_settings=_voice(parsed),
        chunk_lengths=_schedule(parsed),
        key=_key(parsed),
    )
    if found.text is None and not (found.flush or found.close_context or found.close_socket):
        raise BadMessage("text: is required")
    return found


def _text(parsed: Mapping[str, Any], name: str) -> str | None:
    given = parsed.get(name)
    if given is not None and not isinstance(given, str):
        raise BadMessage(f"{name}: must be a string")
    return given


def _flag(parsed: Mapping[str, Any], name: str) -> bool:
    given = parsed.get(name)
    if given is not None and not isinstance(given, bool):
        raise BadMessage(f"{name}: must be true or false")
    return bool(given)


def _context_id(parsed: Mapping[str, Any]) -> str | None:
    given = _text(parsed, "context_id")
    if given is None:
        given = _text(parsed, "contextId")
    if given is not None and len(given) > MAX_CONTEXT_ID_LENGTH:
        raise BadMessage(f"context_id: too long (at most {MAX_CONTEXT_ID_LENGTH} characters)")
    return given


def _voice(parsed: Mapping[str, Any]) -> VoiceSettings | None:
    given = parsed.get("voice_settings")
    return parse_voice_settings(given) if given is not None else None


def _schedule(parsed: Mapping[str, Any]) -> tuple[float, ...] | None:
    name = next((name for name in _CONFIGS if parsed.get(name) is not None), None)
    if name is None:
        return None
    config = parsed[name]
    if not isinstance(config, dict):
        raise BadMessage(f"{name}: must be an object")
    entries = config.get("chunk_length_schedule")
    if entries is None:
        return None
    where = f"{name}.chunk_length_schedule"
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_SCHEDULE_ENTRIES:
        raise InvalidRequest(where, f"must be a list of 1 to {MAX_SCHEDULE_ENTRIES} numbers")
    for entry in entries:
        if isinstance(entry, bool) or not isinstance(entry, int | float):
            raise InvalidRequest(where, "must be a list of numbers")
        ENTRY_RANGE.check(where, entry)
    return tuple(entries)


def _key(parsed: Mapping[str, Any]) -> str | None:
    given = next((parsed[name] for name in _KEYS if parsed.get(name)), None)
    if given is None:
        return None
    if not isinstance(given, str):
        raise BadMessage("xi_api_key: must be a string")
    return strip_bearer(given)


def strip_bearer(credentials: str) -> str:
    """The key of an ``authorization``, which may stand behind the word Bearer."""
    scheme, _, key = credentials.strip().partition(" ")
    return key.strip() if scheme.lower() == "bearer" else credentials.strip()


@dataclass(frozen=True, slots=True)
class Alignment:
    """Some characters and when each begins and how long it lasts, in whole milliseconds."""

    characters: str
    starts_ms: list[int]
    durations_ms: list[int]

    def as_json(self) -> dict[str, Any]:
        """An ``alignment``. Older clients know the durations by the second name."""
        return {
            "charDurationsMs": self.durations_ms,
            "charStartTimesMs": self.starts_ms,
            "chars": list(self.characters),
            "charsDurationsMs": self.durations_ms,
        }


@dataclass(frozen=True, slots=True)
class Alignments:
    """The two alignments of a message: of what was written, and of what was said for it."""

    written: Alignment | None = None
    normalized: Alignment | None = None


NO_ALIGNMENTS = Alignments()
"""Those of a message that tells no characters."""


@dataclass(frozen=True, slots=True)
class MessageWriter:
    """Writes the messages of one context; those of ``stream-input`` name none.

    Ids and the end are told in both spellings: clients read one or the other.
    """

    context_id: str | None = None
    multi: bool = False

    def audio(self, data: bytes, timings: Alignments) -> str:
        """Audio, if there is any, and the characters that begin in it."""
        return self._message(base64.b64encode(data).decode("ascii") or None, timings, None)

    def final(self) -> str:
        """No more will come."""
        return self._message(None, NO_ALIGNMENTS, True)

    def error(self, failure: ErrorMessage) -> str:
        """Why no more will come."""
        told = {"code": failure.code, "error": failure.error, "message": failure.message}
        return _dumped(told | self._ids)

    def _message(self, audio: str | None, timings: Alignments, final: bool | None) -> str:
        written, said = (timing and timing.as_json() for timing in (timings.written, timings.normalized))
        fields = {"alignment": written, "audio": audio, "isFinal": final, "normalizedAlignment": said}
        if self.multi:
            fields["is_final"] = final
        return _dumped(fields | self._ids)

    @property
    def _ids(self) -> dict[str, str | None]:
        return {"contextId": self.context_id, "context_id": self.context_id} if self.multi else {}


def _dumped(message: Mapping[str, Any]) -> str:
    # ASCII alone: half a surrogate pair, which a client may have sent, comes back as it came. The service
    # sends its keys in this order too.
    return json.dumps(message, separators=(",", ":"), sort_keys=True)


INVALID_KEY = ErrorMessage(POLICY_VIOLATION, "invalid_api_key", "Invalid API key")


def too_many_contexts(limit: int) -> ErrorMessage:
    """A context beyond those that may be open at once."""
    sentence = f"Maximum simultaneous contexts per WebSocket connection exceeded ({limit})."
    cure = "Please close an existing context before opening a new one."
    return ErrorMessage(POLICY_VIOLATION, "max_active_conversations", f"{sentence} {cure}")


def input_timeout(seconds: float) -> ErrorMessage:
    """No text for so long."""
    sentence = (
        f"Have not received a new text input within the timeout of {seconds} seconds. Streaming input "
        "terminated. Please make sure to either feed the input in the timely manner, or to send the end of "
        'input text (empty string "") when done.'
    )
    return ErrorMessage(POLICY_VIOLATION, "input_timeout_exceeded", sentence)


def error_message(error: SpeechError, voice_id: str) -> ErrorMessage:
    """What is told of an error of the core; voice_id: the voice that the client named."""
    if isinstance(error, UnknownVoice):
        sentence = f"A voice with voice_id {voice_id} does not exist."
        return ErrorMessage(POLICY_VIOLATION, "voice_id_does_not_exist", sentence)
    told = errors.error_detail(error)
    if isinstance(error, SpeechCancelled):
        return ErrorMessage(GOING_AWAY, told.code, "the server is stopping")
    return ErrorMessage(INTERNAL_ERROR if told.status >= 500 else POLICY_VIOLATION, told.code, told.message)
