"""Encodes speech into an audio format, as a stream or as a complete file."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, Protocol, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt

from kani.core.audio import synthetic_mark
from kani.core.audio.framed import AacEncoder, FlacEncoder, Mp3Encoder
from kani.core.audio.ogg_opus import ENCODED_RATE, OggOpusEncoder
from kani.core.audio.pcm import from_pcm16, open_wav_header, pcm16, wav_header
from kani.core.audio.resampling import NO_SAMPLES, Resampler
from kani.core.types import Samples

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """An output format. PCM is 16 bits, signed, little-endian; all formats are mono."""

    codec: str  # of ``CODECS``
    sample_rate: int  # hertz
    bit_rate: int | None = None  # bits per second, of mp3, opus and aac
    name: str = ""  # as the protocol calls it
    marked: bool = True  # as synthetic; False where clients know the length of the header

    @property
    def content_type(self) -> str:
        """Media type of an HTTP response."""
        return CODECS[self.codec].content_type

    @property
    def slow(self) -> bool:
        """True for a compressed format: it blocks too long for the event loop, and fills frames first."""
        return CODECS[self.codec].slow

    @property
    def encoded_rate(self) -> int:
        """Hertz of the samples that its codec takes: Opus decodes to 48 kHz whatever goes in."""
        return CODECS[self.codec].rate or self.sample_rate


class Encoder(Protocol):
    """Encodes one stream of samples; the results of all calls, joined, are the stream.

    Blocks: a second of audio takes up to 0.3 ms as PCM and in G.711, 1 ms as FLAC, 4 ms as Opus, 5–9 ms as
    AAC and MP3; ``AudioFormat.slow`` are run in a thread. One thread at a time.
    """

    def feed(self, samples: Samples) -> bytes:
        """Accept samples at the source's rate; returns the bytes that are ready, perhaps none."""

    def finish(self) -> bytes:
        """Return the rest; nothing can be fed afterwards."""


def create_encoder(audio_format: AudioFormat, source_rate: int) -> Encoder:
    """Create an encoder of samples at ``source_rate`` hertz.

    A WAV's header leaves its length open; for one that states it use ``FileEncoder``.
    """
    return _Resampled(source_rate, audio_format.encoded_rate, CODECS[audio_format.codec].make(audio_format))


async def run_encoding(
    audio_format: AudioFormat, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Run a call of an encoder of that format: in a thread if the format is slow, else at once."""
    if audio_format.slow:
        return await asyncio.to_thread(call, *args, **kwargs)
    return call(*args, **kwargs)


@runtime_checkable
class _Headed(Encoder, Protocol):
    """An encoder of files with a header that is known at their end only."""

    def final_header(self) -> bytes:
        """Return the header that replaces the first one, byte for byte, once ``finish`` has returned."""


class AsyncEncoder:
    """An ``Encoder`` that does not block the event loop; it is created for the rate of the first samples."""

    def __init__(self, audio_format: AudioFormat) -> None:
        self._format = audio_format
        self._encoder: Encoder | None = None

    async def feed(self, samples: Samples, sample_rate: int) -> bytes:
        """Accept samples at ``sample_rate`` hertz, the same in each call; returns the ready bytes."""
        if self._encoder is None:
            self._encoder = create_encoder(self._format, sample_rate)
        return await run_encoding(self._format, self._encoder.feed, samples)

    async def finish(self) -> bytes:
        """Return the rest; nothing can be fed afterwards."""
        return b"" if self._encoder is None else await run_encoding(self._format, self._encoder.finish)


class FileEncoder:
    """Encodes a complete file, which is returned in the end, with its length in its header.

    An MP3 is gapless to the sample at both ends. Blocks as ``Encoder`` does.
    """

    def __init__(self, audio_format: AudioFormat, source_rate: int) -> None:
        codec = CODECS[audio_format.codec].make(audio_format)
        self._headed = codec if isinstance(codec, _Headed) else None
        self._encoder = _Resampled(source_rate, audio_format.encoded_rate, codec)
        self._bytes = bytearray()

    def add(self, samples: Samples) -> int:
        """Accept samples; returns how many bytes the file has grown."""
        return self._grow(self._encoder.feed(samples))

    def finish(self) -> bytes:
        """Return the file; nothing can be added afterwards."""
        self._grow(self._encoder.finish())
        if self._headed is not None:
            header = self._headed.final_header()
            self._bytes[: len(header)] = header
        return bytes(self._bytes)

    def _grow(self, data: bytes) -> int:
        self._bytes += data
        return len(data)


class _Resampled:
    """Resamples a stream in front of ``codec``."""

    def __init__(self, source_rate: int, target_rate: int, codec: Encoder) -> None:
        self._resampler = Resampler(source_rate, target_rate)
        self._codec = codec

    def feed(self, samples: Samples) -> bytes:
        return self._codec.feed(self._resampler.feed(samples))

    def finish(self) -> bytes:
        return self._codec.feed(self._resampler.finish()) + self._codec.finish()


class _Pcm16:
    def feed(self, samples: Samples) -> bytes:
        return pcm16(samples)

    def finish(self) -> bytes:
        return b""


class _Wav:
    def __init__(self, audio_format: AudioFormat) -> None:
        self._rate = audio_format.sample_rate
        self._info = synthetic_mark.riff_info() if audio_format.marked else b""
        self._bytes: int | None = None

    def feed(self, samples: Samples) -> bytes:
        pcm = pcm16(samples)
        header = open_wav_header(self._rate, self._info) if self._bytes is None else b""
        self._bytes = (self._bytes or 0) + len(pcm)
        return header + pcm

    def finish(self) -> bytes:
        return self.feed(NO_SAMPLES)

    def final_header(self) -> bytes:
        return wav_header(self._rate, self._bytes or 0, self._info)


class _OggOpus:
    """Puts a stream's header before its first bytes."""

    def __init__(self, bit_rate: int) -> None:
        self._opus = OggOpusEncoder(bit_rate)
        self._header = self._opus.header

    def feed(self, samples: Samples) -> bytes:
        return self._take_header() + self._opus.feed(samples)

    def finish(self) -> bytes:
        return self._take_header() + self._opus.finish()

    def _take_header(self) -> bytes:
        header, self._header = self._header, b""
        return header


class _G711:
    """One byte per sample, by a table over all 16-bit samples."""

    def __init__(self, table: npt.NDArray[np.uint8]) -> None:
        self._table = table

    def feed(self, samples: Samples) -> bytes:
        return bytes(self._table[np.frombuffer(pcm16(samples), "<u2")].tobytes())

    def finish(self) -> bytes:
        return b""


def decode_raw(data: bytes, codec: str) -> Samples:
    """Decode "ulaw" or "alaw", else 16-bit samples. Raises ValueError if half a sample is missing."""
    if codec in ("ulaw", "alaw"):
        return (_ULAW_LEVELS if codec == "ulaw" else _ALAW_LEVELS)[np.frombuffer(data, np.uint8)]
    if len(data) % 2:
        raise ValueError(f"16-bit samples need an even number of bytes, not {len(data)}")
    return from_pcm16(data)


def _ulaw_levels() -> npt.NDArray[np.int32]:
    """The 16-bit sample of each of the 256 codes (ITU-T G.711, table 2)."""
    code = ~np.arange(256) & 0xFF
    size = (((code & 15) << 3) + 132 << (code >> 4 & 7)) - 132
    return np.where(code & 0x80, -size, size).astype(np.int32)


def _alaw_levels() -> npt.NDArray[np.int32]:
    """The 16-bit sample of each of the 256 codes (ITU-T G.711, table 1)."""
    code = np.arange(256) ^ 0x55
    step, exponent = (code & 15) << 4, code >> 4 & 7
    size = np.where(exponent == 0, step + 8, step + 264 << np.maximum(exponent - 1, 0))
    return np.where(code & 0x80, size, -size).astype(np.int32)


def _nearest_codes(levels: npt.NDArray[np.int32]) -> npt.NDArray[np.uint8]:
    """For each 16-bit sample, read as an unsigned number, the code of the nearest level."""
    order = np.argsort(levels, kind="stable")
    midpoints = (levels[order][1:] + levels[order][:-1]) / 2
    samples = np.arange(65536).astype(np.uint16).view(np.int16)
    return order[np.searchsorted(midpoints, samples)].astype(np.uint8)


_ULAW = _nearest_codes(_ulaw_levels())
_ALAW = _nearest_codes(_alaw_levels())
_ULAW_LEVELS = (_ulaw_levels() / 32768).astype(np.float32)
_ALAW_LEVELS = (_alaw_levels() / 32768).astype(np.float32)


@dataclass(frozen=True, slots=True)
class _Kind:
    content_type: str
    make: Callable[[AudioFormat], Encoder]  # of samples at the format's ``encoded_rate``
    slow: bool = False  # see ``AudioFormat``
    rate: int | None = None  # hertz of the samples that it takes, if not the format's


def _bit_rate(audio_format: AudioFormat) -> int:
    if audio_format.bit_rate is None:
        raise ValueError(f"{audio_format.codec} needs a bit rate")
    return audio_format.bit_rate


def _mp3(audio_format: AudioFormat) -> Encoder:
    tag = synthetic_mark.id3() if audio_format.marked else b""
    return Mp3Encoder(audio_format.sample_rate, _bit_rate(audio_format), tag)


CODECS = {
    "pcm": _Kind("audio/pcm", lambda _: _Pcm16()),
    "wav": _Kind("audio/wav", _Wav),
    "ulaw": _Kind("audio/basic", lambda _: _G711(_ULAW)),
    "alaw": _Kind("audio/x-alaw-basic", lambda _: _G711(_ALAW)),
    "mp3": _Kind("audio/mpeg", _mp3, slow=True),
    "opus": _Kind("audio/opus", lambda form: _OggOpus(_bit_rate(form)), slow=True, rate=ENCODED_RATE),
    "aac": _Kind("audio/aac", lambda form: AacEncoder(form.sample_rate, _bit_rate(form)), slow=True),
    "flac": _Kind("audio/flac", lambda form: FlacEncoder(form.sample_rate), slow=True),
}
"""All codecs, by name."""
