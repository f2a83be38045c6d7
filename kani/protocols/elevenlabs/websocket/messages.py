"""JSON messages of ElevenLabs' two WebSockets: parsing and writing, without a socket.

Names, shapes and the order of keys are those of frames recorded from the service, and of the message types
in its own client library (``elevenlabs`` 2.78).
"""

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from kani.core.errors import SpeechCancelled, SpeechError, UnknownVoice
from kani.core.request import Range
from kani.protocols.elevenlabs import errors
from kani.protocols.elevenlabs.http.body import MAX_INPUTS, MAX_VOICES
from kani.protocols.elevenlabs.voice_settings import DialogueSettings, Settings, parse_settings
from kani.protocols.shared.calls.bodies import json_text, object_of, read, within
from kani.protocols.shared.calls.faults import WrongFields
from kani.protocols.shared.connection import GOING_AWAY, INTERNAL_ERROR, POLICY_VIOLATION, STOPPING
from kani.protocols.shared.errors import BadMessage

MAX_CONTEXT_ID_LENGTH = 200
"""Characters of a ``context_id``."""

ENTRY_RANGE = Range(50, 500)
"""Characters of an entry of a ``chunk_length_schedule``."""

ChunkLength = Annotated[float, within(ENTRY_RANGE)]
ChunkLengths = Annotated[tuple[ChunkLength, ...], Meta(min_length=1, max_length=100)]
ContextId = Annotated[str, Meta(max_length=MAX_CONTEXT_ID_LENGTH)]

_INVALID_MESSAGE = (
    "Could not parse input message, make sure it is a json and follows the schema outlined in protocol."
)


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


class GenerationConfig(Struct):
    chunk_length_schedule: ChunkLengths | None = None


class TurnText(Struct, frozen=True):
    text: str
    voice_id: str
    new_turn: bool = False


class ClientMessage(Struct, kw_only=True):
    """A client's message, with the fields of all these WebSockets; its repr shows no key."""

    flush: bool = False
    close_context: bool = False
    close_socket: bool = False
    context_id: ContextId | None = None
    contextId: ContextId | None = None
    xi_api_key: str | None = None
    key_of_header: str | None = msgspec.field(default=None, name="xi-api-key")
    authorization: str | None = None
    voice_settings: Any = None  # VoiceSettings or None, once it is read
    text: str | None = None
    try_trigger_generation: bool = False
    generation_config: GenerationConfig | None = None
    generator_config: GenerationConfig | None = None
    inputs: Annotated[tuple[TurnText, ...], Meta(max_length=MAX_INPUTS)] = ()
    voices: Annotated[tuple[str, ...], Meta(max_length=MAX_VOICES)] = ()

    def __repr__(self) -> str:
        return f"ClientMessage(text={self.text!r}, inputs={self.inputs!r}, context={self.context!r})"

    @property
    def key(self) -> str | None:
        given = self.xi_api_key or self.key_of_header or self.authorization
        return strip_bearer(given) if given else None

    @property
    def context(self) -> str | None:
        return self.contextId if self.context_id is None else self.context_id

    @property
    def ends_input(self) -> bool:
        """True if its text is empty: the end of ``stream-input``, a keep-alive of ``multi-stream-input``."""
        return self.text == "" and not self.flush

    @property
    def chunk_lengths(self) -> tuple[float, ...] | None:
        config = self.generation_config or self.generator_config
        return None if config is None else config.chunk_length_schedule


def parse_message(message: str) -> ClientMessage:
    """Parse a client's message; unknown fields are ignored.

    Raises BadMessage for a wrong shape, InvalidRequest for a value out of its range.
    """
    given = read_message(message, Settings)
    if given.text is None and not (given.flush or given.close_context or given.close_socket):
        raise BadMessage("text: is required")
    return given


def read_message(message: str, settings: type[Settings | DialogueSettings]) -> ClientMessage:
    """Return a message, whatever its text. Raises as ``parse_message``."""
    try:
        given = read(object_of(message, "", BadMessage), ClientMessage)
    except WrongFields as error:
        # A value beyond its limit is an error of its own.
        if error.faults[0].kind == "value" and error.field not in ("context_id", "contextId"):
            raise
        raise BadMessage(str(error)) from error
    given.voice_settings = parse_settings(given.voice_settings, settings)
    return given


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
        return self._message(data or None, alignments, None)

    def final(self) -> str:
        return self._message(None, NO_ALIGNMENTS, True)

    def error(self, error: ErrorMessage) -> str:
        """Write the error that ends the context or the connection."""
        said = {"error": error.error, "message": error.message}
        return json_text({"code": error.code, **self._ids, **said})

    def _message(self, audio: bytes | None, alignments: Alignments, final: bool | None) -> str:
        written, normalized = (
            alignment and alignment.as_json() for alignment in (alignments.written, alignments.normalized)
        )
        ends = {"isFinal": final} | ({"is_final": final} if self.multi else {})
        # In the order of ElevenLabs' service: by their names.
        return json_text(
            {"alignment": written, "audio": audio, **self._ids, **ends, "normalizedAlignment": normalized}
        )

    @property
    def _ids(self) -> dict[str, str | None]:
        return {"contextId": self.context_id, "context_id": self.context_id} if self.multi else {}


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
