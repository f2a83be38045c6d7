"""Encodes streams frame by frame with FFmpeg's encoders; AAC and FLAC, which need no more."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

import av
import numpy as np

from kani.core.audio import ffmpeg
from kani.core.audio.pcm import pcm16
from kani.core.types import Samples

_ADTS_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
"""Sample rates by their index in an ADTS header (ISO/IEC 14496-3, table 1.18)."""

_ADTS_HEADER_BYTES = 7
_FLAC_STREAMINFO_IS_LAST = 0x80


class FramedEncoder:
    """Cuts mono samples into an encoder's frames. One stream, one thread at a time."""

    def __init__(
        self,
        codec: str,
        sample_rate: int,
        sample_format: str,
        bit_rate: int | None = None,
        options: Mapping[str, str] | None = None,
    ) -> None:
        """codec, sample_format and options: as FFmpeg calls them."""
        ffmpeg.disable_threads()
        encoder = av.CodecContext.create(codec, "w")
        assert isinstance(encoder, av.AudioCodecContext)
        encoder.sample_rate = sample_rate
        encoder.layout = "mono"
        encoder.format = sample_format
        if bit_rate is not None:
            encoder.bit_rate = bit_rate
        encoder.options = dict(options or {})
        encoder.open()
        self._encoder = encoder
        self._buffer = np.zeros(0, np.float32)
        self.frame_size = encoder.frame_size
        self.samples_encoded = 0  # samples that the encoder has; the buffer's are still to come

    def feed(self, samples: Samples) -> Iterator[bytes]:
        """Accept samples; yields the packets that are ready."""
        self._buffer = np.concatenate([self._buffer, samples])
        whole = len(self._buffer) // self.frame_size * self.frame_size
        pieces = self._buffer[:whole].reshape(-1, self.frame_size)
        self._buffer = self._buffer[whole:]
        for piece in pieces:
            yield from self._encode(piece)

    def finish(self) -> Iterator[bytes]:
        """Yield the rest; nothing can be fed afterwards."""
        if len(self._buffer):
            yield from self._encode(self._buffer)
        if self.samples_encoded:
            yield from filter(None, map(bytes, self._encoder.encode(None)))

    @property
    def stream_header(self) -> bytes:
        header = self._encoder.extradata
        assert header is not None
        return header

    def _encode(self, samples: Samples) -> Iterator[bytes]:
        sample_format = self._encoder.format.name
        if sample_format == "s16":
            pcm = np.frombuffer(pcm16(samples), np.int16)[np.newaxis]
            frame = av.AudioFrame.from_ndarray(pcm, format=sample_format, layout="mono")
        else:
            planes = np.ascontiguousarray(samples)[np.newaxis]
            frame = av.AudioFrame.from_ndarray(planes, format=sample_format, layout="mono")
        frame.sample_rate = self._encoder.sample_rate
        frame.pts = self.samples_encoded
        self.samples_encoded += len(samples)
        return filter(None, map(bytes, self._encoder.encode(frame)))


class AacEncoder:
    """Encodes mono samples as AAC-LC in ADTS frames of 1,024 samples.

    sample_rate: hertz, one of those that ADTS names; bit_rate: average, in bits per second. The first frame
    is the encoder's delay. One stream, one thread at a time; a second of speech takes about 5 ms.
    """

    def __init__(self, sample_rate: int, bit_rate: int) -> None:
        self._frames = FramedEncoder("aac", sample_rate, "fltp", bit_rate)
        self._rate_index = _ADTS_RATES.index(sample_rate)

    def feed(self, samples: Samples) -> bytes:
        """Accept samples; returns the frames that are ready."""
        return b"".join(map(self._with_header, self._frames.feed(samples)))

    def finish(self) -> bytes:
        """Return the rest; nothing can be fed afterwards."""
        return b"".join(map(self._with_header, self._frames.finish()))

    def _with_header(self, frame: bytes) -> bytes:
        """Put the ADTS header before a frame: MPEG-4, no checksum, low complexity, one channel."""
        size = len(frame) + _ADTS_HEADER_BYTES
        bits = 0xFFF1 << 40  # sync word, MPEG-4, layer 0, no checksum
        bits |= 1 << 38 | self._rate_index << 34 | 1 << 30  # profile (low complexity), rate, channels
        bits |= size << 13 | 0x7FF << 2  # length of the frame, buffer fullness: variable rate
        return bits.to_bytes(_ADTS_HEADER_BYTES, "big") + frame


class FlacEncoder:
    """Encodes mono samples as 16-bit FLAC; the header leaves the length open, as in a stream.

    In a complete file ``final_header`` replaces it: libsndfile opens no FLAC without a length. sample_rate:
    hertz. One stream, one thread at a time; a second of speech takes about 1 ms.
    """

    def __init__(self, sample_rate: int) -> None:
        self._frames = FramedEncoder("flac", sample_rate, "s16")
        self._header = self._with_info(self._frames.stream_header)

    def feed(self, samples: Samples) -> bytes:
        """Accept samples; returns the header, once, and the frames that are ready."""
        return self._take_header() + b"".join(self._frames.feed(samples))

    def finish(self) -> bytes:
        """Return the rest; nothing can be fed afterwards."""
        return self._take_header() + b"".join(self._frames.finish())

    def final_header(self) -> bytes:
        """Return the header that replaces the first one, byte for byte, once ``finish`` has returned.

        FFmpeg's encoder completes STREAMINFO (RFC 9639, 8.2) at its end: samples, sizes of frames, checksum.
        """
        return self._with_info(self._frames.stream_header)

    def _take_header(self) -> bytes:
        header, self._header = self._header, b""
        return header

    @staticmethod
    def _with_info(info: bytes) -> bytes:
        return b"fLaC" + struct.pack(">I", _FLAC_STREAMINFO_IS_LAST << 24 | len(info)) + info
