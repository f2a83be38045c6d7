"""Reads a book from a file: EPUB, HTML, Markdown or plain text, by the ending of its name."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from kani.books.book import ENDINGS, Block, Book, UnreadableBook, chapters_by_headings, checked, line
from kani.books.epub import read_epub
from kani.books.markup import decode, read_html
from kani.books.plain_text import read_plain
from kani.text.markup import MASK, PARAGRAPH_END, MarkupMasker

MAX_TEXT_BYTES = 64 << 20

_HEADING = re.compile(r"(#{1,6})[ \t]+(.+)")
_FENCE = re.compile(r"[ ]{0,3}(```|~~~)")
# A line that begins with a mark is an item; a line that ends with two spaces ends there.
_ITEM = re.compile(r"^[ \t]*[-*+](?=[ \t])", re.MULTILINE)
_GOES_ON = re.compile(r"(?<! {2})\n(?![^\S\n]*(?:•|\d{1,3}[.)]\s))")
_MARKED = re.compile(r"[^\w\s.,;:!?'\"()–—“”‘’«»¿¡…]")


def read_book(path: Path) -> Book:
    """Read a book. Raises UnreadableBook, with a text that begins with the file's name, and OSError."""
    try:
        return checked(_read(path))
    except UnreadableBook as error:
        raise UnreadableBook(f"{path.name} {error}") from error


def _read(path: Path) -> Book:
    ending = path.suffix.lower()
    if ending == ".epub":
        return read_epub(path)
    if ending not in ENDINGS:
        raise UnreadableBook(f"is no book: its name has to end with one of {', '.join(ENDINGS)}")
    with path.open("rb") as file:
        data = file.read(MAX_TEXT_BYTES + 1)
    if len(data) > MAX_TEXT_BYTES:
        raise UnreadableBook(f"has more than {MAX_TEXT_BYTES >> 20} MiB: divide it")
    book = Book(path.stem, "", "", ())
    if ending in (".html", ".htm", ".xhtml"):
        blocks, title, language = read_html(data)
        book = replace(book, title=line(title) or path.stem, language=line(language))
    else:
        text = decode(data).replace("\r\n", "\n").replace("\r", "\n")
        blocks = _markdown(text) if ending == ".md" else []
        if ending == ".txt":
            blocks, title, author = read_plain(text)
            book = replace(book, title=line(title) or path.stem, author=line(author))
    top = [block.text for block in blocks if block.level == 1]
    if ending == ".md" and len(top) == 1:
        book = replace(book, title=line(top[0]))
    return replace(book, chapters=chapters_by_headings(blocks, book.title))


def _markdown(text: str) -> list[Block]:
    """Divide at headings and empty lines; only the marks of code stay, which the speech announces."""
    blocks: list[Block] = []
    lines: list[str] = []
    fence = ""

    def end() -> None:
        if paragraph := "\n".join(lines).strip():
            blocks.append(Block(paragraph if _FENCE.match(paragraph) else _unmarked(paragraph)))
        lines.clear()

    for each in text.split("\n"):
        mark = _FENCE.match(each)
        if mark and fence in ("", mark.group(1)):
            fence = "" if fence else mark.group(1)
        heading = None if fence or mark else _HEADING.match(each)
        if heading:
            end()
            title = heading.group(2).rstrip()
            bare = title.rstrip("#")
            # Marks that touch the last word are its own: "C#".
            blocks.append(Block(_unmarked(title if bare[-1:].strip() else bare), len(heading.group(1))))
        elif not each.strip() and not fence:
            end()
        else:
            lines.append(each)
    end()
    return [block for block in blocks if block.text]


def _unmarked(paragraph: str) -> str:
    """Return a paragraph of Markdown as it is read, in one line but for items and rows."""
    shown = list(paragraph)
    if _MARKED.search(paragraph):
        masker = MarkupMasker(announce_code=False)
        pieces = masker.feed(paragraph) + masker.flush()
        shown = list("".join(each for each in pieces if isinstance(each, str)))
        last = max((at for at, each in enumerate(shown) if each.isalnum()), default=0)
        for item in _ITEM.finditer(paragraph):
            if len(shown) == len(paragraph) and item.end() <= last:
                shown[item.end() - 1] = "•"
    text = "".join(shown).replace(MASK, "").replace(PARAGRAPH_END, "  \n")
    lines = (" ".join(line.split()) for line in _GOES_ON.sub(" ", text).split("\n"))
    return "\n".join(filter(None, lines)).replace(" ,", ",")
