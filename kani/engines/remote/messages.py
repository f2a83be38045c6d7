"""Messages between a server and an engine worker, as MessagePack.

A message is an array: its tag, then its fields. The data of ``kani.core.types`` travels as it is there;
samples are the bytes of little-endian float32. A change of any of them needs another ``PROTOCOL_VERSION``.

An exchange is one call of the engine, and has a number that the server chose. The server opens it (``Speak``,
``Embed``, ``Refine``, ``Recognize``, ``Transcribe``); ``Ended`` or ``Failed`` ends it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from kani.core.engine import EngineInfo
from kani.core.errors import (
    Busy,
    EngineFailed,
    InvalidRequest,
    Reason,
    SpeechError,
    UnknownVoice,
    UnsupportedLanguage,
)
from kani.core.recognizer import Mark, RecognizedWord, RecognizerInfo, Step
from kani.core.transcriber import TranscribedSegment, TranscriptionOptions
from kani.core.types import Boundary, Embedding, Pronunciation, Recording, Samples, Segment, Span, SpeechChunk
from kani.engines.plugin import Resources
from kani_text import foreign

PROTOCOL_VERSION = 15

MAX_SPANS = 10_000
"""Most spans of a chunk: no segment has as many words."""

AUDIO_AHEAD_S = 2.0
"""Seconds of audio that a server may send ahead of what a recogniser has pulled."""


class _Message(msgspec.Struct, array_like=True, gc=False):
    """Base of the messages."""


class Written(_Message):
    """The state of a segment's text that may still grow, in its spoken form."""

    text: str
    pronunciations: tuple[Pronunciation, ...]
    boundary: Boundary | None  # None while more may come


# Messages from the server.


class Launch(_Message, tag=1):
    """The first message to a worker that is a child: the engine or recogniser it is to be."""

    name: str  # name of its plugin
    log_level: int
    kind: Literal["engine", "recognizer"]
    settings: dict[str, Any]  # values that the plugin's model validates again
    resources: Resources
    adapter: str = ""  # see ``PackageWorker``; empty: the plugin builds it


class Speak(_Message, tag=2):
    """Speak a segment, up to ``granted_s`` seconds of audio for now."""

    exchange: int
    segment: Segment
    granted_s: float
    written: Written | None = None  # text so far of a segment that is still being written
    waits: bool = True  # True if it waits for a slot; otherwise the answer is ``Full`` where none is free


class Grant(_Message, tag=3):
    """The seconds since an exchange began that may have been sent: of its audio or, by a worker, to it."""

    exchange: int
    seconds: float


class Feed(_Message, tag=4):
    """The text has grown, or ended."""

    exchange: int
    written: Written


class Resume(_Message, tag=5):
    """The answer to ``Waiting``: the text has grown or ended, or the time is over."""

    exchange: int


class Cancel(_Message, tag=6):
    """Stop at the next step of the model; ``Ended`` says that the slot is free."""

    exchange: int


class Embed(_Message, tag=7):
    exchange: int
    recording: Recording


class Refine(_Message, tag=8):
    exchange: int
    recording: Recording
    embedding: Embedding
    language: str


class Recognize(_Message, tag=9):
    exchange: int
    language: str | None
    prompt: str = ""
    candidates: tuple[str, ...] = ()
    expected: str | None = None


class Transcribe(_Message, tag=10):
    exchange: int
    options: TranscriptionOptions


class Audio(_Message, tag=11):
    """Audio, or a mark in it; neither is the end of it."""

    exchange: int
    samples: memoryview | None = None
    mark: int | None = None


class Ping(_Message, tag=12):
    """A sign of life of the server, answered by ``Pong``."""


# Messages from the worker.


class Chunk(_Message, tag=32):
    exchange: int
    samples: memoryview
    sample_rate: int
    start_s: float
    spans: Annotated[tuple[Span, ...], msgspec.Meta(max_length=MAX_SPANS)]

    def unpack(self) -> SpeechChunk:
        """Return the chunk, with a copy of the samples."""
        return SpeechChunk(unpack_samples(self.samples), self.sample_rate, self.start_s, self.spans)


class Waiting(_Message, tag=33):
    """The engine waits for more text than ``known`` characters, at most ``timeout_s`` seconds."""

    exchange: int
    known: int
    timeout_s: float | None


class Embedded(_Message, tag=34):
    exchange: int
    embedding: Embedding


class Recognized(_Message, tag=35):
    exchange: int
    word: RecognizedWord | None = None
    step: tuple[int, tuple[float, float, float, float], tuple[float, ...], bool] | None = None
    mark: int | None = None

    def unpack(self) -> RecognizedWord | Step | Mark:
        """Return the event. Raises ValueError where there is none."""
        if self.word is not None:
            return self.word
        if self.step is not None:
            return Step(*self.step)
        if self.mark is None:
            raise ValueError("a recognition event without content")
        return Mark(self.mark)


class Transcribed(_Message, tag=36):
    exchange: int
    segment: TranscribedSegment


class Ended(_Message, tag=37):
    """The exchange has ended, and its slot is free."""

    exchange: int


class Failed(_Message, tag=38):
    """The exchange has failed, and its slot is free."""

    exchange: int
    kind: Literal["failed", "busy", "invalid", "voice", "language"]
    message: str
    field: str = ""  # field of an invalid request
    logged: bool = False
    details: Reason | None = None  # message for programs, of an invalid request

    @classmethod
    def of(cls, exchange: int, error: SpeechError) -> Failed:
        match error:
            case UnknownVoice():
                return cls(exchange, "voice", error.voice)
            case UnsupportedLanguage():
                return cls(exchange, "language", error.language)
            case InvalidRequest():
                return cls(exchange, "invalid", error.reason, error.field, details=error.details)
            case Busy():
                return cls(exchange, "busy", str(error))
        return cls(exchange, "failed", str(error), logged=isinstance(error, EngineFailed) and error.logged)

    def error(self) -> SpeechError:
        """Return the error, as the engine raised it."""
        match self.kind:
            case "busy":
                return Busy(self.message)
            case "invalid":
                return InvalidRequest(self.field, self.message, self.details)
            case "voice":
                return UnknownVoice(self.message)
            case "language":
                return UnsupportedLanguage(self.message)
        return EngineFailed(self.message, logged=self.logged)


class Ready(_Message, tag=39):
    """The engine or recogniser has started, or its description has changed."""

    engine: EngineInfo | None = None
    recognizer: RecognizerInfo | None = None
    name: str = ""  # name of the worker, for metrics; empty where its address is the best one
    draining: bool = False  # True if it ends once its exchanges have ended: it accepts no others


class Unavailable(_Message, tag=40):
    """The engine cannot start; the connection ends."""

    reason: str
    passing: bool = False  # see ``EngineUnavailable``


class Pong(_Message, tag=41):
    """A sign of life of the worker."""


class Logged(_Message, tag=42):
    """A record of the worker's log."""

    level: int
    logger: str
    message: str
    request_id: str


class Full(_Message, tag=43):
    """The worker has no slot for an exchange, which has not begun: another worker may have one."""

    exchange: int


Cloning = Embed | Refine
Hearing = Recognize | Transcribe
Opening = Speak | Cloning | Hearing
"""Messages that open an exchange."""

ToWorker = Opening | Launch | Grant | Feed | Resume | Cancel | Audio | Ended | Ping

Outcome = Ended | Failed | Full
"""The end of an exchange."""

Reply = Grant | Waiting | Embedded | Recognized | Transcribed
Answer = Chunk | Reply | Outcome
"""Messages of an exchange from the worker."""

FromWorker = Answer | Ready | Unavailable | Pong | Logged


def pack_samples(samples: Samples) -> memoryview:
    """Return the bytes of samples; no copy where they are contiguous already."""
    return np.ascontiguousarray(samples, "<f4").data.cast("B")


def unpack_samples(packed: memoryview | bytes) -> Samples:
    """Return the samples of bytes, as an aligned copy. Raises ValueError for a part of a sample."""
    return np.frombuffer(packed, "<f4").astype(np.float32)


def _encode_other(value: Any) -> Any:
    match value:
        case np.ndarray():
            return pack_samples(value)
        case Path():
            return str(value)
        case np.floating():
            return float(value)
        case np.integer():
            return int(value)
    raise NotImplementedError(f"{type(value).__name__} is not sent to another process")


def _decode_other(kind: type, value: Any) -> Any:
    if kind is Path:
        return Path(value)
    return unpack_samples(value)


encode = msgspec.msgpack.Encoder(enc_hook=_encode_other).encode
_to_worker: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker, dec_hook=_decode_other)
_from_worker: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(
    FromWorker, dec_hook=_decode_other
)


def decode_to_worker(packed: bytes | memoryview) -> ToWorker:
    """Decode a server's message. Raises Unreadable."""
    return foreign.decode_pack(_to_worker, packed)


def decode_from_worker(packed: bytes | memoryview) -> FromWorker:
    """Decode a worker's message. Raises Unreadable."""
    return foreign.decode_pack(_from_worker, packed)
