"""JSON messages and binary frames of VoxCPM's protocol: parsed, validated and written without a socket.

The format is that of the original's PROTOCOL.md (justa-cai/listenai-server, folder tts).
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from kani.core import errors
from kani.core.audio.pcm import pcm16
from kani.core.timing.spans import span_rows
from kani.core.types import Span, SpeechChunk
from kani.protocols.shared.calls.bodies import object_of
from kani.protocols.shared.errors import BadMessage

MAX_ID_LENGTH = 200
"""Characters of a request_id."""

MAX_TIMESTAMP = 2**63 - 1

_MAX_ECHOED = 40

_FIELDS = {"voice": "voice_id", "duration_s": "duration"}


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as it is sent: one of the protocol's codes, a sentence, details."""

    code: str
    message: str
    details: Mapping[str, Any] = field(default_factory=dict)
    reasons: Mapping[str, errors.Reason] = field(default_factory=dict)
    """Reasons by parameter, for clients that translate them; sent beside ``details`` where there are any."""


class RejectedMessage(BadMessage):
    """A message that is answered with ``failure``; request_id: the message's own, if it is readable."""

    def __init__(self, failure: Failure, request_id: str | None = None) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.request_id = request_id


@dataclass(frozen=True, slots=True)
class TtsRequest:
    """``tts_request``; params: as they came, not validated; beside: names of fields without a meaning."""

    request_id: str
    params: Mapping[str, Any]
    beside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cancel:
    """``cancel``: cancel a running request."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Ping:
    """``ping``; timestamp: the client's, or the current time in seconds."""

    timestamp: float


ClientMessage = TtsRequest | Cancel | Ping


def read(message: str) -> ClientMessage:
    """Parse a client's message. Raises RejectedMessage."""
    parsed = object_of(
        message, "Invalid JSON format", lambda reason: RejectedMessage(Failure("INVALID_JSON", reason))
    )
    match parsed.get("type"):
        case "tts_request":
            if "params" not in parsed and "data" in parsed:
                reason = 'is required (a request with "data" is Kani\'s; its path is /)'
                raise RejectedMessage(validation_failure({"params": reason}), _readable_id(parsed))
            params = parsed.get("params")
            if params is not None and not isinstance(params, dict):
                raise RejectedMessage(
                    validation_failure({"params": "must be an object"}), _readable_id(parsed)
                )
            beside = tuple(name for name in parsed if name not in ("type", "request_id", "params"))
            return TtsRequest(_request_id(parsed), params or {}, beside)
        case "cancel":
            return Cancel(_request_id(parsed))
        case "ping":
            return Ping(_timestamp(parsed))
        case other:
            kind = "not a string" if isinstance(other, dict | list) else str(other)[:_MAX_ECHOED]
            failure = Failure("UNKNOWN_MESSAGE_TYPE", f"Unknown message type: {kind}")
            raise RejectedMessage(failure, _readable_id(parsed))


def _readable_id(parsed: Mapping[str, Any]) -> str | None:
    given = parsed.get("request_id")
    return given if isinstance(given, str) and 0 < len(given) <= MAX_ID_LENGTH else None


def _request_id(parsed: Mapping[str, Any]) -> str:
    found = _readable_id(parsed)
    if found is not None:
        return found
    match parsed.get("request_id"):
        case None:
            reason = "is required"
        case "":
            reason = "cannot be empty"
        case str():
            reason = f"too long (max {MAX_ID_LENGTH} characters)"
        case _:
            reason = "must be a string"
    raise RejectedMessage(validation_failure({"request_id": reason}))


def _timestamp(parsed: Mapping[str, Any]) -> float:
    given = parsed.get("timestamp")
    if given is None:
        return int(time.time())
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise RejectedMessage(validation_failure({"timestamp": "must be a number"}))
    if abs(given) > MAX_TIMESTAMP:
        limits = f"{-MAX_TIMESTAMP} and {MAX_TIMESTAMP}"
        raise RejectedMessage(validation_failure({"timestamp": f"must be between {limits}"}))
    return given


def validation_failure(
    faults: Mapping[str, str],
    code: str = "INVALID_PARAMS",
    reasons: Mapping[str, errors.Reason] | None = None,
) -> Failure:
    """Return the failure of invalid parameters; faults: the sentence by the parameter's name."""
    listed = ", ".join(f"{name}: {sentence}" for name, sentence in faults.items())
    return Failure(code, f"Validation failed: {listed}", {"errors": dict(faults)}, reasons or {})


def failure_for(error: errors.SpeechError, recording_param: str = "reference") -> Failure:
    """Return the failure of an error of the core; recording_param: the parameter that named the recording."""
    match error:
        case errors.RateLimited():
            return Failure("RATE_LIMITED", str(error), {"limit": error.limit, "window": "60s"})
        case errors.Busy():
            return Failure("QUEUE_FULL", f"Request queue is full, please try again later ({error})")
        case errors.TimedOut():
            return Failure("TIMEOUT", str(error), {"timeout": error.seconds})
        case errors.UnknownVoice():
            return Failure("VOICE_NOT_FOUND", f"Voice '{error.voice}' not found", {"voice_id": error.voice})
        case errors.TextTooLong():
            return validation_failure({"text": f"too long (max {error.limit} characters)"}, "TEXT_TOO_LONG")
        case errors.InvalidRequest():
            name = recording_param if error.field == "reference" else _FIELDS.get(error.field, error.field)
            reasons = {name: error.details} if error.details is not None else None
            return validation_failure({name: error.reason}, reasons=reasons)
        case errors.EngineUnavailable():
            return Failure("MODEL_NOT_LOADED", str(error))
        case errors.SpeechCancelled():
            return Failure("GENERATION_FAILED", "the server is stopping")
    return Failure("GENERATION_FAILED", str(error))


def _message(kind: str, **fields: Any) -> str:
    # ASCII only: half a surrogate pair of the client's is sent back as it came.
    return json.dumps({"type": kind, **fields}, separators=(",", ":"))


def progress(request_id: str, state: str, fraction: float, message: str, **more: int) -> str:
    """Encode the progress of a request; fraction: 0 to 1, rounded to 0.01."""
    return _message(
        "progress", request_id=request_id, state=state, progress=round(fraction, 2), message=message, **more
    )


def complete(request_id: str, result: Mapping[str, Any]) -> str:
    return _message("complete", request_id=request_id, result=result)


def error(request_id: str | None, failure: Failure) -> str:
    """Encode a failure; request_id: None if it belongs to no request."""
    fields = {"code": failure.code, "message": failure.message, "details": failure.details}
    if failure.reasons:
        fields["reasons"] = {name: reason.as_json() for name, reason in failure.reasons.items()}
    return _message("error", request_id=request_id, error=fields)


def pong(timestamp: float) -> str:
    """Encode the answer to a ping: its timestamp, and the server's time in whole seconds."""
    return _message("pong", timestamp=timestamp, server_time=int(time.time()))


STREAMING_CHUNK = 1
NON_STREAMING = 2

MAX_PAYLOAD_BYTES = 4096
"""Bytes of audio in a frame of a stream."""

HOLD_BACK_S = 0.01
"""Seconds of a stream that wait for what follows, so that the last frame can be marked."""

_MAGIC = b"\xaa\x55"
_ALIGNMENT = 4


def encode_frame(kind: int, metadata: bytes, pcm: bytes | bytearray) -> bytes:
    """Encode a frame; kind: STREAMING_CHUNK or NON_STREAMING; metadata: JSON; pcm: 16-bit samples, mono.

    All integers are big endian, the samples little endian: 0xAA 0x55, the kind, a zero byte, the metadata's
    length (4 bytes), the metadata, the payload's length (4 bytes), the payload. The metadata is padded with
    spaces to a multiple of four bytes: the client in the protocol's document maps an array of 16-bit numbers
    onto the payload, which JavaScript refuses at an odd offset.
    """
    padding = b" " * (-len(metadata) % _ALIGNMENT)
    length = (len(metadata) + len(padding)).to_bytes(4)
    return b"".join((_MAGIC, bytes((kind, 0)), length, metadata, padding, len(pcm).to_bytes(4), pcm))


class FrameWriter:
    """Encodes the frames of one streamed request."""

    def __init__(self, request_id: str, sample_rate: int, speaker: Mapping[str, str]) -> None:
        """speaker: what speaks; the first frame says it."""
        # ASCII only, as elsewhere: an id is sent back as it came.
        self._start = b'{"request_id":%b,"sequence":' % json.dumps(request_id).encode()
        self._middle = b',"sample_rate":%d,"is_final":' % sample_rate
        self._speaker = b',"speaker":' + msgspec.json.encode(speaker)
        self.frames = 0  # frames so far

    def write(self, chunk: SpeechChunk, *, final: bool) -> bytes:
        """Encode the next chunk; final: it is the last."""
        is_final = b'true,"spans":' if final else b'false,"spans":'
        speaker = b"" if self.frames else self._speaker
        spans = _encode_spans(chunk.spans)
        metadata = b"%b%d%b%b%b%b}" % (self._start, self.frames, self._middle, is_final, spans, speaker)
        self.frames += 1
        return encode_frame(STREAMING_CHUNK, metadata, pcm16(chunk.samples))


def encode_whole_answer(
    request_id: str, sample_rate: int, spans: Sequence[Span], pcm: bytes | bytearray
) -> bytes:
    """Encode an answer that is sent in one frame."""
    metadata = b'{"request_id":%b,"sample_rate":%d,"duration":%b,"spans":%b}' % (
        json.dumps(request_id).encode(),
        sample_rate,
        msgspec.json.encode(len(pcm) / 2 / sample_rate),
        _encode_spans(spans),
    )
    return encode_frame(NON_STREAMING, metadata, pcm)


def _encode_spans(spans: Sequence[Span]) -> bytes:
    """Encode spans as the rest of a metadata object after ``"spans":``, with what was spoken in each."""
    spoken = [span.spoken_form for span in spans]
    return b'%b,"spoken":%b' % (msgspec.json.encode(span_rows(spans)), msgspec.json.encode(spoken))
