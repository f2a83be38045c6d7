"""What is said, character by character, and the written characters each of them stands for."""

from __future__ import annotations

from dataclasses import dataclass

from speech.text.normalizer.cleaning import CleanText
from speech.types import Pronunciation


@dataclass(frozen=True, slots=True)
class SpokenText:
    """Text to be said, and where it comes from.

    Character ``i`` of ``text`` stands for the characters ``[starts[i], ends[i])`` of the written
    text; both are non-decreasing. pronunciations: parts of ``text`` that are said otherwise than
    they are written there, in order.
    """

    text: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    pronunciations: tuple[Pronunciation, ...] = ()

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """Which written characters ``[start, end)`` of the spoken text stand for (start < end)."""
        return self.starts[start], self.ends[end - 1]

    def shares_origin(self, end: int) -> bool:
        """Whether what is said from ``end`` on still stands for written characters of what is before it.

        So it is inside "21", which is said in two words.
        """
        following = end + (self.text[end : end + 1] == " ")
        return following < len(self.text) and self.starts[following] < self.ends[end - 1]


@dataclass(frozen=True, slots=True)
class Piece:
    """``text`` is said for the characters ``[start, end)`` of the clean text."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Verbalization:
    """What a rule says, and up to where (a place in the clean text) it says it."""

    pieces: tuple[Piece, ...]
    end: int


class SpokenTextBuilder:
    """Spoken text in the making; white space is folded as it is added."""

    def __init__(self, clean: CleanText, offset: int) -> None:
        """offset: what is added to every origin."""
        self._clean = clean
        self._offset = offset
        self._text: list[str] = []
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._pronunciations: list[Pronunciation] = []
        self._length = 0
        self._spaced = True

    def copy(self, start: int, end: int) -> None:
        """Say ``[start, end)`` of the clean text, in which there is no white space, as it is written."""
        if end > start:
            offset = self._offset
            self._text.append(self._clean.text[start:end])
            self._starts.extend([offset + at for at in self._clean.starts[start:end]])
            self._ends.extend([offset + at for at in self._clean.ends[start:end]])
            self._length += end - start
            self._spaced = False

    def append(self, text: str, start: int, end: int) -> None:
        """Say ``text`` for ``[start, end)`` of the clean text (start < end)."""
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
        self._spaced = text[-1] == " "

    def append_pronounced(self, text: str, ipa: str, start: int, end: int) -> None:
        """Say ``text`` for ``[start, end)`` of the clean text, as ``ipa`` says."""
        before = self._length
        self.append(text, start, end)
        self._pronunciations.append(Pronunciation(before, self._length, ipa))

    def build(self) -> SpokenText:
        """All that was said, without white space at its end."""
        whole = "".join(self._text)
        text = whole.rstrip(" ")
        length = len(text)
        return SpokenText(
            text, tuple(self._starts[:length]), tuple(self._ends[:length]), tuple(self._pronunciations)
        )
