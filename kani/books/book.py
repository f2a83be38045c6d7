"""A book as it is spoken: its chapters, and the paragraphs and headings of a document they are made of."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

from kani.books.lines import headings
from kani_text.language_detection import detect

ENDINGS = (".epub", ".pdf", ".docx", ".txt", ".md", ".html", ".htm", ".xhtml")
"""Endings of the files that can be read."""

SUBTITLES = ("srt", "vtt")
"""Subtitles that can be written beside a book's sound."""

MAX_CHARACTERS = 20_000_000
"""Characters of a book: the longest novels have some ten million."""

BETWEEN = "\n\n"
"""Between two paragraphs of a text."""

MAX_CHAPTERS = 2_000
MAX_TITLE = 200
"""Characters of a title or a name; what is longer is cut."""

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*")
_NO_LANGUAGE = ("und", "mul", "zxx", "mis")


class UnreadableBook(ValueError):
    """A file that is no readable book; ``str()`` names the file's fault and what to do."""


Picture = tuple[str, str]
"""A picture of a document, which is not spoken: its file, as the document names it, and its description."""


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, or a heading of ``level`` 1 to 6 (0: no heading)."""

    text: str
    level: int = 0
    anchors: tuple[str, ...] = ()
    """Names of the links' targets that are in it."""
    emphases: tuple[tuple[int, int], ...] = ()
    """Begin and end of each part of the text that is emphasized."""
    pictures: tuple[Picture, ...] = ()
    """Pictures before it. A block without text has only those."""


@dataclass(frozen=True, slots=True)
class Chapter:
    """A chapter; its ``paragraphs`` are spoken, with its heading among them where the book has one."""

    title: str
    paragraphs: tuple[str, ...]
    emphases: tuple[tuple[int, int], ...] = ()
    """Begin and end of what is emphasized in the paragraphs, joined by ``BETWEEN``."""
    pictures: tuple[tuple[int, Picture], ...] = ()
    """Pictures, and where they stand in that text."""


def chapter_of(title: str, blocks: Iterable[Block]) -> Chapter:
    """Return a chapter of blocks of a document."""
    paragraphs, emphases, pictures, at = list[str](), list[tuple[int, int]](), list[tuple[int, Picture]](), 0
    for block in blocks:
        pictures += [(at, picture) for picture in block.pictures]
        if block.text:
            paragraphs.append(block.text)
            emphases += [(at + begin, at + end) for begin, end in block.emphases]
            at += len(block.text + BETWEEN)
    return Chapter(title, tuple(paragraphs), tuple(emphases), tuple(pictures))


def with_headings(blocks: list[Block]) -> list[Block]:
    """Return the blocks; where none is a heading, those are that look like one."""
    found = {} if any(each.level for each in blocks) else headings([each.text for each in blocks])
    return [replace(each, level=found.get(at, each.level)) for at, each in enumerate(blocks)]


@dataclass(frozen=True, slots=True)
class Image:
    """A picture: PNG (``codec`` png) or JPEG (mjpeg), with its size in pixels."""

    data: bytes
    codec: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Book:
    """A book. ``author`` and ``language`` (BCP 47) are "" where the file does not tell them."""

    title: str
    author: str
    language: str
    chapters: tuple[Chapter, ...]
    cover: Image | None = None
    start: int = 0
    """Index of the chapter that the text begins with, after a title page and the like."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Number of what is not read, by its kind: pages (without text), pictures, notes."""
    images: Mapping[str, Image] = field(default_factory=dict)
    """The pictures' files, by their sources."""

    @property
    def text(self) -> str:
        """All paragraphs."""
        return BETWEEN.join(paragraph for chapter in self.chapters for paragraph in chapter.paragraphs)

    @property
    def characters(self) -> int:
        """Characters of all paragraphs."""
        return sum(len(paragraph) for chapter in self.chapters for paragraph in chapter.paragraphs)

    def divided(self, blocks: Sequence[Block]) -> Book:
        """Return the book with the chapters of a document.

        It is divided at its highest level of headings that occurs more than once, then at those above. What
        comes before the first of them, or the whole where there is none, has the book's title.
        """
        levels = Counter(block.level for block in blocks if block.level)
        level = min((level for level, count in levels.items() if count > 1), default=0)
        found: list[tuple[str, list[Block]]] = [(self.title, [])]
        for block in blocks:
            if block.level and (block.level == level or (block.level < level and len(found) > 1)):
                found.append((block.text, []))
            found[-1][1].append(block)
        told = ((name, parts) for name, parts in found if any(each.text for each in parts))
        return replace(self, chapters=tuple(chapter_of(line(name), parts) for name, parts in told))


_READ = re.compile(r"｜([^\s|｜《》]{1,30})《[\u3041-\u3096\u30a1-\u30fcー・]{1,40}》")


def line(text: str) -> str:
    """Return a line of ``MAX_TITLE`` characters at most, without control characters and readings."""
    shown = "".join(c if c.isprintable() else " " for c in without_readings(text))
    return " ".join(shown.split())[:MAX_TITLE]


def with_reading(word: str, reading: str) -> str:
    """Return a word with its reading as speech knows it; only the word if it is not read in kana."""
    whole = _READ.fullmatch(text := f"｜{word}《{reading}》")
    return text if whole and reading.strip("・") else word


def without_readings(text: str) -> str:
    """Leave out the readings of words."""
    return _READ.sub(r"\1", text)


def checked(book: Book) -> Book:
    """Return the book. Raises UnreadableBook if it holds nothing to speak, or too much."""
    if not any(re.search(r"\w", each) for chapter in book.chapters for each in chapter.paragraphs):
        raise UnreadableBook("has no text to speak")
    if len(book.chapters) > MAX_CHAPTERS:
        raise UnreadableBook(f"has {len(book.chapters):,} chapters, more than {MAX_CHAPTERS:,}: divide it")
    if book.characters > MAX_CHARACTERS:
        raise UnreadableBook(f"has more than {MAX_CHARACTERS:,} characters of text: divide it")
    return book


def book_language(book: Book, spoken: Set[str]) -> str | None:
    """Return the language that a book names, else that of its text; None where it is none that is spoken.

    One for the whole book, so that a chapter's title does not change the voice. spoken: primary subtags.
    """
    named = book.language
    if _LANGUAGE.fullmatch(named) and named.partition("-")[0].lower() in spoken - set(_NO_LANGUAGE):
        return named
    sample = "\n".join(text for chapter in book.chapters for text in chapter.paragraphs[:5])[:20_000]
    return detect(sample, spoken)
