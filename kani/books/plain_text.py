"""Finds chapters and paragraphs in plain text, and what a book of Project Gutenberg's has around it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import dropwhile, pairwise

from kani.books.book import Block
from kani.books.markup import without_note_marks

_PARAGRAPHS = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
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
# Openings of chapters only where their numbers count up: "III", "III. The Fox", "LETTER 1", "4".
_COUNTED = re.compile(
    r"(?:(?P<word>letter|part|book|stave|canto|act|scene|section|lesson|night|carta|parte|libro|acto|escena"
    r"|lettre|partie|livre|acte|brief|teil|buch|akt|lettera|atto|livro|भाग|पत्र)\s+"
    r"(?P<of>\d{1,3}|[IVXLC]{1,8})\b[.:]?(?:\s.{1,60}(?<![.,;!?]))?"
    r"|(?P<roman>[IVXLC]{1,8})(?:\.|\s*[.:–—-]\s*(?-i:[^\Wa-z_]|[\"“‘«]).{0,60}(?<![.,;]))?|(?P<number>\d{1,3})\.?)",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?…:*][\"'”’»)\]_]*$")

_START = re.compile(r"^\*{3} ?START OF TH(?:E|IS) PROJECT GUTENBERG.*$", re.MULTILINE)
_END = re.compile(r"^\*{3} ?END OF TH(?:E|IS) PROJECT GUTENBERG", re.MULTILINE)
_FACT = r"^{}:[ \t]*(.+(?:\n[ \t]+\S.*)*)"
_PICTURE = re.compile(r"\[Illustration(?::[^\[\]]{0,2000})?\]")
_EMPHASIS = re.compile(r"(?<!\w)_(?=\S)([^_]{1,500})(?<=\S)_(?!\w)")
_HYPHEN = re.compile(r"(\w-|--|—)\n(?=\w)")
_ORNAMENT = re.compile(r"(?:[*•·~=_#–—-]\s*)+")

_WIDTHS = range(45, 101)
"""Characters of a line at which texts are wrapped by hand."""

_RAGGED = 6
"""Most characters that a wrapped line may have been longer, with the word that follows."""

_FULL = 0.7
"""Share of the lines of a paragraph that are full, so that it flows."""


def read_plain(text: str) -> tuple[list[Block], str, str]:
    """Return the blocks of a text, its title and its author, each "" where it does not tell it.

    What Project Gutenberg has added is left out.
    """
    title = author = ""
    if start := _START.search(text):
        head = text[: start.start()]
        title, author = (_fact(head, name) for name in ("Title", "Author"))
        end = _END.search(text, start.end())
        text = _EMPHASIS.sub(r"\1", text[start.end() : end.start() if end else None])
    parts = (each.strip("\n").rstrip() for each in _PARAGRAPHS.split(_PICTURE.sub("", text)))
    paragraphs = [each for each in parts if each.strip() and not _ORNAMENT.fullmatch(each.strip())]
    width = _width(paragraphs)
    counted = set(_counted(paragraphs))
    blocks = [
        Block(" ".join(each.split()), 1)
        if number in counted or _is_heading(each.strip())
        else Block(without_note_marks(_flowing(each, width)))
        for number, each in enumerate(paragraphs)
    ]
    return blocks, title, author


def _fact(head: str, name: str) -> str:
    found = re.search(_FACT.format(name), head, re.MULTILINE)
    return " ".join(found[1].split()) if found else ""


def _width(paragraphs: list[str]) -> int:
    """Return the width at which a text was wrapped by hand, 0 where it was not."""
    lengths = sorted(len(line.rstrip()) for each in paragraphs for line in each.split("\n")[:-1])
    width = lengths[len(lengths) * 9 // 10] if lengths else 0
    return width if width in _WIDTHS else 0


def _flowing(paragraph: str, width: int) -> str:
    """Return a paragraph in one line, if its lines were full or go on in small letters: no verse nor list."""
    lines = [line.strip() for line in paragraph.split("\n")]
    breaks = list(pairwise(lines))
    full = [len(line) + 1 + len(after.split(" ", 1)[0]) > width - _RAGGED for line, after in breaks]
    sentence = paragraph[:1].isupper() and bool(_SENTENCE_END.search(paragraph))
    goes_on = sentence and all(after[:1].islower() for _, after in breaks)
    written = "\n".join(lines)
    if not (goes_on or (width and sum(full) >= _FULL * len(full))):
        return written
    # A word is divided where it has its hyphen anyhow.
    return _HYPHEN.sub(r"\1", written).replace("\n", " ")


def _counted(paragraphs: list[str]) -> Iterator[int]:
    """Yield the numbers of the paragraphs that open a chapter as they count up from one."""
    kinds: dict[str, list[tuple[int, int]]] = {}
    for at, each in enumerate(paragraphs):
        if found := _COUNTED.fullmatch(" ".join(each.split())):
            kind = (found["word"] or "").lower() or ("roman" if found["roman"] else "number")
            value = _value(found["of"] or found["roman"] or found["number"])
            if value:
                kinds.setdefault(kind, []).append((at, value))
    for kind, found_at in kinds.items():
        # A heading that another one follows at once is of a table of contents.
        places = {at for at, _ in found_at}
        opening = list(
            dropwhile(lambda each: each[1] > 1, (each for each in found_at if each[0] + 1 not in places))
        )
        values = [value for _, value in opening]
        rises = all(after in (1, value + 1) for value, after in pairwise(values))
        ended = [not at or bool(_SENTENCE_END.search(paragraphs[at - 1].strip())) for at, _ in opening]
        # A number by itself may be that of a page, in the middle of a sentence.
        if len(values) > 1 and rises and (kind != "number" or all(ended[1:])):
            yield from (at for at, _ in opening)


def _value(written: str) -> int:
    """Return the value of a number below 400, 0 for one that is not written so."""
    if written.isdecimal():
        return int(written)
    return next((number for number in range(1, 400) if _roman(number) == written), 0)


def _roman(number: int) -> str:
    """A number below 400 as a Roman numeral."""
    units = ["", *"I II III IV V VI VII VIII IX".split()]
    tens = ["", *"X XX XXX XL L LX LXX LXXX XC".split()]
    return "C" * (number // 100) + tens[number // 10 % 10] + units[number % 10]


def _is_heading(paragraph: str) -> bool:
    """True for a chapter's opening line, which may have the chapter's title in the next one."""
    first, newline, rest = paragraph.partition("\n")
    if not newline:
        return bool(_CHAPTER.fullmatch(first))
    titled = rest[:1].isupper() and "\n" not in rest and len(rest) <= _LONGEST_TITLE and rest[-1] not in ".,;"
    return titled and bool(_NUMBERED_CHAPTER.fullmatch(first.strip()))
