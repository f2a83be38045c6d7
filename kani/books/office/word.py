"""Reads a Word document (DOCX): its paragraphs and headings, tables by rows, title, author and language."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree.ElementTree import Element

from kani.books import xml_tree
from kani.books.archive import Archive
from kani.books.book import Block, Book, UnreadableBook, line

_TEXT, _STYLES, _FACTS = "word/document.xml", "word/styles.xml", "docProps/core.xml"
_SIGNS = {"tab": " ", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
# Deleted words, drawings and the instructions of fields are no text.
_UNREAD = frozenset({"del", "moveFrom", "drawing", "pict", "object", "instrText", "fldData"})
_LEFT_OUT = {
    "drawing": "pictures",
    "pict": "pictures",
    "footnoteReference": "notes",
    "endnoteReference": "notes",
}


def read_docx(path: Path) -> Book:
    """Read a document. Raises UnreadableBook and OSError."""
    with path.open("rb") as file, Archive(file) as archive:
        if _TEXT not in archive:
            raise UnreadableBook(f"is no Word document: it lacks {_TEXT}")
        document = xml_tree.parse(archive.read(_TEXT), _TEXT)
        styles = xml_tree.parse(archive.read(_STYLES), _STYLES) if _STYLES in archive else Element("styles")
        facts = xml_tree.parse(archive.read(_FACTS), _FACTS) if _FACTS in archive else Element("facts")
    levels = dict(_levels(styles))
    blocks = [block for block in _blocks(document, levels) if block.text]
    title, author, language = (line(facts.findtext(name) or "") for name in ("title", "creator", "language"))
    left_out = [_LEFT_OUT[each.tag] for each in document.iter() if each.tag in _LEFT_OUT]
    book = Book(
        title or path.stem, author, language, (), left_out={kind: left_out.count(kind) for kind in left_out}
    )
    return book.divided(blocks)


def _levels(styles: Element) -> Iterator[tuple[str, int]]:
    """Yield the level of each style that is a heading, as its outline or its name tells it."""
    for style in styles.iter("style"):
        name = style.find("name")
        named = (name.get("val", "") if name is not None else "").lower()
        outline = style.find("pPr/outlineLvl")
        if outline is not None and outline.get("val", "").isdecimal() and int(outline.get("val", "")) < 6:
            yield style.get("styleId", ""), int(outline.get("val", "")) + 1
        elif named == "title":
            yield style.get("styleId", ""), 1


def _blocks(element: Element, levels: Mapping[str, int]) -> Iterator[Block]:
    for child in element:
        if child.tag == "p":
            style = child.find("pPr/pStyle")
            yield Block(_text(child), levels.get(style.get("val", ""), 0) if style is not None else 0)
        elif child.tag == "tr":
            cells = (" ".join(block.text for block in _blocks(cell, levels)) for cell in _cells(child))
            yield Block(", ".join(cell for cell in cells if cell))
        elif child.tag not in _UNREAD:
            yield from _blocks(child, levels)


def _cells(row: Element) -> Iterator[Element]:
    """Yield a row's own cells; those of tables inside are theirs."""
    for child in row:
        if child.tag == "tc":
            yield child
        elif child.tag not in _UNREAD:
            yield from _cells(child)


def _text(paragraph: Element) -> str:
    def pieces(element: Element) -> Iterator[str]:
        for child in element:
            if child.tag == "t":
                yield child.text or ""
            elif child.tag not in _UNREAD:
                yield _SIGNS.get(child.tag, "")
                yield from pieces(child)

    return "\n".join(" ".join(each.split()) for each in "".join(pieces(paragraph)).split("\n")).strip()
