"""Client events of the Realtime WebSocket, the audio in them, and the error for one that cannot be served."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from kani.core.audio.decoding import run_if_long
from kani.core.audio.encoding import AudioFormat, decode_raw
from kani.core.conversation.input.events import Refused
from kani.core.types import Samples
from kani.protocols.openai.errors import FAULT_CODES
from kani.protocols.shared.calls.bodies import converted, object_of
from kani.protocols.shared.calls.faults import WrongFields

T = TypeVar("T")

MAX_AUDIO_BYTES = 15 * 2**20
"""Decoded bytes of one event."""

MAX_MESSAGE_BYTES = 24 * 2**20
"""Bytes of a message on the WebSocket; audio that is a little beyond its own limit is still answered."""

MAX_ID_LENGTH = 512
"""Characters of an id that a client gives."""


class EventError(Refused):
    """A client event that is answered with an ``error`` event; ``str()`` is the message.

    code: OpenAI's name of the error; param: path of the invalid field, if the error is about one.
    """

    def __init__(
        self, message: str, code: str, param: str | None = None, *, kind: str = "invalid_request_error"
    ) -> None:
        super().__init__(message)
        self.code = code
        self.param = param
        self.kind = kind

    def as_json(self, event_id: str | None = None) -> dict[str, Any]:
        """Return the object under ``error``; event_id: of the client's event."""
        fields = {"type": self.kind, "code": self.code, "message": str(self), "param": self.param}
        return fields | {"event_id": event_id}


def faulty(param: str, reason: str, code: str = "invalid_value") -> EventError:
    """Return the error of a field."""
    return EventError(f"{param}: {reason}", code, param)


def unknown_event(event: ClientEvent, known: Sequence[str], code: str = "invalid_value") -> EventError:
    """Return the error of a type that is none of those ``known``."""
    return faulty("type", f"unknown event {event.type[:100]!r} (known: {', '.join(known)})", code)


def decoded(audio: str, param: str = "audio") -> bytes:
    """Decode the base64 of the field ``param``. Raises EventError."""
    try:
        return base64.b64decode(audio, validate=True)
    except ValueError as error:
        raise faulty(param, "is not base64") from error


async def read_audio(given: str, audio_format: AudioFormat, param: str = "audio") -> Samples:
    """Return the samples of base64, at the format's rate; param: name of the field. Raises EventError."""
    return await run_if_long(given, _decode_audio, given, audio_format, param)


def _decode_audio(given: str, audio_format: AudioFormat, param: str) -> Samples:
    if len(given) * 3 // 4 - given[-2:].count("=") > MAX_AUDIO_BYTES:
        limit = f"{MAX_AUDIO_BYTES >> 20} MiB"
        raise faulty(param, f"too large (at most {limit} in one event)", "audio_too_large")
    data = decoded(given, param)
    try:
        return decode_raw(data, audio_format.codec)
    except ValueError as error:
        raise faulty(param, str(error)) from error


def unsupported(message: str, param: str) -> EventError:
    """Return the error for what would need a language model: it may have one, but not in such a session."""
    reason = f"{message}: no language model answers in this session, it reads given text aloud or transcribes"
    return EventError(reason, "unsupported", param)


@dataclass(frozen=True, slots=True)
class ClientEvent:
    """A client event: its type, the client's id of it if there is one, and all its fields."""

    type: str
    event_id: str | None
    fields: dict[str, Any]

    def text(self, name: str, max_length: int = MAX_ID_LENGTH) -> str | None:
        """Return a string field; None if it is absent or null. Raises EventError."""
        given = self.fields.get(name)
        if given is None:
            return None
        if not isinstance(given, str):
            raise faulty(name, "must be a string", "invalid_type")
        if len(given) > max_length:
            raise faulty(name, f"too long (at most {max_length} characters)")
        return given

    def required_text(self, name: str) -> str:
        """Return a string field. Raises EventError if it is missing."""
        if (given := self.text(name)) is None:
            raise faulty(name, "is required", "missing_required_parameter")
        return given

    def audio(self) -> str:
        """Return the base64 of an append event. Raises EventError."""
        given = self.fields.get("audio")
        if not isinstance(given, str):
            raise faulty("audio", "must be a string of base64", "invalid_type")
        return given

    def object(self, name: str) -> dict[str, Any]:
        """Return an object field; empty if it is absent or null. Raises EventError."""
        given = self.fields.get(name)
        if given is not None and not isinstance(given, dict):
            raise faulty(name, "must be an object", "invalid_type")
        return given or {}


async def parse_event(text: str) -> ClientEvent:
    """Parse one message, a long one in a thread. Raises EventError."""
    return await run_if_long(text, read_event, text)


def read_event(text: str) -> ClientEvent:
    """Parse one message. Raises EventError."""
    fields = object_of(text, "is not JSON", lambda reason: EventError(f"the event: {reason}", "invalid_json"))
    event_id, kind = fields.get("event_id"), fields.get("type")
    if not isinstance(event_id, str) or len(event_id) > MAX_ID_LENGTH:
        event_id = None
    return ClientEvent(kind if isinstance(kind, str) else "", event_id, fields)


def convert(value: Any, kind: type[T], root: str) -> T:
    """Convert parsed JSON to a struct; errors name the field under ``root``. Raises EventError."""
    try:
        return converted(value, kind, root)
    except WrongFields as error:
        raise EventError(str(error), FAULT_CODES[error.faults[0].kind], error.field) from error
