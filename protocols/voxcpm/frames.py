"""The binary frame of VoxCPM's protocol, and speech cut into frames.

All integers are big endian, the samples little endian: 0xAA 0x55, the type, a zero byte, the metadata's
length (4 bytes), the metadata (JSON), the payload's length (4 bytes), the payload (PCM, 16 bits, mono).
The metadata is padded with spaces to a multiple of four bytes: the document's own client lays an array
of 16-bit numbers over the payload, which JavaScript refuses at an odd offset.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import msgspec
import numpy as np

from speech.audio.pcm import pcm16
from speech.timing.spans import span_rows
from speech.types import Samples, Span, SpeechChunk

STREAMING_CHUNK = 1
NON_STREAMING = 2

MAX_PAYLOAD_BYTES = 4096
"""Bytes of audio in a frame of a stream."""

HOLD_BACK_S = 0.01
"""So much waits for what comes behind it, so that the last frame is known by then."""

_MAGIC = b"\xaa\x55"
_ALIGNMENT = 4


def encode_frame(kind: int, metadata: bytes, pcm: bytes | bytearray) -> bytes:
    """A whole frame; kind: STREAMING_CHUNK or NON_STREAMING; metadata: JSON; pcm: as ``pcm16`` gives it."""
    padding = b" " * (-len(metadata) % _ALIGNMENT)
    length = (len(metadata) + len(padding)).to_bytes(4)
    return b"".join((_MAGIC, bytes((kind, 0)), length, metadata, padding, len(pcm).to_bytes(4), pcm))


@dataclass(frozen=True, slots=True)
class AudioPiece:
    """What one frame of a stream holds."""

    samples: Samples
    spans: tuple[Span, ...]
    final: bool


class Pieces:
    """Cuts the chunks of a session at ``sample_rate`` hertz into what a frame each holds.

    Nothing waits for a frame to be full; only the last 10 ms wait, which are the last frame. A span is
    in the frame in whose time it starts; those left at the end are in the last one.
    """

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._held: Samples = np.zeros(0, np.float32)
        self._spans: list[Span] = []
        self.samples = 0
        """How many samples there were in the pieces so far."""

    def feed(self, chunk: SpeechChunk) -> list[AudioPiece]:
        """The pieces that are ready with the next chunk."""
        self._spans += chunk.spans
        together = np.concatenate([self._held, chunk.samples])
        ready = max(0, len(together) - round(HOLD_BACK_S * self._rate))
        self._held = together[ready:]
        size = MAX_PAYLOAD_BYTES // 2
        return [self._piece(together[at : min(at + size, ready)]) for at in range(0, ready, size)]

    def finish(self) -> AudioPiece:
        """The last piece, without samples only if there were none at all."""
        self.samples += len(self._held)
        return AudioPiece(self._held, tuple(self._spans), final=True)

    def _piece(self, samples: Samples) -> AudioPiece:
        self.samples += len(samples)
        end_s = self.samples / self._rate
        count = next((at for at, span in enumerate(self._spans) if span.start_s >= end_s), len(self._spans))
        begun, self._spans = self._spans[:count], self._spans[count:]
        return AudioPiece(samples, tuple(begun), final=False)


class FrameWriter:
    """Writes the frames of one request, in order."""

    def __init__(self, request_id: str, sample_rate: int) -> None:
        # ASCII alone, as in ``messages``: an id comes back as it came.
        self._start = b'{"request_id":%b,"sequence":' % json.dumps(request_id).encode()
        self._middle = b',"sample_rate":%d,"is_final":' % sample_rate
        self.frames = 0

    def write(self, piece: AudioPiece) -> bytes:
        """The next frame."""
        final = b'true,"spans":' if piece.final else b'false,"spans":'
        spans = msgspec.json.encode(span_rows(piece.spans))
        metadata = b"%b%d%b%b%b}" % (self._start, self.frames, self._middle, final, spans)
        self.frames += 1
        return encode_frame(STREAMING_CHUNK, metadata, pcm16(piece.samples))


def encode_whole_answer(
    request_id: str, sample_rate: int, spans: list[list[float]], pcm: bytes | bytearray
) -> bytes:
    """The one frame of an answer that is sent whole; spans: as ``span_rows`` gives them."""
    metadata = b'{"request_id":%b,"sample_rate":%d,"duration":%b,"spans":%b}' % (
        json.dumps(request_id).encode(),
        sample_rate,
        msgspec.json.encode(len(pcm) / 2 / sample_rate),
        msgspec.json.encode(spans),
    )
    return encode_frame(NON_STREAMING, metadata, pcm)
