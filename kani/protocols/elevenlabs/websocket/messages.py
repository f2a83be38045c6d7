"""JSON messages of ElevenLabs' two WebSockets: parsing and writing, without a socket.

Names, shapes and the order of keys are those of frames recorded from the service, and of the message types
in its own client library (``elevenlabs`` 2.78).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kani.core.errors import InvalidRequest, SpeechCancelled, SpeechError, UnknownVoice
from kani.protocols.elevenlabs import errors
from kani.protocols.elevenlabs.voice_settings import Settings, VoiceSettings, parse_settings
from kani.protocols.elevenlabs.websocket.schedule import ENTRY_RANGE
from kani.protocols.shared.connection import GOING_AWAY, INTERNAL_ERROR, POLICY_VIOLATION, STOPPING
from kani.protocols.shared.errors import BadMessage
from kani.protocols.shared.json_input import UnwantedJson, parse_object

MAX_CONTEXT_ID_LENGTH = 200
"""Characters of a ``context_id``."""

MAX_SCHEDULE_ENTRIES = 100
"""Entries of a ``chunk_length_schedule``."""

_INVALID_MESSAGE = (
    "Could not parse input message, make sure it is a json and follows the schema outlined in protocol."
)
_KEY_FIELDS = ("xi_api_key", "xi-api-key", "authorization")
_CONFIG_FIELDS = ("generation_config", "generator_config")


@dataclass(frozen=True, slots=True)
class ErrorMessage:
    """The error that ends a connection or a context."""

    code: int  # of the close frame
    error: str  # the protocol's name of the error
    message: str


class ProtocolError(Exception):
    """A valid message that cannot be served, and ends its connection."""

    def __init__(self, error_message: ErrorMessage) -> None:
        super().__init__(error_message.message)
        self.error_message = error_message


@dataclass(frozen=True, slots=True)
class ClientMessage:
    """A client's message, with the fields of both WebSockets."""

    text: str | None = None
    flush: bool = False
    trigger_generation: bool = False  # ``try_trigger_generation``
    context_id: str | None = None
    close_context: bool = False
    close_socket: bool = False
    voice_settings: VoiceSettings | None = None
    chunk_lengths: tuple[float, ...] | None = None  # ``chunk_length_schedule``
    key: str | None = field(default=None, repr=False)  # API key

    @property
    def ends_input(self) -> bool:
        """True if its text is empty: the end of ``stream-input``, a keep-alive of ``multi-stream-input``."""
        return self.text == "" and not self.flush


def parse_message(message: str) -> ClientMessage:
    """Parse a client's message; unknown fields are ignored.

    Raises BadMessage for a wrong shape, InvalidRequest for a value out of its range.
    """
    fields = object_of(message)
    parsed = ClientMessage(
        text=_text(fields, "text"),
        flush=flag(fields, "flush"),
        trigger_generation=flag(fields, "try_trigger_generation"),
        context_id=context_id_of(fields),
        close_context=flag(fields, "close_context"),
        close_socket=flag(fields, "close_socket"),
        voice_settings=parse_settings(fields.get("voice_settings"), Settings),
        chunk_lengths=_chunk_lengths(fields),
        key=key_of(fields),
    )
    if parsed.text is None and not (parsed.flush or parsed.close_context or parsed.close_socket):
        raise BadMessage("text: is required")
    return parsed


def object_of(message: str) -> dict[str, Any]:
    """Parse a message's JSON object. Raises BadMessage."""
    try:
        return parse_object(message)
    except UnwantedJson as error:
        raise BadMessage(f"{error}") from error
    except ValueError as error:
        raise BadMessage from error


def _text(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise BadMessage(f"{name}: must be a string")
    return value


def flag(fields: Mapping[str, Any], name: str) -> bool:
    """Return a flag, false if it is not there. Raises BadMessage."""
    value = fields.get(name)
    if value is not None and not isinstance(value, bool):
        raise BadMessage(f"{name}: must be true or false")
    return bool(value)


def context_id_of(fields: Mapping[str, Any]) -> str | None:
    """Return the id of a message's context. Raises BadMessage."""
    value = _text(fields, "context_id")
    if value is None:
        value = _text(fields, "contextId")
    if value is not None and len(value) > MAX_CONTEXT_ID_LENGTH:
        raise BadMessage(f"context_id: too long (at most {MAX_CONTEXT_ID_LENGTH} characters)")
    return value


def _chunk_lengths(fields: Mapping[str, Any]) -> tuple[float, ...] | None:
    config_field = next((name for name in _CONFIG_FIELDS if fields.get(name) is not None), None)
    if config_field is None:
        return None
    config = fields[config_field]
    if not isinstance(config, dict):
        raise BadMessage(f"{config_field}: must be an object")
    entries = config.get("chunk_length_schedule")
    if entries is None:
        return None
    path = f"{config_field}.chunk_length_schedule"
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_SCHEDULE_ENTRIES:
        raise InvalidRequest(path, f"must be a list of 1 to {MAX_SCHEDULE_ENTRIES} numbers")
    for entry in entries:
        if isinstance(entry, bool) or not isinstance(entry, int | float):
            raise InvalidRequest(path, "must be a list of numbers")
        ENTRY_RANGE.check(path, entry)
    return tuple(entries)


def key_of(fields: Mapping[str, Any]) -> str | None:
    """Return the API key in a message. Raises BadMessage."""
    value = next((fields[name] for name in _KEY_FIELDS if fields.get(name)), None)
    if value is None:
        return None
    if not isinstance(value, str):
        raise BadMessage("xi_api_key: must be a string")
    return strip_bearer(value)


def strip_bearer(credentials: str) -> str:
    """Return the key of an ``authorization`` with or without the scheme Bearer."""
    scheme, _, key = credentials.strip().partition(" ")
    return key.strip() if scheme.lower() == "bearer" else credentials.strip()


@dataclass(frozen=True, slots=True)
class Alignment:
    """Characters, and the start and duration of each in whole milliseconds."""

    characters: str
    starts_ms: list[int]
    durations_ms: list[int]

    def as_json(self) -> dict[str, Any]:
        """Return an ``alignment``; older clients read the durations by their second name."""
        return {
            "charDurationsMs": self.durations_ms,
            "charStartTimesMs": self.starts_ms,
            "chars": list(self.characters),
            "charsDurationsMs": self.durations_ms,
        }


@dataclass(frozen=True, slots=True)
class Alignments:
    written: Alignment | None = None  # of the client's characters
    normalized: Alignment | None = None  # of their spoken form


NO_ALIGNMENTS = Alignments()


@dataclass(frozen=True, slots=True)
class MessageWriter:
    """Writes the messages of one context.

    Ids and the end have both spellings, because clients read one or the other.
    """

    context_id: str | None = None
    multi: bool = False  # whether messages have a context id: ``multi-stream-input``

    def audio(self, data: bytes, alignments: Alignments) -> str:
        """Write audio, if any, and the alignments of the characters that begin in it."""
        return self._message(base64.b64encode(data).decode("ascii") or None, alignments, None)

    def final(self) -> str:
        return self._message(None, NO_ALIGNMENTS, True)

    def error(self, error: ErrorMessage) -> str:
        """Write the error that ends the context or the connection."""
        fields = {"code": error.code, "error": error.error, "message": error.message}
        return dumps(fields | self._ids)

    def _message(self, audio: str | None, alignments: Alignments, final: bool | None) -> str:
        written, normalized = (
            alignment and alignment.as_json() for alignment in (alignments.written, alignments.normalized)
        )
        fields = {"alignment": written, "audio": audio, "isFinal": final, "normalizedAlignment": normalized}
        if self.multi:
            fields["is_final"] = final
        return dumps(fields | self._ids)

    @property
    def _ids(self) -> dict[str, str | None]:
        return {"contextId": self.context_id, "context_id": self.context_id} if self.multi else {}


def dumps(message: Mapping[str, Any]) -> str:
    # ASCII: an unpaired surrogate in a client's text comes back as the same escape. Keys in the order of
    # ElevenLabs' service.
    return json.dumps(message, separators=(",", ":"), sort_keys=True)


INVALID_KEY = ErrorMessage(POLICY_VIOLATION, "invalid_api_key", "Invalid API key")


def invalid_message(reason: str) -> ErrorMessage:
    """Return the error of a malformed message. reason: the field and what it has to be, "" if unknown."""
    sentence = f"{_INVALID_MESSAGE} ({reason})" if reason else _INVALID_MESSAGE
    return ErrorMessage(POLICY_VIOLATION, "invalid_input_message", sentence)


def too_many_contexts(limit: int) -> ErrorMessage:
    sentence = f"Maximum simultaneous contexts per WebSocket connection exceeded ({limit})."
    cure = "Please close an existing context before opening a new one."
    return ErrorMessage(POLICY_VIOLATION, "max_active_conversations", f"{sentence} {cure}")


def input_timeout(seconds: float) -> ErrorMessage:
    sentence = (
        f"Have not received a new text input within the timeout of {seconds} seconds. Streaming input "
        "terminated. Please make sure to either feed the input in the timely manner, or to send the end of "
        'input text (empty string "") when done.'
    )
    return ErrorMessage(POLICY_VIOLATION, "input_timeout_exceeded", sentence)


def error_message(error: SpeechError, voice_id: str) -> ErrorMessage:
    """Map an error of the core to a close code, a name and a sentence.

    voice_id: the id that the client used, "" if the error has it.
    """
    if isinstance(error, UnknownVoice):
        sentence = f"A voice with voice_id {voice_id or error.voice} does not exist."
        return ErrorMessage(POLICY_VIOLATION, "voice_id_does_not_exist", sentence)
    detail = errors.error_detail(error)
    if isinstance(error, SpeechCancelled):
        return ErrorMessage(GOING_AWAY, detail.code, STOPPING)
    code = INTERNAL_ERROR if detail.status >= 500 else POLICY_VIOLATION
    return ErrorMessage(code, detail.code, detail.message)
