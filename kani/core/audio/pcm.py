"""Audio at the edges: samples at the level of all voices, as PCM and WAV, and clients' recordings decoded."""

import io
import struct
from collections.abc import Callable, Iterator

import av
import numpy as np
import numpy.typing as npt
from av.audio.stream import AudioStream
from av.container import InputContainer

from kani.core.audio import ffmpeg
from kani.core.audio.checked import in_range
from kani.core.audio.mp4 import UnreadableFile, open_mp4
from kani.core.audio.resampling import Resampler
from kani.core.errors import InvalidRequest, Reason
from kani.core.types import Recording, Samples

MAX_RECORDING_BYTES = 10 * 1024 * 1024
MAX_RECORDING_S = 60.0

REFERENCE_RATE = 24_000
"""Hertz to which reference recordings are decoded: no cloning model uses more, and a minute takes 6 MB."""

MIN_RATE, MAX_RATE = 4_000, 192_000
_MAX_CHANNELS = 8
# Energy of a mean below which its channels cancel each other.
_CANCELLED = 0.1
# Opus in its shortest packets (2.5 ms) has 400; a file with many more holds no sound.
_MAX_PACKETS_PER_SECOND = 850
_CODECS = frozenset(
    "aac alac flac mp3 mp3float opus libopus vorbis libvorbis "
    "pcm_u8 pcm_s16le pcm_s24le pcm_s32le pcm_f32le pcm_f64le pcm_alaw pcm_mulaw".split()
)
_UNKNOWN_SIZE = 0xFFFFFFFF
MEDIA_TYPES = {
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "m4a": "audio/mp4",
}
"""Media types of recordings by the endings of their files' names, which are FFmpeg's names of them too."""

_KNOWN_FORMATS = "WAV, MP3, Ogg, FLAC or M4A"
_UNREADABLE = Reason("unreadable")
_FULL_SCALE = np.float32(32768)


Refused = Callable[[str], InvalidRequest]
"""Makes the error of a recording, for a reason."""


def pcm16(samples: Samples) -> bytes:
    """Convert samples to signed 16-bit little-endian PCM, as ``in_range`` gives them."""
    scaled = in_range(samples) * _FULL_SCALE
    np.rint(scaled, out=scaled)
    return bytes(np.minimum(scaled, _FULL_SCALE - 1, out=scaled).astype("<i2").tobytes())


def from_pcm16(pcm: bytes | npt.NDArray[np.int16]) -> Samples:
    """Convert samples, little-endian ones where they are bytes, to [-1, 1)."""
    values = np.frombuffer(pcm, "<i2") if isinstance(pcm, bytes) else pcm
    return values.astype(np.float32) / _FULL_SCALE


class Pcm16Stream:
    """Converts bytes that come in pieces, which may end within a sample."""

    def __init__(self) -> None:
        self.rest = b""  # part of a sample, until the next piece comes

    def feed(self, piece: bytes) -> Samples:
        """Return the samples that are whole."""
        data = self.rest + piece
        whole = len(data) & ~1
        self.rest = data[whole:]
        return from_pcm16(data[:whole])


def wav(audio: Samples | bytes, sample_rate: int, info: bytes = b"") -> bytes:
    """Make a WAV file, 16-bit mono, of samples or of ``pcm16``'s bytes.

    sample_rate: hertz; info: chunks that stand before the samples.
    """
    pcm = audio if isinstance(audio, bytes) else pcm16(audio)
    return wav_header(sample_rate, len(pcm), info) + pcm


def wav_header(sample_rate: int, data_bytes: int, info: bytes = b"") -> bytes:
    """Make the header of a WAV file with so many bytes of samples."""
    return _wav_header(sample_rate, 36 + len(info) + data_bytes, info, data_bytes)


def open_wav_header(sample_rate: int, info: bytes = b"") -> bytes:
    """Make the header of a 16-bit mono WAV stream of unknown length, as ``wav`` makes a file's."""
    return _wav_header(sample_rate, _UNKNOWN_SIZE, info, _UNKNOWN_SIZE)


def _wav_header(sample_rate: int, riff_bytes: int, info: bytes, data_bytes: int) -> bytes:
    layout = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, sample_rate, sample_rate * 2, 2, 16)
    riff = struct.pack("<4sI4s", b"RIFF", riff_bytes, b"WAVE")
    return riff + layout + info + struct.pack("<4sI", b"data", data_bytes)


def decode_recording(
    data: bytes,
    max_bytes: int = MAX_RECORDING_BYTES,
    max_seconds: float = MAX_RECORDING_S,
    *,
    truncate: bool = False,
    sample_rate: int | None = None,
) -> Recording:
    """Decode a client's recording (WAV, MP3, Ogg with Opus or Vorbis, FLAC, M4A) to mono samples.

    Channels are averaged; the sample rate stays, or becomes ``sample_rate`` hertz. A truncated file gives
    what is there. No more than ``max_seconds`` are ever decoded: a longer recording is refused, or cut there
    if ``truncate``. The format is detected by the first bytes of ``data``, and nothing else is read, so a
    playlist that names files or addresses is not taken for audio. Blocks (10 ms for a recording, 0.2 s for
    hostile ones): call it in a thread. Raises InvalidRequest for ``reference``.
    """
    if not data:
        raise _refused("is empty", Reason("no_audio"))
    if len(data) > max_bytes:
        mebibytes = max_bytes / 1048576
        raise _refused(
            f"too large (at most {mebibytes:g} MiB)", Reason("too_large", {"mebibytes": mebibytes})
        )
    container_format = _format_of(data[:16])
    if container_format is None:
        raise _refused(f"is not audio that this server reads ({_KNOWN_FORMATS})")
    try:
        pieces, rate = _decode(data, container_format, max_seconds, truncate, sample_rate)
    except av.FFmpegError as error:
        raise _refused(f"is broken, or not what its first bytes say ({_KNOWN_FORMATS})") from error
    samples = np.concatenate(pieces)
    if not len(samples):
        raise _refused("holds no audio", Reason("no_audio"))
    if not np.isfinite(samples).all():
        raise _refused("holds samples that are not numbers")
    return Recording(np.clip(samples, -1.0, 1.0), rate)


def extension_of(recording: bytes) -> str:
    """Return the ending, of ``MEDIA_TYPES``, of a recording that this server has read."""
    return _format_of(recording[:16]) or "mp3"


def _format_of(head: bytes) -> str | None:
    """The ending, of ``MEDIA_TYPES``, of a recording that begins with ``head``; None if unknown."""
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return "wav"
    if head[:4] == b"OggS":
        return "ogg"
    if head[:4] == b"fLaC":
        return "flac"
    if head[4:8] == b"ftyp":
        return "m4a"
    # An MPEG audio frame: eleven bits of sync, and a layer (ADTS has none).
    if head[:3] == b"ID3" or (
        len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0 and head[1] & 0x06
    ):
        return "mp3"
    return None


def _decode(
    data: bytes, container_format: str, max_seconds: float, cut: bool, sample_rate: int | None
) -> tuple[list[Samples], int]:
    """Decode the first audio stream; returns samples and rate. Raises FFmpegError and InvalidRequest."""
    pieces: list[Samples] = []
    count = 0
    with _open(io.BytesIO(data), container_format) as container:
        if not container.streams.audio:
            raise _refused("holds no audio", Reason("no_audio"))
        stream = container.streams.audio[0]
        if stream.codec_context is None or stream.codec_context.name not in _CODECS:
            raise _refused(f"is of a codec that this server does not read ({_KNOWN_FORMATS})")
        rate = checked_rate(stream, _MAX_CHANNELS, _refused)
        # Resampled while decoding, so that a high rate takes no more memory than any other.
        resampler = Resampler(rate, sample_rate or rate)
        for index, frames in enumerate(decoded_packets(container, stream, _refused)):
            if index > _MAX_PACKETS_PER_SECOND * max_seconds:
                raise _refused("is made of too many pieces")
            for samples in map(mono, frames):
                count += len(samples)
                excess = count - round(max_seconds * rate)
                if excess > 0:
                    if not cut:
                        details = Reason("too_long", {"seconds": max_seconds})
                        raise _refused(f"too long (at most {max_seconds:g} s)", details)
                    samples = samples[:-excess]
                pieces.append(resampler.feed(samples))
                if excess > 0:
                    return [*pieces, resampler.finish()], sample_rate or rate
    return [*pieces, resampler.finish()], sample_rate or rate


def _open(file: io.BytesIO, container_format: str) -> InputContainer:
    ffmpeg.limit_allocations()
    if container_format == "m4a":
        try:
            return open_mp4(file)
        except UnreadableFile as error:
            raise _refused(str(error)) from error
    return av.open(file, "r", container_format, metadata_errors="ignore")


def checked_rate(stream: AudioStream, max_channels: int, refused: Refused) -> int:
    """Check a stream's rate and channels; returns its sample rate in hertz. Raises what ``refused`` makes."""
    codec = stream.codec_context
    if not MIN_RATE <= codec.sample_rate <= MAX_RATE:
        raise refused(f"sample rate must be between {MIN_RATE} and {MAX_RATE} Hz")
    if not 1 <= codec.channels <= max_channels:
        raise refused(f"must have between 1 and {max_channels} channels")
    return int(codec.sample_rate)


def decoded_packets(
    container: InputContainer, stream: AudioStream, refused: Refused
) -> Iterator[list[av.AudioFrame]]:
    """Yield the frames of each packet, all at the stream's rate. Raises what ``refused`` makes."""
    rate = stream.codec_context.sample_rate
    # Threads gain nothing on audio.
    stream.codec_context.thread_count = 1
    for packet in container.demux(stream):
        try:
            frames = stream.decode(packet)
        except av.InvalidDataError:
            # Skip a damaged or cut packet; its neighbours are good.
            frames = []
        if any(frame.sample_rate != rate for frame in frames):
            raise refused("changes its sample rate")
        yield frames


def mono(frame: av.AudioFrame) -> Samples:
    """Mix a frame's channels."""
    array: npt.NDArray[np.generic] = frame.to_ndarray()
    planes = array if frame.format.is_planar else array.reshape(-1, frame.layout.nb_channels).T
    # A damaged file of floats holds NaN, which the caller refuses.
    with np.errstate(invalid="ignore"):
        scaled = planes.astype(np.float64)
    if planes.dtype == np.uint8:
        scaled = (scaled - 128.0) / 128.0
    elif np.issubdtype(planes.dtype, np.signedinteger):
        scaled = scaled / float(2 ** (8 * planes.dtype.itemsize - 1))
    return mixed(scaled)


def mixed(channels: npt.NDArray[np.floating]) -> Samples:
    """Return the mean of channels [channels, samples]; where they cancel each other, the first loud one."""
    with np.errstate(invalid="ignore", over="ignore"):
        mean: Samples = channels.mean(axis=0, dtype=np.float64).astype(np.float32)
        if len(channels) == 1:
            return mean
        energies = np.square(channels, dtype=np.float64).sum(axis=1)
        # A single loud channel among silent ones leaves a mean of one over their number.
        if np.square(mean, dtype=np.float64).sum() < _CANCELLED * energies.max() / len(channels) ** 2:
            mean = channels[int(np.argmax(energies >= energies.max() / 2))].astype(np.float32)
    return mean


def _refused(reason: str, details: Reason = _UNREADABLE) -> InvalidRequest:
    return InvalidRequest("reference", reason, details)


LEVEL_LUFS = -20.0
"""Integrated loudness (ITU-R BS.1770) that engines give all their voices."""

_KNEE, _CEILING = 0.6, 0.82


def decibels(db: float) -> float:
    """Return the factor that changes samples by ``db`` decibels."""
    return float(10 ** (db / 20))


def leveled(samples: Samples, gain: float) -> Samples:
    """Multiply samples by ``gain`` and bend those above 0.6 towards 0.82: true peaks stay below −1 dB.

    Each sample depends on itself only: pieces give the samples of the whole, and nothing waits.
    """
    louder = samples * np.float32(gain)
    height = np.abs(louder)
    over = np.flatnonzero(height > _KNEE)
    if len(over):
        bent = _KNEE + (_CEILING - _KNEE) * np.tanh((height[over] - _KNEE) / (_CEILING - _KNEE))
        louder[over] = np.copysign(bent, louder[over])
    return louder
