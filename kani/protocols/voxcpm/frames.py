"""Binary frames of VoxCPM's protocol.

All integers are big endian, the samples little endian: 0xAA 0x55, the type, a zero byte, the metadata's
length (4 bytes), the metadata (JSON), the payload's length (4 bytes), the payload (PCM, 16 bits, mono).
The metadata is padded with spaces to a multiple of four bytes: the client in the protocol's document maps
an array of 16-bit numbers onto the payload, which JavaScript refuses at an odd offset.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import msgspec

from kani.core.audio.pcm import pcm16
from kani.core.timing.spans import span_rows
from kani.core.types import Span, SpeechChunk

STREAMING_CHUNK = 1
NON_STREAMING = 2

MAX_PAYLOAD_BYTES = 4096
"""Bytes of audio in a frame of a stream."""

HOLD_BACK_S = 0.01
"""Seconds of a stream that wait for what follows, so that the last frame can be marked."""

_MAGIC = b"\xaa\x55"
_ALIGNMENT = 4


def encode_frame(kind: int, metadata: bytes, pcm: bytes | bytearray) -> bytes:
    """Encode a frame; kind: STREAMING_CHUNK or NON_STREAMING; metadata: JSON; pcm: 16-bit samples."""
    padding = b" " * (-len(metadata) % _ALIGNMENT)
    length = (len(metadata) + len(padding)).to_bytes(4)
    return b"".join((_MAGIC, bytes((kind, 0)), length, metadata, padding, len(pcm).to_bytes(4), pcm))


class FrameWriter:
    """Encodes the frames of one streamed request."""

    def __init__(self, request_id: str, sample_rate: int, speaker: Mapping[str, str]) -> None:
        """speaker: what speaks; the first frame says it."""
        # ASCII only, as in ``messages``: an id is sent back as it came.
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
