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
_VOID = frozenset("area base br col embed hr img input link meta source track wbr".split())
_MAX_DEPTH = 1_000
_ENCODINGS = frozenset(
    "utf-8 utf8 us-ascii ascii iso-8859-1 iso-8859-2 iso-8859-5 iso-8859-15 latin-1 windows-1250 "
    "windows-1251 windows-1252 windows-1253 windows-1254 windows-1257 koi8-r shift_jis "
    "euc-jp euc-kr gb2312 gbk gb18030 big5".split()
)
# A number that is no character's, which Python would fail to read.
_LONG_REFERENCE = re.compile(r"&#(?:\d{8,}|[xX][0-9A-Fa-f]{7,});?")
_DECLARED = re.compile(rb"(?:encoding|charset)\s*=\s*[\"']?\s*([A-Za-z0-9_\-]{1,40})")


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

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open(tag, attrs, empty=tag in _VOID)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # In XHTML any element may be written so.
        self._open(tag, attrs, empty=True)

    def _open(self, tag: str, attrs: list[tuple[str, str | None]], empty: bool) -> None:
        given = dict(attrs)
        if tag == "html":
            self.language = given.get("xml:lang") or given.get("lang") or ""
        if tag == "title" and not empty and not self.title:
            self._in_title = True
        if tag in _SKIPPED and not empty:
            self._skipped.append(tag)
            if len(self._skipped) > _MAX_DEPTH:
                raise UnreadableBook(f"nests elements deeper than {_MAX_DEPTH}: do not trust it")
        if tag == "br":
            self._texts.append(" ")
        if tag in _BLOCKS:
            self.end_block()
            if len(tag) == 2 and tag[0] == "h" and tag[1].isdigit() and not empty:
                self._level = int(tag[1])
        self._anchors += [name for name in (given.get("id"), given.get("name")) if name and tag != "meta"]

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False
        if tag in self._skipped:
            del self._skipped[self._skipped.index(tag) :]
        elif tag in _BLOCKS:
            self.end_block()
            self._level = 0

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data
        elif not self._skipped:
            self._texts.append(data)

    def end_block(self) -> None:
        text = " ".join("".join(self._texts).split())
        self._texts = []
        if text:
            self.blocks.append(Block(text, self._level, tuple(self._anchors)))
            self._anchors = []


def read_html(data: bytes) -> tuple[list[Block], str, str]:
    """Return the blocks of a document, its title and its language, each "" where it has none.

    Raises UnreadableBook where it is nested too deep or is no text.
    """
    reader = _Reader()
    reader.feed(_LONG_REFERENCE.sub("\ufffd", decode(data)))
    reader.close()
    reader.end_block()
    return reader.blocks, " ".join(reader.title.split()), reader.language


def decode(data: bytes) -> str:
    """Return the text of bytes in UTF-8, UTF-16 with its mark, or an encoding that they declare.

    Raises UnreadableBook.
    """
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    else:
        declared = _DECLARED.search(data[:1024])
        encoding = declared.group(1).decode().lower() if declared else "utf-8"
        if encoding not in _ENCODINGS or data.startswith(b"\xef\xbb\xbf"):
            encoding = "utf-8"
    try:
        return data.decode("utf-8-sig" if encoding in ("utf-8", "utf8") else encoding)
    except UnicodeDecodeError as error:
        raise UnreadableBook(f"is not text in {encoding}: save it as UTF-8") from error
