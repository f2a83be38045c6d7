"""Spoken text, character by character, with its written characters, and the caller's choices for it."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from kani_text.lexicon import Lexicon
from kani_text.normalizer.cleaning import CleanText
from kani_text.types import Pronunciation, Replacement

FIGURES = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class SpokenText:
    """Text in spoken form, with its origins in the written one.

    Character ``i`` of ``text`` stands for the characters ``[starts[i], ends[i])`` of the written text; both
    are non-decreasing. pronunciations: parts of ``text`` with IPA, in order.
    """

    text: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    pronunciations: tuple[Pronunciation, ...] = ()

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """The written characters that ``[start, end)`` of the spoken text stands for (start < end)."""
        return self.starts[start], self.ends[end - 1]

    def spoken_for(self, start: int, end: int) -> tuple[int, int]:
        """The spoken characters that stand for any of ``[start, end)`` of the written text."""
        return bisect_right(self.ends, start), bisect_left(self.starts, end)

    def shares_origin(self, end: int) -> bool:
        """True if the characters on both sides of ``end`` stand for the same written ones.

        They do inside "21", which is two spoken words.
        """
        following = end + (self.text[end : end + 1] == " ")
        return following < len(self.text) and self.starts[following] < self.ends[end - 1]


@dataclass(frozen=True, slots=True)
class Piece:
    """``text`` is spoken for the characters ``[start, end)`` of the clean text."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Verbalization:
    """A rule's result: its pieces, and the place in the clean text where they end."""

    pieces: tuple[Piece, ...]
    end: int


def in_groups(text: str, start: int, end: int, say: Callable[[str], str]) -> tuple[Piece, ...]:
    """The groups of figures in ``[start, end)``, phrase breaks between; ValueError where there are none."""
    *groups, last = (Piece(say(found[0]), *found.span()) for found in FIGURES.finditer(text, start, end))
    return *(replace(one, text=f"{one.text}, ") for one in groups), last


class SpokenTextBuilder:
    """Builds spoken text; white space is folded as it is added."""

    def __init__(self, clean: CleanText, offset: int) -> None:
        """offset: added to every origin."""
        self._clean = clean
        self._offset = offset
        self._text: list[str] = []
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._pronunciations: list[Pronunciation] = []
        self._length = 0
        self._spaced = True

    def copy(self, start: int, end: int) -> None:
        """Append ``[start, end)`` of the clean text, which has no white space, as it is written."""
        if end > start:
            offset = self._offset
            self._text.append(self._clean.text[start:end])
            self._starts.extend([offset + at for at in self._clean.starts[start:end]])
            self._ends.extend([offset + at for at in self._clean.ends[start:end]])
            self._length += end - start
            self._spaced = False

    def append(self, text: str, start: int, end: int) -> None:
        """Append ``text`` for ``[start, end)`` of the clean text (start < end)."""
        if self._spaced:
            text = text.lstrip(" ")
        if not text:
            return
        first = self._offset + self._clean.starts[start]
        last = self._offset + self._clean.ends[end - 1]
        self._text.append(text)
        self._starts.extend([first] * len(text))
        self._ends.extend([last] * len(text))
        self._length += len(text)
        self._spaced = text.endswith((" ", "un'"))

    @property
    def last(self) -> str:
        """The last character so far."""
        return self._text[-1][-1:] if self._text else ""

    def append_pronounced(self, text: str, symbols: str, alphabet: str, start: int, end: int) -> None:
        """Append ``text`` for ``[start, end)`` of the clean text, pronounced as ``symbols`` say."""
        before = self._length
        self.append(text, start, end)
        self._pronunciations.append(Pronunciation(before, self._length, symbols, alphabet))

    def build(self) -> SpokenText:
        """The spoken text, without white space at its end."""
        whole = "".join(self._text)
        text = whole.rstrip(" ")
        length = len(text)
        return SpokenText(
            text, tuple(self._starts[:length]), tuple(self._ends[:length]), tuple(self._pronunciations)
        )


@dataclass(frozen=True, slots=True)
class NormalizerOptions:
    """Options of ``normalize``, which depend on the engine and the request."""

    language: str = ""
    """BCP 47; without a table for it ("" has none) numbers and abbreviations are left as they are."""
    lexicon: Lexicon | None = None
    """Words with a pronunciation of their own, which comes before any rule."""
    accepts_ipa: bool = False
    """True if the engine takes IPA; if not, an entry's spelling is spoken, or its written form."""
    said_in: str = ""
    """BCP 47 language of what ``replacements`` have said as dates and the like, where ``language`` is ""
    too."""
    replacements: Mapping[int, Replacement] = field(default_factory=dict)
    """Parts of the client's text that something else is spoken for, by position."""
    readings: bool = True
    """False for what a row of [readings] has read: its rows are not asked again."""
    homographs: bool = False
    """True if the engine reads by espeak-ng, which takes imperatives for nouns ("Close the door")."""


VERBATIM = NormalizerOptions()
"""The written form is spoken."""
