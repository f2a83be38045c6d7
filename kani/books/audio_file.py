"""Writes a spoken book as one file, with chapter marks, tags and a cover; memory does not grow with it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.stream import Disposition

from kani.books.book import Book, Image, without_readings
from kani.books.plan import Piece
from kani.books.work_folder import SpokenPiece, WorkFolder
from kani.core.audio import ffmpeg, synthetic_mark
from kani.core.audio.recording_file import RecordingFile
from kani.core.subtitles import Cue
from kani.core.types import Samples
from kani_text.foreign.files import open_regular

SENTENCE_PAUSE_S, PARAGRAPH_PAUSE_S, CHAPTER_PAUSE_S = 0.2, 0.6, 1.5
"""Seconds of silence before a piece in the middle of a paragraph, before another, and before a chapter."""

_BIT_RATE = 64_000
_RATES = (16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_DEFAULT_RATE = 24_000
_MILLISECONDS = Fraction(1, 1000)
_PICTURE_CLOCK = Fraction(1, 90_000)
_FORMATS: dict[str, tuple[str, str, dict[str, str]]] = {
    ".m4b": ("mp4", "aac", {"brand": "M4B ", "movflags": "+faststart"}),
    ".m4a": ("mp4", "aac", {"brand": "M4A ", "movflags": "+faststart"}),
    ".mp3": ("mp3", "libmp3lame", {}),
}
"""FFmpeg's container, encoder and options, by the ending of a file's name."""

ENDINGS = tuple(_FORMATS)


@dataclass(frozen=True, slots=True)
class Mark:
    """A chapter's place in the file, in seconds."""

    title: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class _Placed:
    """A piece with sound, and the sample of the file at which it begins and ends."""

    piece: Piece
    spoken: SpokenPiece
    start: int
    end: int


class AudioFile:
    """A book's file, laid out from its spoken pieces before it is written.

    Pieces of other sample rates are brought to that of the first; each has exactly the place it was given.
    """

    def __init__(
        self, book: Book, pieces: Sequence[tuple[Piece, SpokenPiece]], folder: WorkFolder, ending: str
    ) -> None:
        self._book, self._folder, self._ending = book, folder, ending
        with_sound = [(piece, spoken) for piece, spoken in pieces if spoken.samples]
        rate = with_sound[0][1].sample_rate if with_sound else _DEFAULT_RATE
        self.rate = rate if rate in _RATES else _DEFAULT_RATE
        self._placed = list(self._place(with_sound))

    @property
    def samples(self) -> int:
        """Length of the file, in samples."""
        return self._placed[-1].end if self._placed else 0

    @property
    def marks(self) -> list[Mark]:
        """The chapters that have sound, from each one's first sample to the next one's."""
        starts: dict[int, int] = {}
        for placed in self._placed:
            starts.setdefault(placed.piece.chapter, placed.start)
        ends = [*list(starts.values())[1:], self.samples]
        return [
            Mark(self._book.chapters[number - 1].title or str(number), start / self.rate, end / self.rate)
            for (number, start), end in zip(starts.items(), ends, strict=True)
        ]

    def cues(self) -> Iterator[Cue]:
        """Yield the subtitles of the whole file."""
        for placed in self._placed:
            offset = placed.start / self.rate
            for cue in placed.spoken.cues:
                lines = tuple(map(without_readings, cue.lines))
                yield Cue(cue.start_s + offset, cue.end_s + offset, lines)

    def write(self, path: Path) -> Iterator[int]:
        """Write the file; yields the samples written so far, after each piece."""
        container_format, codec, options = _FORMATS[self._ending]
        ffmpeg.disable_threads()
        with av.open(str(path), "w", format=container_format, options=options) as container:
            stream = container.add_stream(codec, rate=self.rate)
            assert isinstance(stream, AudioStream)
            stream.layout, stream.bit_rate = "mono", _BIT_RATE
            self._describe(container)
            if self._book.cover is not None:
                _add_cover(container, self._book.cover)
            written = 0
            for placed in self._placed:
                silence = np.zeros(placed.start - written, np.float32)
                written = _encode(container, stream, silence, written)
                for samples in self._sound(placed):
                    written = _encode(container, stream, samples, written)
                yield written
            container.mux(stream.encode(None))

    def _place(self, pieces: list[tuple[Piece, SpokenPiece]]) -> Iterator[_Placed]:
        at, chapter = 0, 0
        for piece, spoken in pieces:
            if chapter:
                inside_s = SENTENCE_PAUSE_S if piece.goes_on else PARAGRAPH_PAUSE_S
                at += round((inside_s if piece.chapter == chapter else CHAPTER_PAUSE_S) * self.rate)
            chapter = piece.chapter
            start, at = at, at + round(spoken.samples * self.rate / spoken.sample_rate)
            yield _Placed(piece, spoken, start, at)

    def _sound(self, placed: _Placed) -> Iterator[Samples]:
        """Yield a piece's samples at the file's rate, exactly as many as its place has."""
        left = placed.end - placed.start
        with (
            open_regular(self._folder.sound(placed.piece.key)) as file,
            RecordingFile(file, self.rate, float("inf")) as recording,
        ):
            while (samples := recording.read()) is not None:
                yield samples[:left]
                left -= len(samples[:left])
        yield np.zeros(left, np.float32)

    def _describe(self, container: OutputContainer) -> None:
        tags = {"title": self._book.title, "album": self._book.title, "genre": "Audiobook"}
        if self._book.author:
            tags |= {"artist": self._book.author, "album_artist": self._book.author}
        container.metadata.update(tags | synthetic_mark.tags())
        container.set_chapters(
            [
                {
                    "id": number,
                    "start": round(mark.start_s * 1000),
                    "end": round(mark.end_s * 1000),
                    "time_base": _MILLISECONDS,
                    "metadata": {"title": mark.title},
                }
                for number, mark in enumerate(self.marks, 1)
            ]
        )


def _encode(container: OutputContainer, stream: AudioStream, samples: Samples, at: int) -> int:
    """Write samples that begin at sample ``at``; return the sample after them."""
    if len(samples):
        planes = np.ascontiguousarray(samples.clip(-1, 1), np.float32)[np.newaxis]
        frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = stream.rate, at, Fraction(1, stream.rate)
        container.mux(stream.encode(frame))
    return at + len(samples)


def _add_cover(container: OutputContainer, cover: Image) -> None:
    picture = container.add_mux_stream(cover.codec, width=cover.width, height=cover.height)
    picture.time_base = _PICTURE_CLOCK
    picture.disposition = Disposition.attached_pic
    container.start_encoding()
    packet = av.Packet(cover.data)
    packet.stream, packet.time_base = picture, _PICTURE_CLOCK
    packet.pts = packet.dts = 0
    packet.is_keyframe = True
    container.mux(packet)
