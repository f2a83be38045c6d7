"""Encodes streams frame by frame with FFmpeg's encoders: AAC, FLAC, and gapless MP3."""

import struct
from collections.abc import Iterator, Mapping

import av
import numpy as np

from kani.core.audio import ffmpeg, synthetic_mark
from kani.core.audio.checked import in_range
from kani.core.audio.pcm import pcm16
from kani.core.types import Samples

_ADTS_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
"""Sample rates by their index in an ADTS header (ISO/IEC 14496-3, table 1.18)."""

_ADTS_HEADER_BYTES = 7
_FLAC_COMMENT, _FLAC_LAST_BLOCK = 4, 0x80


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
        self._buffer = np.concatenate([self._buffer, in_range(samples)])
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
        self._comment = synthetic_mark.vorbis_comment()
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

    def _with_info(self, info: bytes) -> bytes:
        blocks = struct.pack(">I", len(info)) + info
        head = (_FLAC_LAST_BLOCK | _FLAC_COMMENT) << 24 | len(self._comment)
        return b"fLaC" + blocks + struct.pack(">I", head) + self._comment


_BIT_RATES = {
    1: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""kbit/s by frame header index, from index 1 on, by MPEG version (ISO/IEC 13818-3, 2.4.2.3)."""

_SAMPLE_RATES = {1: (44100, 48000, 32000), 2: (22050, 24000, 16000)}
_VERSION_BITS = {1: 0xFFFB, 2: 0xFFF3}
_SIDE_INFO_BYTES = {1: 17, 2: 9}
_MONO = 0xC0
_TAG_BYTES = 120 + 36

_LAME_DELAY = 576
"""Samples of LAME's encoder delay; its tag counts these."""

_DECODER_DELAY = 529
"""Samples of delay of any layer III decoder; no tag counts them, every player knows them."""

_HAS_FRAMES, _HAS_BYTES = 1, 2
_CONSTANT_BIT_RATE = 1


class Mp3Encoder:
    """Encodes mono samples at ``sample_rate`` hertz as MP3 of constant ``bit_rate`` (bits per second).

    tag: bytes before the first frame. That frame is an "Info" frame, as LAME writes it: no sound, but the
    number of samples of encoder delay at the beginning, so that players skip them. In a complete file
    ``final_header`` replaces both, and also gives the padding at the end: silence of less than a frame
    (26 ms). LAME holds back three frames (78 ms). One stream, one thread at a time.
    """

    def __init__(self, sample_rate: int, bit_rate: int, tag: bytes = b"") -> None:
        self._tag = tag
        self._version = 1 if sample_rate >= 32000 else 2
        self._sample_rate, self._bit_rate = sample_rate, bit_rate
        self._lame = FramedEncoder("libmp3lame", sample_rate, "fltp", bit_rate)
        self._frame = self._lame.frame_size
        self._started = False
        self._frames = self._bytes = 0

    def feed(self, samples: Samples) -> bytes:
        """Accept samples; returns the frames that are ready."""
        ready = self._counted(list(self._lame.feed(samples)))
        if self._started or not len(samples):
            return ready
        self._started = True
        return self._tag + self._info_frame(0, 0, 0) + ready

    def finish(self) -> bytes:
        """Return the rest; nothing can be fed afterwards."""
        if not self._started:
            return self._tag + self._info_frame(0, 0, 0)
        rest = list(self._lame.finish())
        # LAME may pad with a frame that no sound reaches into.
        needed = -(-(self._lame.samples_encoded + _LAME_DELAY + _DECODER_DELAY) // self._frame)
        return self._counted(rest[: max(0, needed - self._frames)])

    def final_header(self) -> bytes:
        """The tag and frame that replace the first ones, byte for byte, once ``finish`` has returned."""
        size = len(self._info_frame(0, 0, 0)) + self._bytes
        padding = self._frames * self._frame - _LAME_DELAY - self._lame.samples_encoded
        return self._tag + self._info_frame(self._frames, size, padding)

    def _counted(self, frames: list[bytes]) -> bytes:
        self._frames += len(frames)
        self._bytes += sum(map(len, frames))
        return b"".join(frames)

    def _info_frame(self, frames: int, size: int, padding: int) -> bytes:
        """Build the Info frame (the Xing header and LAME's extension of it, "MP3 Info Tag rev 1").

        frames: number of frames after this one, 0 while unknown; size: bytes of the file, then unknown too:
        players complain of one that is wrong; padding: samples at its end to leave out, the decoder's delay
        included.
        """
        version = self._version
        rates = _BIT_RATES[version]
        factor = self._frame // 8
        needed = 4 + _SIDE_INFO_BYTES[version] + _TAG_BYTES
        # The smallest bit rate, from the stream's own on, with room for the tag in its frame.
        index, length = next(
            (at, length)
            for at, kbits in enumerate(rates, 1)
            if kbits * 1000 >= self._bit_rate
            and (length := factor * kbits * 1000 // self._sample_rate) >= needed
        )
        third = index << 4 | _SAMPLE_RATES[version].index(self._sample_rate) << 2
        head = struct.pack(">HBB", _VERSION_BITS[version], third, _MONO) + bytes(_SIDE_INFO_BYTES[version])
        known = struct.pack(">III", _HAS_FRAMES | _HAS_BYTES, frames, size) if frames else bytes(4)
        tag = b"Info" + known
        delays = _LAME_DELAY << 12 | max(0, min(padding, 4095))
        tag += b"LAME3.100" + bytes([_CONSTANT_BIT_RATE]) + bytes(10)
        tag += bytes([min(self._bit_rate // 1000, 255)]) + delays.to_bytes(3, "big") + bytes(4)
        tag += struct.pack(">IH", size, 0)
        return (head + tag + struct.pack(">H", _crc16(head + tag))).ljust(length, b"\0")


def _crc16(data: bytes) -> int:
    """Checksum at the end of LAME's tag: CRC-16/ARC."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc
