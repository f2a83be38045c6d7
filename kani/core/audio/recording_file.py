"""Decodes a recording of any length from a file, piece by piece, so that memory does not grow with it."""

import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Self

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer

from kani.core.audio import ffmpeg
from kani.core.audio.mp4 import OpenIndex, UnreadableFile, is_mp4, open_mp4
from kani.core.audio.pcm import checked_rate, decoded_packets, from_pcm16, mono
from kani.core.audio.resampling import Resampler
from kani.core.errors import InvalidRequest, SpeechError
from kani.core.types import Samples

PIECE_S = 20.0
"""Seconds of audio that ``read`` returns at most."""

MAX_CLIP_S = 1e9
"""Seconds after which no clip begins or ends: no recording is as long."""

MAX_CHANNELS = 32

HOLE_S = 0.1
"""Seconds without sound, by the time stamps, from which on there is silence: stamps jitter by some ms."""

MAX_HOLES_S = 3600.0
"""Seconds of such silence in a recording: stamps may be forged."""

MAX_OVERLAP_S = 1.0
"""Seconds of sound that a stamp may repeat; where it goes back further, another time line begins."""

# Containers that hold their audio themselves. Others name files or addresses, which FFmpeg would open: HLS,
# DASH, concat, SDP, image sequences. MP4 is opened by ``open_mp4``.
_CONTAINERS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dts,eac3,flac,flv,gsm,matroska,webm,mp3,mpc,mpc8,mpeg,"
    "mpegts,ogg,rm,tak,tta,voc,w64,wav,wv,xwma"
)
_UNREADABLE = "is damaged, or not audio that this server reads, such as WAV, MP3, M4A, Ogg, FLAC and WebM"
# Packets of a file without sound: 400 a second are the most that a codec makes.
_PACKETS_PER_SECOND, _SPARE_PACKETS = 850, 50_000
# Packets between two looks at the index, which grows while the fragments of an MP4 are read.
_PACKETS_PER_COUNT = 64


@dataclass(frozen=True, slots=True)
class Clip:
    """A stretch of a recording, in seconds; the whole of it by default."""

    start_s: float = 0.0
    length_s: float = math.inf

    def cut(self, piece: Samples, at: int, sample_rate: int) -> Samples:
        """Return what of a piece is inside; at: samples of the recording before it."""
        begin, end = (
            max(0, round(min(seconds, MAX_CLIP_S) * sample_rate) - at)
            for seconds in (self.start_s, self.start_s + self.length_s)
        )
        return piece[begin:end]


class _Timeline:
    """Finds by a stream's time stamps where nothing was recorded: before it begins, and in holes."""

    def __init__(self, container: InputContainer, rate: int) -> None:
        """rate: of the samples, in hertz."""
        # MP4 and Matroska count from 0, also where the sound of a film is a file of its own. Others begin at
        # any number, a transport stream always.
        from_0 = any(name in container.format.name for name in ("mp4", "matroska"))
        self._origin_s = 0.0 if from_0 else (container.start_time or 0) / av.time_base
        self._rate = rate
        self._left_s = MAX_HOLES_S

    def hole(self, frame: av.AudioFrame, position: int) -> int:
        """Return the samples of silence before a frame; position: samples before that."""
        if frame.pts is None or frame.time_base is None:
            return 0
        late_s = float(frame.pts * frame.time_base) - self._origin_s - position / self._rate
        if -MAX_OVERLAP_S <= late_s < HOLE_S:
            return 0
        if not 0 < late_s <= self._left_s:
            self._origin_s += late_s  # a forged stamp, or another stream that is appended
            return 0
        self._left_s -= late_s
        return round(late_s * self._rate)


class RecordingFile:
    """A recording that is open for reading; use it in ``with``. Every call blocks: make it in a thread.

    Raises InvalidRequest for ``file`` where it is no audio, or longer than allowed, and Busy where the
    indexes of all open recordings would take too much memory.
    """

    def __init__(self, file: IO[bytes], sample_rate: int, max_seconds: float) -> None:
        """file: seekable; its bytes tell the container, and nothing else is opened. sample_rate: of what
        ``read`` returns, in hertz.
        """
        self._sample_rate = sample_rate
        self._max_seconds = max_seconds
        self._lock = threading.Lock()
        self._reading = self._left = False
        self._container = _open(file)
        self._index = OpenIndex(self._container, self._container.size)
        try:
            self._count_index()
            stream = self._stream()
        except SpeechError:
            self._close()
            raise
        self.rate = stream.codec_context.sample_rate
        """Hertz of the file."""
        self._resampler = Resampler(self.rate, sample_rate)
        self._pieces = self._decode(stream)
        duration = self._container.duration
        self.duration_s = None if duration is None else duration / av.time_base
        """Length by the file's head, which may be wrong or missing."""
        self.samples = 0  # samples so far, at ``sample_rate``

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # A cancelled task leaves while a thread still reads: closing then would free what FFmpeg works on.
        with self._lock:
            self._left = True
            if not self._reading:
                self._close()

    def read(self) -> Samples | None:
        """Return the next samples: mono, ``PIECE_S`` at most; None at the end, and once it was left."""
        with self._lock:
            if self._left:
                return None
            self._reading = True
        try:
            piece = next(self._pieces, None)
        finally:
            with self._lock:
                self._reading = False
                if self._left:
                    self._close()
        if piece is None and not self.samples:
            raise refused("holds no audio")
        self.samples += 0 if piece is None else len(piece)
        return piece

    def _close(self) -> None:
        self._container.close()
        self._index.close()

    def _count_index(self) -> None:
        try:
            self._index.count()
        except UnreadableFile as error:
            raise refused(str(error)) from error

    def _stream(self) -> AudioStream:
        """Return the first audio stream, checked."""
        if not self._container.streams.audio:
            raise refused("holds no audio")
        stream = self._container.streams.audio[0]
        if stream.codec_context is None:
            raise refused("is of a codec that this server does not read")
        checked_rate(stream, MAX_CHANNELS, refused)
        return stream

    def _decode(self, stream: AudioStream) -> Iterator[Samples]:
        """Yield the audio in pieces of ``PIECE_S``."""
        waiting, ready, count = list[Samples](), 0, 0
        for samples in self._frames(stream):
            count += len(samples)
            if count > self._max_seconds * self.rate:
                raise refused(f"too long (at most {self._max_seconds:g} s)")
            waiting.append(self._resampler.feed(samples))
            ready += len(waiting[-1])
            if ready >= PIECE_S * self._sample_rate:
                yield np.concatenate(waiting)
                waiting, ready = [], 0
        rest = np.concatenate([*waiting, self._resampler.finish()])
        if len(rest):
            yield rest

    def _frames(self, stream: AudioStream) -> Iterator[Samples]:
        """Yield the decoded frames, mono at the file's rate, and silence where its time stamps have holes."""
        decoded_s, position = 0.0, 0
        timeline = _Timeline(self._container, self.rate)
        try:
            for index, frames in enumerate(decoded_packets(self._container, stream, refused)):
                if index > _SPARE_PACKETS + _PACKETS_PER_SECOND * decoded_s:
                    raise refused("is made of too many pieces")
                if index % _PACKETS_PER_COUNT == 0:
                    self._count_index()
                for frame in frames:
                    for begin in range(0, hole := timeline.hole(frame, position), self.rate):
                        yield np.zeros(min(self.rate, hole - begin), np.float32)
                    samples = mono(frame)
                    decoded_s += len(samples) / self.rate
                    position += hole + len(samples)
                    yield np.clip(np.nan_to_num(samples), -1.0, 1.0)
        except av.FFmpegError as error:
            # A file that was cut off gives what is there.
            if not decoded_s:
                raise refused("is damaged: none of its audio can be read") from error


class PcmFile:
    """Headerless 16-bit little-endian PCM, mono; reads as ``RecordingFile`` does."""

    def __init__(self, file: IO[bytes], sample_rate: int, max_seconds: float) -> None:
        """sample_rate: of the file, and of what ``read`` returns, in hertz."""
        self._file = file
        self.rate = self._sample_rate = sample_rate
        self._max_seconds = max_seconds
        self.duration_s: float | None = None
        self.samples = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def read(self) -> Samples | None:
        data = self._file.read(2 * round(PIECE_S * self._sample_rate))
        if len(data) % 2:
            raise refused("must have whole samples of two bytes")
        if not data:
            if not self.samples:
                raise refused("holds no audio")
            return None
        self.samples += len(data) // 2
        if self.samples > self._max_seconds * self._sample_rate:
            raise refused(f"too long (at most {self._max_seconds:g} s)")
        return from_pcm16(data)


def open_recording(
    file: IO[bytes], sample_rate: int, max_seconds: float, pcm: bool
) -> RecordingFile | PcmFile:
    """Open a recording; pcm: whether it is headerless. Blocks, and raises as ``RecordingFile`` does."""
    return (PcmFile if pcm else RecordingFile)(file, sample_rate, max_seconds)


def refused(reason: str) -> InvalidRequest:
    return InvalidRequest("file", reason)


def _open(file: IO[bytes]) -> InputContainer:
    if not file.read(1):
        raise refused("is empty")
    file.seek(0)
    ffmpeg.limit_allocations()
    try:
        if is_mp4(file):
            return open_mp4(file)
        return av.open(
            file, "r", metadata_errors="ignore", container_options={"format_whitelist": _CONTAINERS}
        )
    except UnreadableFile as error:
        raise refused(str(error)) from error
    except (av.FFmpegError, ValueError) as error:
        raise refused(_UNREADABLE) from error
