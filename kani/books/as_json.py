"""Reads a book as a program of its own, and writes its chapters as JSON.

A server runs it for files of its clients: reading one may take seconds and much memory. Exit code 0; or
``UNREADABLE``, with the fault on standard error.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec

from kani.books.book import Book, UnreadableBook
from kani.books.reading import read_book

UNREADABLE = 3


def main(arguments: list[str]) -> int:
    """Read the book at the first path, and write the JSON to the second."""
    source, target = map(Path, arguments)
    if hasattr(os, "nice"):
        os.nice(10)  # speech comes first
    try:
        book = read_book(source)
    except UnreadableBook as error:
        sys.stderr.buffer.write(str(error).encode("utf-8", "replace"))
        return UNREADABLE
    target.write_bytes(as_json(book))
    return 0


def as_json(book: Book) -> bytes:
    """Return title, author, language and chapters of a book, each chapter with its text in paragraphs."""
    chapters = [{"title": each.title, "text": "\n\n".join(each.paragraphs)} for each in book.chapters]
    fields = {"title": book.title, "author": book.author, "language": book.language, "chapters": chapters}
    return msgspec.json.encode(fields)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
