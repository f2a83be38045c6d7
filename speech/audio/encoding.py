"""Speech as the bytes of an audio format, as it is made or as a whole file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from speech.audio import ogg_opus
from speech.audio.mp3 import Mp3Encoder
from speech.audio.ogg_opus import OggOpusEncoder
from speech.audio.pcm import Resampler, pcm16, wav
from speech.types import Samples

Codec = Literal["pcm", "wav", "ulaw", "alaw", "mp3", "opus"]


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """What a client wants its audio as.

    name: as its protocol calls it; sample_rate: hertz; bit_rate: bits a second, of the codecs that have one
    (mp3, opus); content_type: of an HTTP answer. PCM is 16 bits, signed, little-endian; all are mono.
    """

    name: str
    codec: Codec
    sample_rate: int
    bit_rate: int | None
    content_type: str


class Encoder(Protocol):
    """One stream of samples on its way to bytes; what all calls gave, joined, is the stream.

    It blocks: a second of audio takes up to 0.3 ms as PCM and in G.711, 4 ms as Opus, 5–9 ms as MP3, which
    are for a thread. One thread at a time.
    """

    def feed(self, samples: Samples) -> bytes:
        """Take samples at the source's rate; the bytes that are ready, perhaps none."""

    def finish(self) -> bytes:
        """The rest; nothing can be fed any more."""


def create_encoder(audio_format: AudioFormat, source_rate: int) -> Encoder:
    """An encoder of samples at ``source_rate`` hertz.

    WAV has its length at its beginning and so no stream: ValueError (``FileEncoder`` makes it).
    """
    match audio_format.codec:
        case "pcm":
            codec: Encoder = _Plain()
        case "ulaw":
            codec = _G711(_ULAW)
        case "alaw":
            codec = _G711(_ALAW)
        case "mp3":
            codec = _mp3(audio_format)
        case "opus":
            # Opus' own clock is 48 kHz whatever went in.
            if audio_format.bit_rate is None:
                raise ValueError("Opus needs a bit rate")
            return _Resampled(source_rate, ogg_opus.ENCODED_RATE, _Opus(audio_format.bit_rate))
        case "wav":
            raise ValueError("a WAV file cannot be streamed: its length stands at its beginning")
    return _Resampled(source_rate, audio_format.sample_rate, codec)


class FileEncoder:
    """A file that is handed out once all of it is there, so that it can tell its own length.

    An MP3 is gapless to the sample at both ends. Blocks as ``Encoder`` does.
    """

    def __init__(self, audio_format: AudioFormat, source_rate: int) -> None:
        self._format = audio_format
        self._mp3 = _mp3(audio_format) if audio_format.codec == "mp3" else None
        self._encoder: Encoder
        if audio_format.codec == "wav":
            self._encoder = _Resampled(source_rate, audio_format.sample_rate, _Plain())
        elif self._mp3 is not None:
            self._encoder = _Resampled(source_rate, audio_format.sample_rate, self._mp3)
        else:
            self._encoder = create_encoder(audio_format, source_rate)
        self._bytes = bytearray()

    def add(self, samples: Samples) -> int:
        """Take samples; by how many bytes the file has grown."""
        return self._grow(self._encoder.feed(samples))

    def finish(self) -> bytes:
        """The file; nothing can be added any more."""
        self._grow(self._encoder.finish())
        if self._format.codec == "wav":
            return wav(bytes(self._bytes), self._format.sample_rate)
        if self._mp3 is not None:
            info = self._mp3.final_info_frame()
            self._bytes[: len(info)] = info
        return bytes(self._bytes)

    def _grow(self, data: bytes) -> int:
        self._bytes += data
        return len(data)


class _Resampled:
    """What ``codec`` makes of a stream whose rate is another."""

    def __init__(self, source_rate: int, target_rate: int, codec: Encoder) -> None:
        self._resampler = Resampler(source_rate, target_rate)
        self._codec = codec

    def feed(self, samples: Samples) -> bytes:
        return self._codec.feed(self._resampler.feed(samples))

    def finish(self) -> bytes:
        return self._codec.feed(self._resampler.finish()) + self._codec.finish()


class _Plain:
    """16-bit PCM."""

    def feed(self, samples: Samples) -> bytes:
        return pcm16(samples)

    def finish(self) -> bytes:
        return b""


class _G711:
    """A byte a sample, by a table over all 16-bit samples."""

    def __init__(self, table: npt.NDArray[np.uint8]) -> None:
        self._table = table

    def feed(self, samples: Samples) -> bytes:
        return bytes(self._table[np.frombuffer(pcm16(samples), "<u2")].tobytes())

    def finish(self) -> bytes:
        return b""


class _Opus:
    """Ogg Opus, its two header pages first."""

    def __init__(self, bit_rate: int) -> None:
        self._opus = OggOpusEncoder(bit_rate)
        self._header = self._opus.header

    def feed(self, samples: Samples) -> bytes:
        header, self._header = self._header, b""
        return header + self._opus.feed(samples)

    def finish(self) -> bytes:
        header, self._header = self._header, b""
        return header + self._opus.finish()


def _mp3(audio_format: AudioFormat) -> Mp3Encoder:
    if audio_format.bit_rate is None:
        raise ValueError("an MP3 needs a bit rate")
    return Mp3Encoder(audio_format.sample_rate, audio_format.bit_rate)


def _ulaw_levels() -> npt.NDArray[np.int32]:
    """The 16-bit sample that each of the 256 codes stands for (ITU-T G.711, table 2)."""
    code = ~np.arange(256) & 0xFF
    size = (((code & 15) << 3) + 132 << (code >> 4 & 7)) - 132
    return np.where(code & 0x80, -size, size).astype(np.int32)


def _alaw_levels() -> npt.NDArray[np.int32]:
    """The same by G.711's table 1."""
    code = np.arange(256) ^ 0x55
    step, exponent = (code & 15) << 4, code >> 4 & 7
    size = np.where(exponent == 0, step + 8, step + 264 << np.maximum(exponent - 1, 0))
    return np.where(code & 0x80, size, -size).astype(np.int32)


def _nearest(levels: npt.NDArray[np.int32]) -> npt.NDArray[np.uint8]:
    """For each 16-bit sample, read as an unsigned number, the code whose level is nearest to it."""
    order = np.argsort(levels, kind="stable")
    middles = (levels[order][1:] + levels[order][:-1]) / 2
    samples = np.arange(65536).astype(np.uint16).view(np.int16)
    return order[np.searchsorted(middles, samples)].astype(np.uint8)


_ULAW = _nearest(_ulaw_levels())
_ALAW = _nearest(_alaw_levels())
