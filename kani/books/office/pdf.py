"""Reads a PDF: the text of its pages without their heads and numbers, its outline's chapters, title, author.

The process that reads books bounds the memory and the time of it; pypdf bounds what a stream expands to.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO

from pypdf import PdfReader
from pypdf.errors import DependencyError
from pypdf.generic import Destination

from kani.books.archive import ENCRYPTED
from kani.books.book import Block, Book, Chapter, UnreadableBook, line
from kani.books.lines import SENTENCE_END
from kani.books.plain_text import read_plain

MAX_PAGES = 5_000

_SHORT = 0.85
"""Share of the usual width of a line that the last line of a paragraph has at most."""

# It warns of each oddity of a file.
logging.getLogger("pypdf").setLevel(logging.ERROR)


def read_pdf(path: Path) -> Book:
    """Read a document. Raises UnreadableBook and OSError."""
    with path.open("rb") as file:
        try:
            pages, title, author, starts = _read(file)
        except DependencyError as error:  # its cipher is another package's
            raise UnreadableBook(ENCRYPTED) from error
        except (UnreadableBook, OSError, MemoryError):
            raise
        except Exception as error:  # pypdf raises errors of many kinds for damaged files
            raise UnreadableBook(f"is a damaged PDF ({error}): get it again") from error
    empty = sum(not page.strip() for page in pages)
    if empty == len(pages):
        raise UnreadableBook(
            "has no text, only pictures of pages: have them read by a program for that (OCR)"
        )
    book = Book(title or path.stem, author, "", (), left_out={"pages": empty} if empty else {})
    if len(starts) < 2:
        return book.divided(_blocks(pages))
    # The pages before the first chapter are one, too.
    begins = sorted({0: book.title, **starts}.items())
    ends = [at for at, _ in begins[1:]] + [len(pages)]
    chapters = (
        Chapter(name, tuple(block.text for block in _blocks(pages[at:end])))
        for (at, name), end in zip(begins, ends, strict=True)
    )
    return replace(book, chapters=tuple(chapter for chapter in chapters if chapter.paragraphs))


def _read(file: IO[bytes]) -> tuple[list[str], str, str, dict[int, str]]:
    """Return the text of the pages, title, author, and the chapters' titles by their pages."""
    reader = PdfReader(file)
    if reader.is_encrypted and not reader.decrypt(""):
        raise UnreadableBook(ENCRYPTED)
    if len(reader.pages) > MAX_PAGES:
        raise UnreadableBook(f"has more than {MAX_PAGES:,} pages: divide it")
    pages = [page.extract_text() for page in reader.pages]
    facts: Mapping[str, object] = reader.metadata or {}
    title, author = (line(str(facts.get(name, ""))) for name in ("/Title", "/Author"))
    return pages, title, author, dict(_outline(reader))


def _outline(reader: PdfReader) -> Iterator[tuple[int, str]]:
    """Yield the page and the title of each chapter of the outline's top level."""
    for item in reader.outline:
        if isinstance(item, Destination) and (page := reader.get_destination_page_number(item) or 0) >= 0:
            yield page, line(str(item.title))


def _blocks(pages: list[str]) -> list[Block]:
    return read_plain("\f".join(map(_with_paragraphs, pages)))[0]


def _with_paragraphs(page: str) -> str:
    """Return a page's text with an empty line after each paragraph: its last line ends early."""
    lines = page.split("\n")
    lengths = sorted(len(each) for each in lines)
    short = _SHORT * lengths[len(lengths) * 9 // 10]
    ends = (SENTENCE_END.search(each.rstrip()) and len(each) < short for each in lines)
    return "\n".join(each + "\n" if end else each for each, end in zip(lines, ends, strict=True))
