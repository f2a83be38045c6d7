"""Reads a book as a program of its own, and writes its chapters as JSON.

A server runs it for files of its clients: reading one may take seconds and much memory, and it
limits both for itself. Exit code 0; or ``UNREADABLE`` or ``UNWRITABLE``, with the fault on standard error.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

import msgspec

from kani.books.book import Book, Chapter, UnreadableBook
from kani.books.cover import read_cover
from kani.books.reading import read_book

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


class _Cover(msgspec.Struct):
    type: str
    data: bytes  # base64 in JSON


class _Chapter(msgspec.Struct):
    title: str
    text: str


class _Book(msgspec.Struct):
    title: str
    author: str
    language: str
    cover: _Cover | None
    chapters: list[_Chapter]
    start: int = 0
    left_out: dict[str, int] = {}


def as_json(book: Book) -> bytes:
    """Return what a book holds; the text of a chapter is its paragraphs, with an empty line between two."""
    chapters = [_Chapter(each.title, "\n\n".join(each.paragraphs)) for each in book.chapters]
    cover = _Cover(_TYPES[book.cover.codec], book.cover.data) if book.cover else None
    facts = (book.title, book.author, book.language, cover, chapters, book.start, dict(book.left_out))
    return msgspec.json.encode(_Book(*facts))


def from_json(content: bytes) -> Book:
    """Return the book that ``as_json`` has written."""
    book = msgspec.json.decode(content, type=_Book)
    chapters = tuple(Chapter(each.title, tuple(each.text.split("\n\n"))) for each in book.chapters)
    cover = read_cover(book.cover.data) if book.cover else None
    return Book(book.title, book.author, book.language, chapters, cover, book.start, book.left_out)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
