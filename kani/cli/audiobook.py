"""``kani-tts say BOOK.epub -o book.m4b``: a book from a file into a file with chapters."""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from kani.books.book import ENDINGS, SUBTITLES
from kani.cli.prerequisites import imports_are_done
from kani.cli.programs import COMMAND
from websocket_config import VERSION

if TYPE_CHECKING:
    from kani.library.results import Audio

_CHAPTERS = re.compile(r"(\d{1,4})(?:-(\d{1,4}))?=(\S+)")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for books."""
    books = parser.add_argument_group("books", f"TEXT may be a file {', '.join(ENDINGS)}: -o book.m4b")
    books.add_argument("--chapters", action="store_true", help="list the book's chapters, and speak nothing")
    books.add_argument(
        "--chapter-voice",
        action="append",
        default=[],
        metavar="N=ID",
        help="voice of a chapter, or of several (2-5=ef_dora); may be given again",
    )
    books.add_argument("--subtitles", choices=SUBTITLES, help="write them beside the output, too")


def is_book(path: Path, given: argparse.Namespace) -> bool:
    """Return True if ``kani-tts say`` makes a file with chapters of ``path``, and not a text's sound."""
    from kani.books.audio_file import ENDINGS as OUTPUTS

    options = given.chapters or given.chapter_voice or given.subtitles
    epub = path.suffix.lower() == ".epub"
    return bool(epub or options or (given.output is not None and given.output.suffix.lower() in OUTPUTS))


def text_of(path: Path) -> str:
    """Return the text of a file. Raises ValueError and OSError."""
    from kani.books.reading import read_book

    return read_book(path).text


def say_book(path: Path, given: argparse.Namespace) -> None:
    """Speak the book as the options of ``kani-tts say`` tell. Raises ValueError, OSError and SpeechError."""
    from kani.books.audiobook import check_output, describe, make_audiobook, summary
    from kani.books.book import book_language
    from kani.books.plan import Manner
    from kani.books.reading import read_book
    from kani.library.blocking import Speech
    from kani.server.allocator import trim_heap

    book = read_book(path)
    if given.chapters:
        print(describe(book))
        return
    if given.output is None:
        raise ValueError("a book needs a file to be written to, such as -o book.m4b")
    check_output(given.output)
    voices = _chapter_voices(given.chapter_voice, len(book.chapters))
    reference = hashlib.sha256(given.reference.read_bytes()).hexdigest() if given.reference else ""
    with Speech(given.engine) as speech:
        imports_are_done()
        known = {voice.id for voice in speech.voices}
        for voice in {*voices.values(), *filter(None, [given.voice])} - known:
            raise ValueError(
                f"--chapter-voice or --voice: {voice!r} is no voice; {COMMAND} voices lists them"
            )
        spoken = {voice.language.partition("-")[0] for voice in speech.voices}
        language = given.language or (None if given.voice else book_language(book, spoken))
        manner = Manner(
            *(given.engine, VERSION, given.voice, voices, language, given.speed, given.emotion, reference)
        )

        def say(text: str, voice: str | None) -> Audio:
            # Freed memory between blocks in use would grow with the book.
            trim_heap()
            return speech.say(
                text,
                voice=voice,
                # A chapter's own voice speaks its own language, unless one is asked for.
                language=given.language or (language if voice is None else None),
                speed=given.speed,
                emotion=given.emotion,
                reference=given.reference,
            )

        try:
            made = make_audiobook(
                book, given.output, manner, say, subtitles=given.subtitles, report=sys.stderr
            )
        except KeyboardInterrupt:
            if not given.piped:
                print("\nstopped: the same command goes on from here", file=sys.stderr)
            raise
    print(summary(made, Path("standard output") if given.piped else given.output), file=sys.stderr)


def _chapter_voices(options: list[str], chapters: int) -> dict[int, str]:
    voices: dict[int, str] = {}
    for option in options:
        match = _CHAPTERS.fullmatch(option)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if match is None or not 1 <= first <= last <= chapters:
            raise ValueError(
                f"--chapter-voice {option}: must be N=ID or N-M=ID, with chapters from 1 to {chapters}"
            )
        voices |= dict.fromkeys(range(first, last + 1), match[3])
    return voices
