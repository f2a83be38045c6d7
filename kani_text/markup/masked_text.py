"""The text that is pending, and the output: plain text, as long as the text with markup."""

import re
import unicodedata
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

from kani_text.types import Replacement
from kani_text.writing import CLOSERS

MAX_HELD_BACK = 300
"""Characters that are held back at most: a tag or the end of a link that is longer is text."""

MAX_LOOKAHEAD = 120
"""Characters searched for the end of a code span or of a link's text: their words wait for it."""


@dataclass(slots=True)
class PendingText:
    """``text`` is what is there; ``complete``: whether to decide as if it ended there."""

    text: str = ""
    complete: bool = False

    def may_continue(self, at: int, end: int, longest: int = MAX_HELD_BACK) -> bool:
        """True if ``[at, end)`` may continue with text that is still to come."""
        return end >= len(self.text) and not self.complete and end - at < longest

    def may_begin(self, begun: re.Pattern[str], at: int, longest: int = MAX_HELD_BACK) -> bool:
        """True if all that is there from ``at`` on may be the beginning of a match."""
        return self.may_continue(at, len(self.text), longest) and begun.fullmatch(self.text, at) is not None

    def end_of(self, always: re.Pattern[str], at: int, most: int = 0) -> int | None:
        """The end of what a pattern finds at ``at``, where it does, up to ``most`` characters or
        ``lookahead_end``; None if text that is still to come decides."""
        found = always.match(self.text, at, at + most if most else self.lookahead_end(at))
        assert found is not None
        return None if self.may_continue(at, found.end(), most or MAX_HELD_BACK) else found.end()

    def lookahead_end(self, at: int) -> int:
        """End of a search from ``at`` on that leaves one character of ``MAX_HELD_BACK`` for what follows the
        match."""
        return at + MAX_HELD_BACK - 1

    def is_line_end(self, at: int) -> bool:
        """True if a line, or the text, ends at ``at``."""
        return self.text.startswith("\n", at) or (self.complete and at >= len(self.text))

    def is_blank(self, at: int) -> bool:
        """True if white space, or the end, is at ``at``."""
        return at >= len(self.text) or self.text[at].isspace()


MASK = "\ue000"
"""Replaces a character that is not spoken, inside a word or after one."""

JOINED = "\u2060"
"""Replaces a space inside a place that something else is spoken for: the word joiner, which is invisible."""

CODE_BLOCK = "\ue001"
"""Replaces a code block that is announced."""

PARAGRAPH_END = "\u2029"
"""Ends a paragraph that only markup ends."""

MAX_ADDRESS = 100
"""Characters of an address after its ``://`` that are kept; the rest of it is masked."""

MAX_LINE_HEAD = 24
"""Characters of a line's beginning that are remembered: more than any numbering."""

PRIVATE_USE = re.compile("[\ue000-\uf8ff\U000f0000-\U0010ffff]+")
_ADDRESS = re.compile(r"(?<=[A-Za-z]{2})://|(?<![\w/.@])www\.", re.IGNORECASE)
_ADDRESS_END = re.compile(r"[\s<>\"\u2e80-\U0010ffff]")
_WHOLE = re.compile(r"([^\W_]+(?:['’-][^\W_]+)*)|.", re.DOTALL)
_LONGEST_WHOLE = 40
_SIGNS = frozenset("%‰&@#*/\\§¶†‡·•")
"""Characters that Unicode calls other punctuation (Po) but that end no clause."""

_TAIL = 6
"""Characters before a piece of text that may belong to the beginning of an address in it."""


@dataclass(frozen=True, slots=True)
class Break:
    """A requested pause, in seconds (above 0, at most ``tags.MAX_BREAK_S``)."""

    seconds: float


Masked = str | Break | Replacement
"""Plain text, a pause, or what is spoken for the next characters, ``end`` of them."""


class Shown(NamedTuple):
    """Markup up to ``end`` that ``said`` is shown of, where it stands from ``start`` on.

    One that ends where it begins needs more text. ipa: the sounds of ``said``, where they are given.
    """

    start: int
    said: str
    end: int
    ipa: str | None = None


@dataclass(eq=False)
class MaskedText:
    """Collects the output, a piece for each piece of text with markup."""

    previous: str = ""
    """The last character of the text with markup."""
    last_spoken: str = ""
    """The last visible character of this line, closing marks aside."""
    line_head: str = ""
    """The beginning of this line, with markup."""
    address_length: int = 0
    """Characters so far of the address that is being read; 0 outside one."""
    _last_shown: str = ""
    _tail: str = ""
    _output: list[Masked] = field(default_factory=list)

    def take(self) -> list[Masked]:
        """Return the output since the last call; no two strings are neighbours."""
        output: list[Masked] = []
        for is_text, parts in groupby(self._output, lambda part: isinstance(part, str)):
            if is_text:
                output.append("".join(map(str, parts)))
            else:
                output += parts
        self._output = []
        return output

    @property
    def ends_with_mark(self) -> bool:
        """True if the visible text of this line ends with a mark of its own."""
        last = self.last_spoken
        return last != "" and unicodedata.category(last) == "Po" and last not in _SIGNS

    def new_line(self) -> None:
        """Begin a line."""
        self.last_spoken = self.line_head = self._tail = ""
        self.address_length = 0

    def copy(self, written: str) -> None:
        """Keep ``written``; private-use characters and most of a long address are masked."""
        at = 0
        joined = self._tail + written
        known = len(self._tail)
        while at < len(written):
            if self.address_length:
                at = self._copy_address(written, at)
                continue
            found = _ADDRESS.search(joined, at)
            while found is not None and found.end() - known <= at:
                found = _ADDRESS.search(joined, found.end())
            end = len(written) if found is None else found.end() - known
            self._copy(written[at:end])
            at = end
            if found is not None:
                self.address_length = 1
        self._tail = joined[-_TAIL:]

    def substitute(self, shown: str, written: str) -> None:
        """Replace ``written`` by ``shown``, which is as long."""
        self._append(shown)
        self._remember(written)
        self._tail = ""

    def mask(self, written: str) -> None:
        """Mask ``written``."""
        self.substitute(self._masks(len(written)), written)

    def say(self, written: str, said: Replacement) -> None:
        """Have something else spoken for ``written``, which becomes one word: nothing is cut inside of it."""
        self._output.append(said)
        if len(written) > _LONGEST_WHOLE or not written[:1].isalnum():
            # One letter keeps the place.
            self.substitute(next(filter(str.isalnum, written), "x"), written[:1])
            self.mask(written[1:])
            return
        for run in _WHOLE.finditer(written):
            if run[0].isspace():
                self.substitute(JOINED, run[0])
            else:
                (self.copy if run[1] else self.mask)(run[0])

    def pause(self, requested: Break) -> None:
        """Add a pause."""
        self._output.append(requested)
        self._last_shown = ""

    def _copy_address(self, written: str, at: int) -> int:
        """Keep or mask the address that continues at ``at``; returns its end."""
        found = _ADDRESS_END.search(written, at)
        end = len(written) if found is None else found.start()
        room = max(MAX_ADDRESS + 1 - self.address_length, 0)
        self._copy(written[at : min(end, at + room)])
        if end > at + room:
            self._append(MASK * (end - at - room))
            self._remember(written[at + room : end])
        self.address_length = 0 if found is not None else self.address_length + end - at
        return end

    def _copy(self, written: str) -> None:
        at = 0
        for private in PRIVATE_USE.finditer(written):
            self._append(written[at : private.start()])
            self._append(self._masks(len(private.group())))
            at = private.end()
        self._append(written[at:])
        self._remember(written)

    def _masks(self, count: int) -> str:
        return (" " if not self._last_shown or self._last_shown.isspace() else MASK) * count

    def _append(self, shown: str) -> None:
        if not shown:
            return
        self._output.append(shown)
        self._last_shown = shown[-1]
        for character in reversed(shown):
            if not (character.isspace() or character in CLOSERS or unicodedata.category(character) == "Co"):
                self.last_spoken = character
                break

    def _remember(self, written: str) -> None:
        if written:
            self.previous = written[-1]
            if len(self.line_head) < MAX_LINE_HEAD:
                self.line_head += written[: MAX_LINE_HEAD - len(self.line_head)]
