"""Speaks a book into one file, first piece by piece into a work folder, and shows its progress."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TextIO

from kani.books.audio_file import ENDINGS, AudioFile
from kani.books.book import Book
from kani.books.plan import Manner, Piece, digest, pieces_of
from kani.books.work_folder import WorkFolder
from kani.core.audio.encoding import AudioFormat, FileEncoder
from kani.core.subtitles import WRITERS, words_and_cues
from kani.core.types import Samples, Span
from kani_text.markup import without_markup

_LINE_EVERY_S = 30.0
_WIDTH = 78


class Progress:
    """Writes progress to a terminal in place, elsewhere as a line for each chapter and each half minute."""

    def __init__(
        self, total: int, done: int, output: TextIO, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """total, done: characters of the book, and of what an earlier run has spoken."""
        self._total, self._done, self._output, self._clock = total, done, output, clock
        self._at_first, self._began = done, clock()
        self._shown_at, self._shown_as = float("-inf"), ""

    def add(self, characters: int) -> None:
        """Count characters that were spoken."""
        self._done += characters

    def show(self, place: str) -> None:
        """Show where the book is. place: such as the chapter."""
        text = f"{place} · {100 * self._done // max(self._total, 1)} %{self._left()}"
        if self._output.isatty():
            self._output.write(f"\r{text[:_WIDTH]:{_WIDTH}}")
        elif place != self._shown_as or self._clock() - self._shown_at >= _LINE_EVERY_S:
            self._output.write(f"{text}\n")
            self._shown_at, self._shown_as = self._clock(), place
        self._output.flush()

    def close(self) -> None:
        """End the terminal's line."""
        if self._output.isatty():
            self._output.write("\n")

    def _left(self) -> str:
        """Return the time left, by what this run has spoken so far."""
        spoken = self._done - self._at_first
        if not spoken:
            return ""
        seconds = (self._clock() - self._began) * (self._total - self._done) / spoken
        return f" · {duration(seconds)} left"


def duration(seconds: float) -> str:
    """Return a length of time in words, rounded."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


class Spoken(Protocol):
    """A text's speech, such as an ``Audio`` of the library."""

    @property
    def text(self) -> str:
        """The text."""

    @property
    def samples(self) -> Samples:
        """Mono samples in [-1, 1]."""

    @property
    def sample_rate(self) -> int:
        """Hertz of the samples."""

    @property
    def spans(self) -> Sequence[Span]:
        """The times of the text's characters."""

    @property
    def voice(self) -> str:
        """Id of the voice."""


class Meter(Protocol):
    """Takes the progress of a stage: speaking, in characters, or writing the file, in samples."""

    def add(self, count: int) -> None:
        """Count what was done."""

    def show(self, place: str) -> None:
        """Tell where the book is. place: such as the chapter."""

    def close(self) -> None:
        """End the stage."""


MakeMeter = Callable[[int, int], Meter]
"""Returns the meter of a stage, by its total and what is done."""

Say = Callable[[str, str | None], Spoken]
"""Speaks a text with a voice, None for the language's own."""


@dataclass(frozen=True, slots=True)
class Made:
    """Seconds and chapters of a file that was made, and the pieces that an earlier run had spoken."""

    duration_s: float
    chapters: int
    reused: int


def check_output(output: Path) -> None:
    """Raise ValueError if a book cannot be written to a file of that name, or its folder is not there."""
    if output.suffix.lower() not in ENDINGS:
        raise ValueError(f"{output.name}: a book's file has to end with one of {', '.join(ENDINGS)}")
    if not os.path.isdir(output.parent):
        raise ValueError(f"{output}: there is no folder {output.parent}")


def make_audiobook(
    book: Book,
    output: Path,
    manner: Manner,
    say: Say,
    report: TextIO,
    meter: MakeMeter | None = None,
    subtitles: str | None = None,
) -> Made:
    """Speak a book into ``output``; run again after a stop, it goes on where it was.

    report: takes lines, and the progress if there is no meter; subtitles: ``srt`` or ``vtt``, for a file of
    that ending beside the output. Raises ValueError for a name
    of another ending, AlreadyRunning, and what ``say`` raises; the work folder stays.
    """
    check_output(output)
    meter = meter or (lambda total, done: Progress(total, done, report))
    pieces = pieces_of(book, manner)
    with WorkFolder(output) as folder:
        changed = folder.begin(digest(book), manner, len(pieces))
        reused = sum(folder.find(piece.key) is not None for piece in pieces)
        if changed:
            report.write(f"changed since the last run: {', '.join(changed)}\n")
        if reused or changed:
            report.write(f"{reused} of {len(pieces)} pieces are spoken already\n")
        _speak(book, pieces, folder, say, meter)
        spoken = [(piece, found) for piece in pieces if (found := folder.find(piece.key)) is not None]
        file = AudioFile(book, spoken, folder, output.suffix.lower())
        if not file.samples:
            raise ValueError("the book has no text that this voice can speak: choose another --voice")
        unfinished = folder.path / f"unfinished{output.suffix.lower()}"
        progress = meter(file.samples, 0)
        written = 0
        for samples in file.write(unfinished):
            progress.add(samples - written)
            written = samples
            progress.show(f"writing {output.name}")
        progress.close()
        if subtitles is not None:
            beside = folder.path / f"unfinished.{subtitles}"
            beside.write_text(WRITERS[subtitles](file.cues()), "utf-8", newline="\n")
            beside.replace(output.with_suffix(f".{subtitles}"))
        with unfinished.open("rb") as whole:
            os.fsync(whole.fileno())
        unfinished.replace(output)
        folder.remove()
    return Made(file.samples / file.rate, len(file.marks), reused)


def _speak(book: Book, pieces: list[Piece], folder: WorkFolder, say: Say, meter: MakeMeter) -> None:
    """Speak the pieces that the folder lacks."""
    texts: dict[str, Piece] = {}
    for piece in pieces:
        texts.setdefault(piece.key, piece)  # the same text may come twice, and is spoken once
    missing = [piece for piece in texts.values() if folder.find(piece.key) is None]
    total = sum(len(piece.text) for piece in texts.values())
    progress = meter(total, total - sum(len(piece.text) for piece in missing))
    for piece in missing:
        title = book.chapters[piece.chapter - 1].title
        progress.show(f"chapter {piece.chapter} of {len(book.chapters)}: {title[:40]}")
        _store(folder, piece, say(piece.text, piece.voice))
        progress.add(len(piece.text))
    progress.close()


def _store(folder: WorkFolder, piece: Piece, audio: Spoken) -> None:
    flac = b""
    if len(audio.samples):
        encoder = FileEncoder(AudioFormat("flac", audio.sample_rate), audio.sample_rate)
        encoder.add(audio.samples)
        flac = encoder.finish()
    _, cues = words_and_cues(without_markup(audio.text), audio.spans)
    folder.store(piece.key, flac, len(audio.samples), audio.sample_rate, audio.voice, cues)


def describe(book: Book) -> str:
    """Return a book's title, author and numbered chapters, a line each."""
    head = f"{book.title}{f', {book.author}' if book.author else ''}"
    rows = [
        f"{number:4}  {chapter.title or '-'} ({sum(map(len, chapter.paragraphs)):,} characters)"
        for number, chapter in enumerate(book.chapters, 1)
    ]
    return "\n".join([head, *rows])


def summary(made: Made, output: Path) -> str:
    """Return a line about what was made."""
    return f"{output}: {duration(made.duration_s)} of speech, {made.chapters} chapters"
