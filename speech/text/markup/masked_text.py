"""The plain text that comes out, character for character as long as what was written."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

MASK = "\ue000"
"""Stands for a character that is not said, inside a word or behind one."""

CODE_BLOCK = "\ue001"
"""Stands for a code block that is announced."""

PARAGRAPH_END = "\u2029"
"""A paragraph ends here, though nothing that was written says so."""

MAX_ADDRESS = 100
"""Characters of an address behind its ``://`` that are said; the rest of it is dropped."""

MAX_LINE_HEAD = 24
"""How much of a line's beginning is remembered: more than any numbering."""

PRIVATE_USE = re.compile("[\ue000-\uf8ff\U000f0000-\U0010ffff]+")
_ADDRESS = re.compile(r"(?<=[A-Za-z]{2})://|(?<![\w/.@])www\.", re.IGNORECASE)
_ADDRESS_END = re.compile(r"[\s<>\"\u2e80-\U0010ffff]")
_SIGNS = frozenset("%‰&@#*/\\§¶†‡·•")
"""Other punctuation, to Unicode, that ends no clause."""

_QUOTES = frozenset("\"'")
_CLOSING = frozenset(("Pe", "Pf", "Co"))
_TAIL = 6
"""Characters before a piece of text that belong to the beginning of an address in it."""


@dataclass(frozen=True, slots=True)
class Break:
    """A pause that was asked for, in seconds (above 0, at most ``tags.LONGEST_BREAK_S``)."""

    seconds: float


class MaskedText:
    """Takes what was written, piece by piece, and how it comes out.

    ``before``: the last character that was written; ``last``: the last that is said in this line, closing
    marks aside; ``head``: the beginning of this line as it was written; ``address``: how long the address
    is that is being said (0: none).
    """

    def __init__(self) -> None:
        self.previous = ""
        self.last_spoken = ""
        self.line_head = ""
        self.address_length = 0
        self._after = ""
        self._tail = ""
        self._made: list[str | Break] = []

    def take(self) -> list[str | Break]:
        """What was made since it was asked last; no two strings stand side by side."""
        made: list[str | Break] = []
        run: list[str] = []
        for part in self._made:
            if isinstance(part, str):
                run.append(part)
                continue
            if run:
                made.append("".join(run))
                run = []
            made.append(part)
        if run:
            made.append("".join(run))
        self._made = []
        return made

    @property
    def ends_with_mark(self) -> bool:
        """Whether what is said in this line ends with a mark of its own."""
        last = self.last_spoken
        return last != "" and unicodedata.category(last) == "Po" and last not in _SIGNS

    def new_line(self) -> None:
        """A line begins."""
        self.last_spoken = self.line_head = self._tail = ""
        self.address_length = 0

    def copy(self, written: str) -> None:
        """``written`` is said as it is; private characters and most of a long address are masked."""
        at = 0
        joined = self._tail + written
        known = len(self._tail)
        while at < len(written):
            if self.address_length:
                at = self._say_address(written, at)
                continue
            found = _ADDRESS.search(joined, at)
            while found is not None and found.end() - known <= at:
                found = _ADDRESS.search(joined, found.end())
            end = len(written) if found is None else found.end() - known
            self._say(written[at:end])
            at = end
            if found is not None:
                self.address_length = 1
        self._tail = joined[-_TAIL:]

    def substitute(self, shown: str, written: str) -> None:
        """``shown`` stands for ``written``, which is as long."""
        self._put(shown)
        self._wrote(written)
        self._tail = ""

    def mask(self, written: str) -> None:
        """``written`` is not said."""
        self.substitute(self._masks(len(written)), written)

    def pause(self, rest: Break) -> None:
        """Be silent here."""
        self._made.append(rest)
        self._after = ""

    def _say_address(self, written: str, at: int) -> int:
        """Say the address that goes on at ``at``; where it ends."""
        found = _ADDRESS_END.search(written, at)
        end = len(written) if found is None else found.start()
        room = max(MAX_ADDRESS + 1 - self.address_length, 0)
        self._say(written[at : min(end, at + room)])
        if end > at + room:
            self._put(MASK * (end - at - room))
            self._wrote(written[at + room : end])
        self.address_length = 0 if found is not None else self.address_length + end - at
        return end

    def _say(self, written: str) -> None:
        at = 0
        for private in PRIVATE_USE.finditer(written):
            self._put(written[at : private.start()])
            self._put(self._masks(len(private.group())))
            at = private.end()
        self._put(written[at:])
        self._wrote(written)

    def _masks(self, count: int) -> str:
        return (" " if not self._after or self._after.isspace() else MASK) * count

    def _put(self, shown: str) -> None:
        if not shown:
            return
        self._made.append(shown)
        self._after = shown[-1]
        for character in reversed(shown):
            if not (
                character.isspace() or character in _QUOTES or unicodedata.category(character) in _CLOSING
            ):
                self.last_spoken = character
                break

    def _wrote(self, written: str) -> None:
        if written:
            self.previous = written[-1]
            if len(self.line_head) < MAX_LINE_HEAD:
                self.line_head += written[: MAX_LINE_HEAD - len(self.line_head)]
