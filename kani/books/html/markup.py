"""Reads the paragraphs and headings of HTML and XHTML; nothing is fetched and no entity is defined."""

import re
from html.parser import HTMLParser

from kani.books.book import Block, Picture, UnreadableBook
from kani.books.html.drawings import Drawing
from kani.books.html.marked_text import (
    CALM,
    EMPHASIS,
    LINE_END,
    NOTE_MARK,
    PICTURE,
    PICTURES,
    SEAM,
    UNMARKED,
    Ruby,
    shift,
    shown,
    split_emphasis,
)
from kani.books.lines import Undivided
from kani.books.plain_text import decode, without_note_marks
from kani_text.writing import ends_sentence

_BLOCKS = frozenset(
    "address article aside blockquote body dd div dl dt figcaption figure footer header hr html li main "
    "nav ol p pre section table td th tr ul h1 h2 h3 h4 h5 h6".split()
)
_SKIPPED = frozenset("head script style template noscript svg math audio video iframe rp".split())
# Notes, their marks, and the beginnings of printed pages: by epub:type, ARIA's roles, and the classes of
# Project Gutenberg and of programs.
_NOT_READ = frozenset(
    """noteref footnote footnotes rearnote rearnotes endnote endnotes note footnote-back reversefootnote
    pagebreak pagenum pageno page-num page-number pagenumber page_number""".split()
)
_NOTES = ("-noteref", "-footnote", "-endnote", "-endnotes", "-backlink", "-pagebreak", "-pageno")
_HIDDEN = re.compile(r"(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.IGNORECASE)
_CODE = frozenset(("code", "kbd", "pre", "samp"))
_VOID = frozenset("area base br col embed hr img input link meta source track wbr".split())
_MAX_DEPTH = 1_000
_EMPHASIZED = frozenset("i em cite dfn var".split())
_ITALIC = re.compile(
    r"(?<![\w-])(?:ital(?:ics?)?|i|em|emphasis|font-style\s*:\s*(?:italic|oblique))(?![\w-])"
)
_LONGEST_ROW = 400
"""Most characters of a table's row that is one paragraph: longer cells are a page's columns."""
# Names that programs write where a picture has no description.
_NO_DESCRIPTION = re.compile(
    r".+\.(?:png|jpe?g|gif|svg|webp|bmp|tiff?)|(?:images?|imagen|imagem|immagine|img|bild|picture|graphic|pic)[\s_-]*\d*",
    re.IGNORECASE,
)
_AS_BLOCK = re.compile(r"display\s*:\s*block", re.IGNORECASE)
_XHTML = '"http://www.w3.org/1999/xhtml"'
# Parts of a word, where no two words meet.
_IN_WORDS = frozenset("sup sub ruby rb rbc rt rtc br img svg math".split())
_NUMBERED = re.compile(r"\W*(?:\d|(?:[a-z]|[ivxlc]{1,6})[.)])", re.IGNORECASE)
# A number that is no character's, which Python would fail to read.
_LONG_REFERENCE = re.compile(r"&#(?:\d{8,}|[xX][0-9A-Fa-f]{7,});?")


class _Reader(HTMLParser):
    def __init__(self, text: str) -> None:
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
        self._spans: list[str] = []
        self._ruby: Ruby | None = None
        self._drawing = Drawing()
        self.pictures: list[Picture] = []
        self._earlier = 0
        self._row: int | None = None
        self._lists: list[tuple[int, int, bool]] = []
        self._number = ""
        self.is_xml = text.startswith("<?xml") or _XHTML in text[:4096]
        self.undivided = Undivided(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # XML may name each element with a prefix: "svg:svg".
        tag = tag.rpartition(":")[2]
        self._open(tag, attrs, empty=tag in _VOID)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # In XHTML any element may be written so.
        self._open(tag.rpartition(":")[2], attrs, empty=True)

    def _open(self, tag: str, attrs: list[tuple[str, str | None]], empty: bool) -> None:
        given = dict(attrs)
        if tag == "html":
            self.language = given.get("xml:lang") or given.get("lang") or ""
        unread = bool(self._skipped) or _is_unread(given)
        self._open_picture(tag, given, unread=unread, empty=empty)
        if tag in ("rb", "rt", "rtc") and self._ruby:
            self._ruby.end_reading(self._texts)
        if not empty and (unread or tag in _SKIPPED or (tag == "rtc" and self._ruby and self._ruby.readings)):
            self._skip(tag)
        if tag == "br":
            self._texts.append(" " if self._skipped else LINE_END)
        self._code += tag in _CODE and not empty
        if tag in _BLOCKS:
            self._open_block(tag, given, empty)
        elif not self._skipped:
            self._open_inline(tag, given, empty)
        self._anchors += [name for name in (given.get("id"), given.get("name")) if name and tag != "meta"]

    def _skip(self, tag: str) -> None:
        self._skipped.append(tag)
        if len(self._skipped) > _MAX_DEPTH:
            raise UnreadableBook(f"nests elements deeper than {_MAX_DEPTH}: do not trust it")

    def _open_picture(self, tag: str, given: dict[str, str | None], *, unread: bool, empty: bool) -> None:
        """Take the description of a picture, a drawing or a formula. A drawing has a title of its own."""
        outermost = self._skipped[0] if self._skipped else ""
        self._in_title |= tag == "title" and not (empty or self.title or outermost == "svg")
        self._drawing.naming = False
        if outermost == "svg":
            self._drawing.open_part(tag, empty=empty)
        elif outermost == "math":
            self._drawing.open_sign(tag, given, self._skipped[-1])
        elif tag in ("svg", "math") and not outermost:
            described = given.get("alttext") or given.get("aria-label") or ""
            told = tag == "math" and described != ""
            self._drawing = Drawing(described, not (unread or empty or told))
            self._texts += [described] * told
        elif tag == "img" and not unread and given.get("role") not in ("presentation", "none"):
            self._picture(given.get("alt") or given.get("aria-label") or "", given.get("src"))

    def _open_block(self, tag: str, given: dict[str, str | None], empty: bool) -> None:
        self.end_block()
        if tag in ("tr", "table"):
            self.end_row()
        if empty:
            return
        if tag == "tr":
            self._row = len(self.blocks)
        if len(tag) == 2 and tag[0] == "h" and tag[1].isdigit():
            self._level = int(tag[1])
        if not self._skipped:
            self._open_list(tag, given)

    def _open_inline(self, tag: str, given: dict[str, str | None], empty: bool) -> None:
        if self._level and tag not in _IN_WORDS:
            self._texts.append(SEAM)
        as_block = tag not in _IN_WORDS and bool(_AS_BLOCK.search(f"{given.get('style')}"))
        if as_block:
            self._texts.append(LINE_END)
        if tag == "a" and "#" in f"{given.get('href')}":
            self._linked = len(self._texts)
        if empty:
            return
        italic = tag == "span" and _ITALIC.search(f"{given.get('class')} {given.get('style')}")
        emphasized = not self._level and bool(tag in _EMPHASIZED or italic)
        if emphasized:
            self._texts.append(EMPHASIS)
        if tag == "span":
            self._spans.append(CALM * emphasized + LINE_END * as_block)
        elif tag in ("sup", "sub"):
            self._shifted.append((tag, len(self._texts)))
        elif tag == "ruby":
            self._ruby = Ruby(len(self._texts))
        elif tag == "rt" and self._ruby:
            self._ruby.reading_at = len(self._texts)

    def _open_list(self, tag: str, given: dict[str, str | None]) -> None:
        """Count the items of a list: its next number and its step, which is 0 where none is shown."""
        if tag in ("ol", "ul"):
            hidden = tag == "ul" or "none" in (given.get("style") or "")
            start, back = given.get("start") or "", "reversed" in given
            step = 0 if hidden or (back and not start) else -1 if back else 1
            self._lists.append((_integer(start, 1), step, given.get("type") in ("a", "A")))
        elif tag == "li" and self._lists:
            number, step, lettered = self._lists[-1]
            number = _integer(given.get("value") or "", number)
            self._number = f"{chr(64 + number) if lettered and 0 < number < 27 else number}." if step else ""
            self._lists[-1] = number + step, step, lettered

    def _picture(self, description: str, source: str | None = None) -> None:
        """Take a picture, and its text, which is read where it stands among words or is a heading."""
        text = " ".join(description.translate(UNMARKED).split())
        told = "" if _NO_DESCRIPTION.fullmatch(text) else text
        if told:
            self._texts.append(f"{SEAM}{PICTURE}{told}{PICTURE}{SEAM}")
        if source:
            self.pictures.append((source, told))

    def handle_endtag(self, tag: str) -> None:
        tag = tag.rpartition(":")[2]
        self._in_title &= tag != "title"
        if tag == "annotation" and self._drawing.naming:
            self._texts.append(f"${self._drawing.text}$")
            self._drawing.goes_on = False
        self._drawing.naming = False
        if tag in self._skipped:
            self._close_skipped(tag)
            return
        if self._skipped and tag in _BLOCKS:
            # An inline element that was not closed ends with its paragraph.
            self._skipped.clear()
        self._close_inline(tag)
        if tag in _BLOCKS:
            self._close_block(tag)
        elif self._level and tag not in _IN_WORDS and not self._skipped:
            self._texts.append(SEAM)
        self._code -= tag in _CODE and self._code > 0

    def _close_skipped(self, tag: str) -> None:
        """End an element that is not read, with those left open in it; a drawing or a formula is told."""
        del self._skipped[len(self._skipped) - 1 - self._skipped[::-1].index(tag) :]
        if self._skipped:
            self._drawing.close_sign(tag, self._skipped[-1])
        elif tag == "svg" and self._drawing.goes_on:
            self._picture(self._drawing.text)
        elif tag == "math" and self._drawing.goes_on:
            self._texts.append(self._drawing.formula)

    def _close_inline(self, tag: str) -> None:
        if tag == "a" and self._linked is not None:
            linked = "".join(self._texts[self._linked :])
            # A picture that leads elsewhere in the book is the mark of a note, too.
            bare = (linked if self._level else PICTURES.sub("", linked)).translate(UNMARKED)
            if NOTE_MARK.fullmatch(bare) or (PICTURE in linked and not bare.strip()):
                del self._texts[self._linked :]
            self._linked = None
        elif tag in ("sup", "sub") and self._shifted:
            shift(self._texts, *self._shifted.pop())
        elif tag == "span" and self._spans:
            self._texts.append(self._spans.pop())
        elif tag in _EMPHASIZED and not self._level:
            self._texts.append(CALM)
        elif tag == "ruby" and self._ruby:
            self._ruby.end(self._texts)
            self._ruby = None
        elif tag == "rt" and self._ruby:
            self._ruby.end_reading(self._texts)

    def _close_block(self, tag: str) -> None:
        self.end_block()
        if tag in ("tr", "table"):
            self.end_row()
        self._level, self._number = 0, "" if tag in ("li", "ol", "ul") else self._number
        if tag in ("ol", "ul") and self._lists:
            self._lists.pop()

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data
        elif self._drawing.naming:
            self._drawing.text += data
        elif not self._skipped:
            self._texts.append(data if self._code else without_note_marks(data))

    def parse_marked_section(self, i: int, report: bool = True) -> int:
        """Return the end of a section of "<![": of CDATA "]]>", of any other ">", as browsers have it."""
        mark = _end_mark(self.rawdata[i : i + 9])
        at = self.rawdata.find(mark, i)
        if at >= 0 and self.is_xml and mark == "]]>":
            self.handle_data(self.rawdata[i + 9 : at])
        return at + len(mark) if at >= 0 else -1

    def end_block(self, at_end: bool = False) -> None:
        """Add a block, with the pictures before it; at the end of the document also one without text."""
        self._linked, self._shifted, self._spans, self._ruby = None, [], [], None
        text = "".join(self._texts)
        whole = text if self._code else self.undivided(text)
        lines = (shown(each, self._level > 0) for each in whole.split(LINE_END))
        text = (" " if self._level else "\n").join(filter(None, lines))
        self._texts = []
        earlier, here = self.pictures[: self._earlier], self.pictures[self._earlier :]
        self.pictures = earlier + [each for each in here if not each[1] or each[1] not in text]
        if text:
            number, self._number = self._number, ""
            if number and not self._level and not _NUMBERED.match(text):
                text = f"{number} {text}"
        if text or at_end:
            plain, emphases = split_emphasis(text)
            self.blocks.append(
                Block(plain, self._level, tuple(self._anchors), emphases, tuple(self.pictures))
            )
            self._anchors, self.pictures = [], []
        self._earlier = len(self.pictures)

    def end_row(self) -> None:
        """Make one paragraph of the cells of a table's row, unless they are long or hold headings."""
        begin, self._row = self._row, None
        cells = self.blocks[begin:] if begin is not None else []
        short = sum(len(each.text) for each in cells) <= _LONGEST_ROW
        if len(cells) < 2 or not short or any(each.level for each in cells):
            return
        row = Block("")
        for cell in cells:
            begun = row.text + (" " if ends_sentence(row.text) else ", ") if row.text else ""
            emphases = ((len(begun) + first, len(begun) + last) for first, last in cell.emphases)
            row = Block(
                begun + cell.text,
                anchors=row.anchors + cell.anchors,
                emphases=(*row.emphases, *emphases),
                pictures=row.pictures + cell.pictures,
            )
        self.blocks[begin:] = [row]


def _integer(written: str, otherwise: int) -> int:
    return int(written) if re.fullmatch(r"-?[0-9]{1,6}", written) else otherwise


def _end_mark(opening: str) -> str:
    """Return what ends the element, comment or section that begins with these characters."""
    return "-->" if opening.startswith("<!--") else "]]>" if opening == "<![CDATA[" else ">"


def _is_unread(given: dict[str, str | None]) -> bool:
    """True for what is not shown, and for notes, their marks and the numbers of printed pages."""
    kinds = " ".join(given.get(name) or "" for name in ("epub:type", "role", "class")).split()
    return (
        "hidden" in given
        or bool(_HIDDEN.search(given.get("style") or ""))
        or any(each in _NOT_READ or each.endswith(_NOTES) for each in kinds)
    )


def read_html(data: bytes) -> tuple[list[Block], str, str]:
    """Return the blocks of a document, its title and its language, each "" where it has none.

    Raises UnreadableBook where it is nested too deep or is no text.
    """
    text = decode(data, "surrogateescape")
    reader = _Reader(text)
    reader.feed(_LONG_REFERENCE.sub("\ufffd", text))
    if len(reader.rawdata) > 1 and reader.rawdata[0] == "<":
        # Else what does not end would be text, in which the parser looks for the end of each "<" again.
        reader.feed(_end_mark(reader.rawdata[:9]))
    reader.close()
    reader.end_block()
    reader.end_row()
    if reader.pictures:
        reader.end_block(at_end=True)
    return reader.blocks, " ".join(reader.title.split()), reader.language
