"""Reads the paragraphs and headings of HTML and XHTML; nothing is fetched and no entity is defined."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from kani.books.book import Block, UnreadableBook

_BLOCKS = frozenset(
    "address article aside blockquote body dd div dl dt figcaption figure footer header hr html li main "
    "nav ol p pre section table td th tr ul h1 h2 h3 h4 h5 h6".split()
)
_SKIPPED = frozenset("head script style template noscript svg math audio video rt rp".split())
# Notes, their marks, and the beginnings of printed pages: by epub:type, ARIA's roles, and as Project
# Gutenberg's classes.
_NOT_READ = frozenset(
    """noteref footnote rearnote endnote note pagebreak pagenum pageno doc-noteref doc-footnote doc-endnote
    doc-pagebreak""".split()
)
_HIDDEN = re.compile(r"(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.IGNORECASE)
_NOTE_MARK = re.compile(r"\s*[\[(]?(?:\d{1,4}|[*†‡§]{1,3}|[ivxlc]{1,5}|[a-z])[\])]?\s*")
_GLUED_MARK = re.compile(r"(?<=[^\W\d_]|[.,;:!?”»])\[\d{1,3}\]")
_CODE = frozenset(("code", "kbd", "pre", "samp"))
_RAISED = str.maketrans("0123456789+-−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻")
_LOWERED = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_FIGURE_PIECES, _FIGURE_LENGTH = 12, 40
"""Most pieces and characters of a figure that is raised or lowered."""
_VOID = frozenset("area base br col embed hr img input link meta source track wbr".split())
_MAX_DEPTH = 1_000
_LINE_END = "\0"  # no character of a document, as its own white space counts for nothing
_ENCODINGS = frozenset(
    "utf-8 utf8 us-ascii ascii iso-8859-1 iso-8859-2 iso-8859-5 iso-8859-15 latin-1 windows-1250 "
    "windows-1251 windows-1252 windows-1253 windows-1254 windows-1257 koi8-r shift_jis "
    "euc-jp euc-kr gb2312 gbk gb18030 big5".split()
)
# A number that is no character's, which Python would fail to read.
_LONG_REFERENCE = re.compile(r"&#(?:\d{8,}|[xX][0-9A-Fa-f]{7,});?")
# The encoding that a file declares: XML in its first line, HTML in a "meta", a text of Project Gutenberg's.
_DECLARED = re.compile(
    rb"""\A\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([\w\-]{1,40})|<meta[^>]{0,200}?charset\s*=\s*(?:["']\s*)?([\w\-]{1,40})"""
    rb"""|^Character set encoding:\s*([\w\-]{1,40})""",
    re.IGNORECASE | re.MULTILINE,
)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[Block] = []
        self.title = ""
        self.language = ""
        self._texts: list[str] = []
        self._anchors: list[str] = []
        self._level = 0
        self._skipped: list[str] = []
        self._in_title = False
        self._code = 0
        self._linked: int | None = None
        self._shifted: list[tuple[str, int]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open(tag, attrs, empty=tag in _VOID)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # In XHTML any element may be written so.
        self._open(tag, attrs, empty=True)

    def _open(self, tag: str, attrs: list[tuple[str, str | None]], empty: bool) -> None:
        given = dict(attrs)
        if tag == "html":
            self.language = given.get("xml:lang") or given.get("lang") or ""
        self._in_title |= tag == "title" and not empty and not self.title
        if tag == "math" and (formula := given.get("alttext")) and not self._skipped:
            self._texts.append(formula)
        if not empty and (self._skipped or tag in _SKIPPED or _is_unread(given)):
            self._skipped.append(tag)
            if len(self._skipped) > _MAX_DEPTH:
                raise UnreadableBook(f"nests elements deeper than {_MAX_DEPTH}: do not trust it")
        if tag == "br":
            self._texts.append(" " if self._skipped else _LINE_END)
        self._code += tag in _CODE and not empty
        if tag == "a" and "#" in (given.get("href") or ""):
            self._linked = len(self._texts)
        if tag in ("sup", "sub") and not empty:
            self._shifted.append((tag, len(self._texts)))
        if tag in _BLOCKS:
            self.end_block()
            if len(tag) == 2 and tag[0] == "h" and tag[1].isdigit() and not empty:
                self._level = int(tag[1])
        self._anchors += [name for name in (given.get("id"), given.get("name")) if name and tag != "meta"]

    def handle_endtag(self, tag: str) -> None:
        self._in_title &= tag != "title"
        if tag in self._skipped:
            del self._skipped[len(self._skipped) - 1 - self._skipped[::-1].index(tag) :]
            return
        if self._skipped and tag in _BLOCKS:
            # An inline element that was not closed ends with its paragraph.
            self._skipped.clear()
        self._code -= tag in _CODE and self._code > 0
        if tag == "a" and self._linked is not None:
            if _NOTE_MARK.fullmatch("".join(self._texts[self._linked :])):
                del self._texts[self._linked :]
            self._linked = None
        elif tag in ("sup", "sub") and self._shifted:
            self._shift(*self._shifted.pop())
        if tag in _BLOCKS:
            self.end_block()
            self._level = 0

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data
        elif not self._skipped:
            self._texts.append(data if self._code else without_note_marks(data))

    def parse_marked_section(self, i: int, report: bool = True) -> int:
        """Return the end of a section of "<![": of CDATA "]]>", of any other ">", as browsers have it."""
        mark = _end_mark(self.rawdata[i : i + 9])
        at = self.rawdata.find(mark, i)
        return at + len(mark) if at >= 0 else -1

    def _shift(self, tag: str, begin: int) -> None:
        """Write raised and lowered figures so that they are read as such; a mark of a note is left out."""
        # Elements may be nested, or follow each other, without end: each looks at a few characters.
        inner = self._texts[begin : begin + _FIGURE_PIECES + 1]
        if len(inner) > _FIGURE_PIECES or sum(map(len, inner)) > _FIGURE_LENGTH:
            return
        written = "".join(inner).strip()
        before = self._texts[max(0, begin - _FIGURE_PIECES) : begin]
        base = "".join(each[-12:] for each in before)[-12:].rpartition(" ")[2]
        if tag == "sub":
            shifted = written.translate(_LOWERED)
        elif re.fullmatch(r"[+\-−]?\d{1,4}|[a-z]", written) and re.search(
            r"(?:\d|(?<![^\W\d_])[^\W\d_]{1,2}|\))$", base
        ):
            shifted = f"^{written}" if written.isalpha() else written.translate(_RAISED)
        elif _NOTE_MARK.fullmatch(written) and not written.isalpha():
            shifted = ""
        else:
            return
        self._texts[begin:] = [shifted]

    def end_block(self) -> None:
        self._linked, self._shifted = None, []
        lines = (" ".join(each.split()) for each in "".join(self._texts).split(_LINE_END))
        text = (" " if self._level else "\n").join(filter(None, lines))
        self._texts = []
        if text:
            self.blocks.append(Block(text, self._level, tuple(self._anchors)))
            self._anchors = []


def _end_mark(opening: str) -> str:
    """Return what ends the element, comment or section that begins with these characters."""
    return "-->" if opening.startswith("<!--") else "]]>" if opening == "<![CDATA[" else ">"


def without_note_marks(text: str) -> str:
    """Leave out "[3]" where it touches a word, as the mark of a note does."""
    return _GLUED_MARK.sub("", text)


def _is_unread(given: dict[str, str | None]) -> bool:
    """True for what is not shown, and for notes, their marks and the numbers of printed pages."""
    kinds = " ".join(given.get(name) or "" for name in ("epub:type", "role", "class")).split()
    return (
        "hidden" in given or bool(_HIDDEN.search(given.get("style") or "")) or not _NOT_READ.isdisjoint(kinds)
    )


def read_html(data: bytes) -> tuple[list[Block], str, str]:
    """Return the blocks of a document, its title and its language, each "" where it has none.

    Raises UnreadableBook where it is nested too deep or is no text.
    """
    reader = _Reader()
    reader.feed(_LONG_REFERENCE.sub("\ufffd", decode(data)))
    if len(reader.rawdata) > 1 and reader.rawdata[0] == "<":
        # Else what does not end would be text, in which the parser looks for the end of each "<" again.
        reader.feed(_end_mark(reader.rawdata[:9]))
    reader.close()
    reader.end_block()
    return reader.blocks, " ".join(reader.title.split()), reader.language


def decode(data: bytes) -> str:
    """Return the text of bytes in UTF-8, UTF-16 with its mark, or else the encoding that they declare.

    Raises UnreadableBook.
    """
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    else:
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError:
            declared = _DECLARED.search(data[:4096])
            encoding = next(filter(None, declared.groups())).decode().lower() if declared else "utf-8"
            if encoding not in _ENCODINGS:
                encoding = "utf-8"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise UnreadableBook(f"is not text in {encoding}: save it as UTF-8") from error
