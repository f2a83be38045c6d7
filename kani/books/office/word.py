"""Reads a Word document (DOCX) as HTML: headings, paragraphs, items of lists, tables; and its facts."""

import re
from collections import Counter
from collections.abc import Mapping
from html import escape
from pathlib import Path
from xml.etree.ElementTree import Element

from kani.books import xml_tree
from kani.books.archive import Archive
from kani.books.book import Book, UnreadableBook, line, with_headings
from kani.books.html.markup import read_html

_PARTS = ("word/document.xml", "word/styles.xml", "word/numbering.xml", "docProps/core.xml")
_LEFT_OUT = {
    "drawing": "pictures",
    "pict": "pictures",
    "footnoteReference": "notes",
    "endnoteReference": "notes",
}
# Deleted words, properties and the instructions of fields are no text.
_UNREAD = frozenset({"del", "moveFrom", "pict", "object", "instrText", "fldData", "pPr", "rPr"})
# HTML of an element: before its content, and after it.
_HTML = {
    **{name: (f"<{tag}>", f"</{tag}>") for name, tag in (("tbl", "table"), ("tr", "tr"), ("tc", "td"))},
    **{name: (f"<{name}>", f"</{name}>") for name in ("ruby", "rt")},
    **dict.fromkeys(("br", "cr"), ("<br/>", "")),
    "tab": (" ", ""),
    "noBreakHyphen": ("-", ""),
}
_SHIFTED = {"superscript": "sup", "subscript": "sub"}
_STYLE = re.compile(r"heading ([1-6])|(title)|(toc .+)")
_CONTENTS = -1
"""Level of the lines of a table of contents, which are not read."""

_MOST_BASES = 10
_OFF = ("0", "false", "off")
_SPLIT = re.compile(r"</su([bp])><su\1>")
"""Between two runs that are raised, or lowered, together."""

_LISTS = {"decimal": "1", "lowerLetter": "a", "upperLetter": "A"}
"""HTML's types of lists that have numbers."""


def read_docx(path: Path) -> Book:
    """Read a document. Raises UnreadableBook and OSError."""
    with path.open("rb") as file, Archive(file) as archive:
        if _PARTS[0] not in archive:
            raise UnreadableBook(f"is no Word document: it lacks {_PARTS[0]}")
        document, styles, numbers, facts = (
            xml_tree.parse(archive.read(name), name) if name in archive else Element("none")
            for name in _PARTS
        )
    writer = _Writer(_levels(styles), _lists(numbers))
    title, author, language = (line(facts.findtext(name) or "") for name in ("title", "creator", "language"))
    left_out = Counter(_LEFT_OUT[each.tag] for each in document.iter() if each.tag in _LEFT_OUT)
    book = Book(title or path.stem, author, language, (), left_out=dict(left_out))
    return book.divided(with_headings(read_html(writer.html(document).encode())[0]))


def _value(element: Element, path: str) -> str:
    found = element.find(path)
    return found.get("val", "") if found is not None else ""


def _level(element: Element) -> int | None:
    """Return the level of heading that a style, or a paragraph by itself, tells, 0 for no heading."""
    outline, named = _value(element, "pPr/outlineLvl"), _STYLE.fullmatch(_value(element, "name").lower())
    if named and named[3]:
        return _CONTENTS
    if outline:
        return int(outline) + 1 if outline in tuple("012345") else 0
    return int(named[1] or 1) if named else None


def _levels(styles: Element) -> dict[str, int | None]:
    """Return the level of each style, which may be that of the style that it is based on."""
    by_id = {style.get("styleId", ""): style for style in styles.iter("style")}
    levels = {}
    for name, style in by_id.items():
        levels[name] = _level(style)
        for _ in range(_MOST_BASES):
            style = by_id.get(_value(style, "basedOn"), Element("none"))
            levels[name] = _level(style) if levels[name] is None else levels[name]
    return levels


def _lists(numbers: Element) -> dict[str, dict[str, str]]:
    """Return the types of each list by depth, "" without numbers; lists of one kind share them."""
    kinds = {
        kind.get("abstractNumId", ""): {
            level.get("ilvl", ""): _LISTS.get(_value(level, "numFmt"), "") for level in kind.iter("lvl")
        }
        for kind in numbers.iter("abstractNum")
    }
    listed = numbers.iter("num")
    return {each.get("numId", ""): kinds.get(_value(each, "abstractNumId"), {}) for each in listed}


class _Writer:
    """Writes HTML. levels: of headings by their styles; lists: their types by number and depth."""

    def __init__(self, levels: Mapping[str, int | None], lists: Mapping[str, Mapping[str, str]]) -> None:
        self._levels, self._lists = levels, lists
        self._counts: dict[str, Counter[str]] = {}

    def html(self, element: Element) -> str:
        """Return what is in an element."""
        # A word's reading stands before it.
        return "".join(map(self._element, sorted(element, key=lambda each: each.tag == "rt")))

    def _element(self, element: Element) -> str:
        if element.tag == "drawing":
            told = (escape(each.get("descr", "")) for each in element.iter("docPr"))
            return "".join(f'<img alt="{each}"/>' for each in told)
        hidden = element.find("rPr/vanish")
        if element.tag in _UNREAD or (hidden is not None and hidden.get("val") not in _OFF):
            return ""
        if element.tag == "t":
            return escape(element.text or "")
        inside = self.html(element)
        if element.tag == "p":
            return self._paragraph(element, inside)
        if shifted := _SHIFTED.get(_value(element, "rPr/vertAlign")):
            return f"<{shifted}>{inside}</{shifted}>"
        before, after = _HTML.get(element.tag, ("", ""))
        return before + inside + after

    def _paragraph(self, paragraph: Element, text: str) -> str:
        level, text = _level(paragraph), _SPLIT.sub("", text)
        if level is None:
            level = self._levels.get(_value(paragraph, "pPr/pStyle"))
        if level:
            return f"<h{level}>{text}</h{level}>" if level > 0 else ""
        number, depth = _value(paragraph, "pPr/numPr/numId"), _value(paragraph, "pPr/numPr/ilvl")
        kind = self._lists.get(number, {}).get(depth)
        if not kind:
            return f"<p>{text}</p>"
        counts = self._counts.setdefault(number, Counter())
        for deeper in [each for each in counts if each > depth]:
            del counts[deeper]
        counts[depth] += 1
        return f'<ol type="{kind}" start="{counts[depth]}"><li>{text}</li></ol>'
