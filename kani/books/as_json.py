"""Reads a book as a program of its own, and writes its chapters as JSON.

A server runs it for files of its clients: reading one may take seconds and much memory, and it
limits both for itself. Exit code 0; or ``UNREADABLE`` or ``UNWRITABLE``, with the fault on standard error.
"""

import os
import sys
from bisect import bisect_left
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from kani.books.book import BETWEEN, Book, Chapter, Image, UnreadableBook
from kani.books.cover import read_cover
from kani.books.reading import read_book
from kani_text.dialogue import dialogue

UNREADABLE, UNWRITABLE = 3, 4

MAX_MEMORY_BYTES = 1 << 30
MAX_PROCESSOR_S = 60


def main(arguments: list[str]) -> int:
    """Read the book at the first path, and write the JSON to the second."""
    source, target = map(Path, arguments)
    if hasattr(os, "nice"):
        os.nice(10)  # speech comes first
    limit_resources()
    code = UNREADABLE
    try:
        content = as_json(read_book(source))
        code = UNWRITABLE
        target.write_bytes(content)
        return 0
    except UnreadableBook as error:
        fault = str(error)
    except OSError as error:
        if code != UNWRITABLE:
            raise
        fault = error.strerror or str(error)
    except MemoryError:
        fault = f"{source.name} takes more than {MAX_MEMORY_BYTES >> 20} MiB of memory to read: divide it"
    sys.stderr.buffer.write(fault.encode("utf-8", "replace"))
    return code


def limit_resources() -> None:
    """Limit the memory and the processor time of this process, where the system can."""
    if sys.platform == "win32":
        return
    import resource

    limits = ((resource.RLIMIT_AS, MAX_MEMORY_BYTES), (resource.RLIMIT_CPU, MAX_PROCESSOR_S))
    for kind, most in limits:
        # macOS refuses a limit of memory, and no system one above its own.
        with suppress(ValueError, OSError):
            resource.setrlimit(kind, (most, most))


_TYPES = {"png": "image/png", "mjpeg": "image/jpeg"}


class _Image(msgspec.Struct):
    type: str
    data: bytes  # base64 in JSON


class _Chapter(msgspec.Struct, omit_defaults=True):
    title: str
    text: str
    emphases: list[tuple[int, int]] = []
    pictures: list[dict[str, Any]] = []
    dialogue: list[tuple[int, int]] = []


class _Book(msgspec.Struct):
    title: str
    author: str
    language: str
    cover: _Image | None
    chapters: list[_Chapter]
    start: int = 0
    left_out: dict[str, int] = {}
    images: list[_Image] = []


def as_json(book: Book) -> bytes:
    """Return what a book holds; the text of a chapter is its paragraphs, with an empty line between two.

    Places are counted in UTF-16, as JavaScript does.
    """
    chapters = [_chapter(each, book) for each in book.chapters]
    cover = _image(book.cover) if book.cover else None
    facts = (book.title, book.author, book.language, cover, chapters, book.start, dict(book.left_out))
    return msgspec.json.encode(_Book(*facts, list(map(_image, book.images.values()))))


def _image(image: Image) -> _Image:
    return _Image(_TYPES[image.codec], image.data)


def _chapter(chapter: Chapter, book: Book) -> _Chapter:
    text, numbers = BETWEEN.join(chapter.paragraphs), {name: at for at, name in enumerate(book.images)}
    units = _units(text)
    emphases, said = (
        [(units(begin), units(end)) for begin, end in each]
        for each in (chapter.emphases, dialogue(text, book.language))
    )
    pictures: list[dict[str, Any]] = [
        {"at": units(at), "image": numbers[name], "description": told}
        | {"width": image.width, "height": image.height}
        for at, (name, told) in chapter.pictures
        if (image := book.images.get(name))
    ]
    return _Chapter(chapter.title, text, emphases, pictures, said)


def _units(text: str) -> Callable[[int], int]:
    """Return what counts the UTF-16 code units before a character of a text, or after its last one."""
    double = [at for at, each in enumerate(text) if each > "\uffff"]
    return lambda at: min(at, len(text)) + bisect_left(double, at)


def from_json(content: bytes) -> Book:
    """Return the book that ``as_json`` has written."""
    book = msgspec.json.decode(content, type=_Book)
    chapters = tuple(Chapter(each.title, tuple(each.text.split(BETWEEN))) for each in book.chapters)
    cover = read_cover(book.cover.data) if book.cover else None
    return Book(book.title, book.author, book.language, chapters, cover, book.start, book.left_out)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
