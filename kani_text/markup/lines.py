"""Markup at the beginning and the end of lines: headings, lists, quotes, tables, rules, code blocks.

``MarkupMasker`` masks text as it comes: its ``LineReader`` reads this, an ``InlineReader`` the rest.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto

from kani_text.markup import links
from kani_text.markup.inline import InlineReader, Skip
from kani_text.markup.masked_text import (
    CODE_BLOCK,
    MASK,
    MAX_HELD_BACK,
    MAX_LOOKAHEAD,
    PARAGRAPH_END,
    Masked,
    MaskedText,
    PendingText,
)

_BLANKS = re.compile(r"[ \t\r]+")
_HEADING_RUN = re.compile(r"#{1,6}")
_HEADING_END = re.compile(r"#{1,16}[ \t\r]*")
_LINE_MARKS = re.compile(r"([-+*_=])\1{0,2}")
_RULES = frozenset("-*_=")
_BULLETS = frozenset("-+*")
_BULLET_SIGNS = frozenset("•‣◦▪●")
_NUMBERED = re.compile(r"[ \t]*(?:>[ \t]*)*\d{1,3}[.)][ \t]")
_FENCE = re.compile(r"`{3,}|~{3,}")
_FENCE_BEGUN = re.compile(r"`{1,2}|~{1,2}")
_INFO = re.compile(r"[\w+#.-]*[ \t\r]*")
_CODE_LINE = re.compile(r"[^\n]*\n?")
_CLOSING_FENCE = re.compile(r"[ \t>]*(`{3,}|~{3,})[ \t\r]*")
_CLOSING_FENCE_BEGUN = re.compile(r"[ \t>]*(?:`*|~*)[ \t\r]*")
_DELIMITERS = re.compile(r"\|[ \t\r:|-]*")
_CELL_END = re.compile(r"\|[ \t\r]*")
_NEXT_LINE = re.compile(r"\n[ \t\r]*")

_RULE = Skip(re.compile(r"(?=[^-=*_~:| \t\r])"))
_LINE = Skip(re.compile(r"(?=\n)"))


class _Kind(Enum):
    PLAIN = auto()
    HEADING = auto()
    ITEM = auto()
    ROW = auto()


@dataclass(eq=False)
class LineReader:
    """Reads text line by line, from any place in a line."""

    _source: PendingText
    _plain: MaskedText
    _inline: InlineReader
    _announces: bool  # True if blocks of code are told
    _starts: bool = True
    _kind: _Kind = _Kind.PLAIN
    _in_table: bool = False
    _fence: str = ""

    def read(self, at: int) -> int:
        """Read from ``at`` on and return the end; ``at`` itself if more text is needed."""
        if self._inline.skip is not None:
            rule = self._inline.skip is _RULE
            dropped = self._inline.read_skipped(at)
            if dropped is None:
                return at
            if rule and "|" in dropped:
                self._in_table = True
            if dropped:
                return at + len(dropped)
        if self._fence:
            return self._code_line(at)
        if self._starts:
            end = self._start(at)
            if end is not None:
                return end
            self._starts = False
        elif self._source.text[at] == "`" and (end := self._opening_fence(at)) is not None:
            return end
        end = self._inline.read(at)
        if end is not None:
            return end
        match self._source.text[at]:
            case "#":
                return self._hash(at)
            case "|":
                return self._pipe(at)
        return self._newline(at)

    def _start(self, at: int) -> int | None:
        """Read the beginning of a line; None if it is text."""
        source, inline = self._source, self._inline
        text = source.text
        if blanks := _BLANKS.match(text, at):
            return inline.copy(at, blanks.end())
        character = text[at]
        if character == "\n":
            self._in_table = False
        elif character == ">":
            return inline.mask(at, at + 1)
        elif character == "#":
            return self._heading(at)
        elif character in _BULLET_SIGNS:
            return self._item(at, at + 1)
        elif character in _BULLETS or character in _RULES:
            return self._marks(at)
        elif character == "|":
            return self._row(at)
        elif character in "`~":
            return self._opening_fence(at)
        elif character == "[":
            return self._bracket(at)
        return None

    def _heading(self, at: int) -> int | None:
        source = self._source
        end = source.end_of(_HEADING_RUN, at)
        if end is None:
            return at
        if not source.is_blank(end):
            return None
        self._kind = _Kind.HEADING
        self._starts = False
        return self._inline.mask(at, end)

    def _item(self, at: int, end: int) -> int:
        self._kind = _Kind.ITEM
        return self._inline.mask(at, end)

    def _marks(self, at: int) -> int | None:
        """Read a bullet or a rule; None for marks of emphasis or a sign."""
        source = self._source
        run = _LINE_MARKS.match(source.text, at)
        assert run is not None
        end = run.end()
        if end - at == 3 and run[1] in _RULES:
            self._starts = False
            self._inline.skip = _RULE
            return self._inline.mask(at, end)
        if source.may_continue(at, end):
            return at
        if end - at == 1 and run[1] in _BULLETS and source.is_blank(end):
            return self._item(at, end)
        return None

    def _row(self, at: int) -> int:
        """Read a table's row, or the line between its head and its rows."""
        source, inline, plain = self._source, self._inline, self._plain
        end = source.end_of(_DELIMITERS, at, MAX_HELD_BACK)
        if end is None:
            return at
        self._starts = False
        if end - at == MAX_HELD_BACK or ("-" in source.text[at:end] and source.is_line_end(end)):
            self._in_table = True
            inline.skip = _RULE
            return inline.mask(at, end)
        self._kind = _Kind.ROW
        plain.last_spoken = ""
        return inline.mask(at, at + 1)

    def _opening_fence(self, at: int) -> int | None:
        """Read the fence before a code block; None if it is none.

        Against Markdown's rule, a fence after other text of its line counts too if only a language's name
        follows: else the closing fence would be taken for an opening one.
        """
        source, plain = self._source, self._plain
        text = source.text
        found = _FENCE.match(text, at, at + MAX_LOOKAHEAD)
        if found is None:
            begun = _FENCE_BEGUN.match(text, at)
            assert begun is not None
            return at if source.may_continue(at, begun.end()) else None
        newline = text.find("\n", at, at + MAX_LOOKAHEAD)
        end = newline if newline >= 0 else min(len(text), at + MAX_LOOKAHEAD)
        info = text[found.end() : end]
        if (text[at] == "`" and "`" in info) or not (self._starts or _INFO.fullmatch(info)):
            return None
        if newline < 0:
            if source.may_continue(at, end, MAX_LOOKAHEAD):
                return at
            if end - at == MAX_LOOKAHEAD or not self._starts:
                return None
        self._fence = found.group()
        self._starts = False
        shown = (CODE_BLOCK + PARAGRAPH_END + MASK if self._announces else "").ljust(end - at)
        plain.substitute(shown, text[at:end])
        return end

    def _code_line(self, at: int) -> int:
        """Read a line of a code block, or as much of it as is there."""
        source, plain = self._source, self._plain
        text = source.text
        if self._starts:
            found = _CLOSING_FENCE.match(text, at, source.lookahead_end(at))
            if found is not None and found[1].startswith(self._fence):
                if source.may_continue(at, found.end()):
                    return at
                if source.is_line_end(found.end()):
                    return self._end_code(at, found.end())
            if source.may_begin(_CLOSING_FENCE_BEGUN, at):
                return at
        line = _CODE_LINE.match(text, at)
        assert line is not None
        self._starts = line.group().endswith("\n")
        plain.substitute(" " * len(line.group()), line.group())
        return line.end()

    def _end_code(self, at: int, end: int) -> int:
        source, plain = self._source, self._plain
        self._fence = ""
        newline = source.text[end : end + 1]
        # The announcement is a paragraph by itself already.
        shown = " " if self._announces else newline
        plain.substitute(" " * (end - at) + shown[: len(newline)], source.text[at : end + len(newline)])
        self._begin_line(starts=newline == "\n")
        return end + len(newline)

    def _bracket(self, at: int) -> int | None:
        end, defines = links.at_line_start(self._source, at)
        if end is None or end == at:
            return end
        self._starts = False
        if defines:
            self._inline.skip = _LINE
        return self._inline.mask(at, end)

    def _hash(self, at: int) -> int:
        """Read a "#" inside a line: some may end a heading."""
        source, inline = self._source, self._inline
        if self._kind is not _Kind.HEADING or not self._plain.previous.isspace():
            return inline.copy(at, at + 1)
        end = source.end_of(_HEADING_END, at)
        if end is None:
            return at
        if source.is_line_end(end):
            return inline.mask(at, end)
        return inline.copy(at, at + 1)

    def _pipe(self, at: int) -> int:
        """Read a pipe: between two cells or after the last of a row; elsewhere it is text."""
        source, inline, plain = self._source, self._inline, self._plain
        if not (self._kind is _Kind.ROW or self._in_table):
            return inline.copy(at, at + 1)
        end = source.end_of(_CELL_END, at)
        if end is None:
            return at
        self._kind = _Kind.ROW
        if source.is_line_end(end):
            return inline.mask(at, at + 1)
        if plain.last_spoken == ".":
            # "Mín. |": of a sentence or a short form
            plain.substitute(PARAGRAPH_END, "|")
            plain.last_spoken = ""
        elif plain.last_spoken == "" or plain.ends_with_mark:
            plain.substitute(" ", "|")
        else:
            # A comma with a digit on either side would be part of a number.
            tight = not (plain.previous.isspace() or source.is_blank(at + 1))
            plain.substitute(";" if tight else ",", "|")
        return at + 1

    def _newline(self, at: int) -> int:
        source, plain = self._source, self._plain
        shown = "\n"
        if self._kind in (_Kind.HEADING, _Kind.ROW):
            shown = PARAGRAPH_END
        elif self._kind is _Kind.ITEM or _NUMBERED.match(plain.line_head):
            end = source.end_of(_NEXT_LINE, at)
            if end is None:
                return at
            following = source.text[end : end + 1]
            # An item continues in the next line if that begins with a small letter.
            shown = "\n" if following == "\n" or following.islower() else PARAGRAPH_END
        if plain.last_spoken == "" or (plain.ends_with_mark and plain.last_spoken != "."):
            shown = "\n"
        plain.substitute(shown, "\n")
        self._begin_line(starts=True)
        return at + 1

    def _begin_line(self, *, starts: bool) -> None:
        self._starts = starts
        self._kind = _Kind.PLAIN
        self._plain.new_line()
        self._inline.new_line()


class MarkupMasker:
    """Text with Markdown, tags and breaks goes in; plain text of the same length comes out, and pauses.

    The output, joined, is the input character for character, except that markup is masked: by a space before
    a word, after white space and where a line begins; by ``MASK`` inside a word or after one. ``CODE_BLOCK``
    replaces the first character of a code block that is announced. Where a heading, a list item or a table's
    row ends without a mark, its newline becomes ``PARAGRAPH_END``; a comma stands between two cells. A
    ``Break`` follows the masked characters of its tag, a ``Replacement`` precedes its word. A character
    reference becomes its character, in the first of its places. Private-use characters are masked. Takes time
    linear in the text.
    """

    def __init__(self, *, announce_code: bool = True) -> None:
        """announce_code: whether code blocks are announced, rather than passed over."""
        self._source = PendingText()
        self._output = MaskedText()
        self._inline = InlineReader(self._source, self._output)
        self._lines = LineReader(self._source, self._output, self._inline, announce_code)

    def feed(self, text: str) -> list[Masked]:
        """Add ``text``; returns what is certain by now."""
        self._source.text += text
        return self._read()

    def flush(self) -> list[Masked]:
        """Return what was held back, as if the text ended here. More may follow: open blocks stay open."""
        self._source.complete = True
        output = self._read()
        self._source.complete = False
        return output

    def _read(self) -> list[Masked]:
        source = self._source
        at = 0
        while at < len(source.text):
            end = self._lines.read(at)
            if end == at:
                break
            at = end
        source.text = source.text[at:]
        return self._output.take()
