"""Reads a book from a file: EPUB, HTML, Markdown or plain text, by the ending of its name."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from kani.books.book import Block, Book, UnreadableBook, chapters_by_headings, checked, line
from kani.books.epub import read_epub
from kani.books.markup import decode, read_html, without_note_marks

ENDINGS = (".epub", ".txt", ".md", ".html", ".htm", ".xhtml")
MAX_TEXT_BYTES = 64 << 20

_PARAGRAPHS = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
_HEADING = re.compile(r"(#{1,6})[ \t]+(.+?)[ \t]*#*[ \t]*$")
_FENCE = re.compile(r"[ ]{0,3}(```|~~~)")
_NUMERAL = re.compile(r"[IVXLC]{1,8}\.?")
_LONGEST_TITLE = 80
# A line that opens a chapter in plain text, in the languages of Kokoro's voices and German.
_CHAPTER = re.compile(
    r"(?:(?:chapter|cap[ií]tulo|chapitre|capitolo|kapitel|अध्याय)\s+[\w.\-]{1,20}\b.{0,80}"
    r"|第\s*[0-9０-９一二三四五六七八九十百千〇零]{1,8}\s*[章回節话話].{0,40}"
    r"|(?:prologue|epilogue|pr[oó]logo|ep[ií]logo|prolog|epilog)\W{0,3})",
    re.IGNORECASE,
)


_NUMBERED_CHAPTER = re.compile(
    r"(?:chapter|cap[ií]tulo|chapitre|capitolo|kapitel|अध्याय)\s+[\w.\-]{1,20}", re.IGNORECASE
)


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
        blocks = _markdown(text) if ending == ".md" else _plain(text)
    top = [block.text for block in blocks if block.level == 1]
    if ending == ".md" and len(top) == 1:
        book = replace(book, title=line(top[0]))
    return replace(book, chapters=chapters_by_headings(blocks, book.title))


def _plain(text: str) -> list[Block]:
    paragraphs = [each for part in _PARAGRAPHS.split(text) if (each := part.strip())]
    numerals = [each.rstrip(".") for each in paragraphs if _NUMERAL.fullmatch(each)]
    # "I", "II" … by themselves, in their order, are chapters.
    numbered = len(numerals) > 1 and numerals == [_roman(number) for number in range(1, len(numerals) + 1)]
    return [
        Block(" ".join(each.split()), 1) if _is_heading(each, numbered) else Block(without_note_marks(each))
        for each in paragraphs
    ]


def _roman(number: int) -> str:
    """A number below 400 as a Roman numeral."""
    units = ["", *"I II III IV V VI VII VIII IX".split()]
    tens = ["", *"X XX XXX XL L LX LXX LXXX XC".split()]
    return "C" * (number // 100) + tens[number // 10 % 10] + units[number % 10]


def _is_heading(paragraph: str, numbered: bool) -> bool:
    """True for a chapter's opening line, which may have the chapter's title in the next one."""
    if numbered and _NUMERAL.fullmatch(paragraph):
        return True
    first, newline, rest = paragraph.partition("\n")
    if not newline:
        return bool(_CHAPTER.fullmatch(first))
    titled = rest[:1].isupper() and "\n" not in rest and len(rest) <= _LONGEST_TITLE and rest[-1] not in ".,;"
    return titled and bool(_NUMBERED_CHAPTER.fullmatch(first.strip()))


def _markdown(text: str) -> list[Block]:
    """Divide at headings and empty lines; what else is markup is left to the speech's own reading of it."""
    blocks: list[Block] = []
    lines: list[str] = []
    fence = ""

    def end() -> None:
        if paragraph := "\n".join(lines).strip():
            blocks.append(Block(paragraph))
        lines.clear()

    for each in text.split("\n"):
        mark = _FENCE.match(each)
        if mark and fence in ("", mark.group(1)):
            fence = "" if fence else mark.group(1)
        heading = None if fence or mark else _HEADING.match(each)
        if heading:
            end()
            blocks.append(Block(heading.group(2), len(heading.group(1))))
        elif not each.strip() and not fence:
            end()
        else:
            lines.append(each)
    end()
    return blocks
