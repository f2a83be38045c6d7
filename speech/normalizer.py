"""From what was written to what is said, with every spoken character's origin kept.

Plain text only so far: invisible characters, emoji and broken code units are left out, white
space is folded. Digits, signs and abbreviations are left to the engine.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

SIGNS = frozenset("%‰€$£¥¢&@+=<>#§°©®™№×÷±½¼¾")
"""Characters other than letters and digits that are read aloud on their own."""


@dataclass(frozen=True, slots=True)
class SpokenText:
    """Text to be said, and where it comes from.

    Character ``i`` of ``text`` stands for the characters ``[starts[i], ends[i])`` of the written
    text; both are non-decreasing.
    """

    text: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """Which written characters ``[start, end)`` of the spoken text stand for (start < end)."""
        return self.starts[start], self.ends[end - 1]

    def goes_on(self, end: int) -> bool:
        """Whether what is said from ``end`` on still stands for written characters of what is before it.

        So it is inside "21", which is said in two words.
        """
        following = end + (self.text[end : end + 1] == " ")
        return following < len(self.text) and self.starts[following] < self.ends[end - 1]


def speakable(text: str) -> bool:
    """Whether a voice would say anything at all."""
    return any(character.isalnum() or character in SIGNS for character in text)


def normalize(written: str, offset: int = 0) -> SpokenText:
    """What is said of ``written``; origins are counted from ``offset``.

    A letter and the combining marks behind it are composed where Unicode has a letter for them,
    so that "e" and an accent are one "é" to the engine.
    """
    spoken: list[str] = []
    starts: list[int] = []
    ends: list[int] = []

    def say(characters: str, start: int, end: int) -> None:
        for character in characters:
            if character == " " and (not spoken or spoken[-1] == " "):
                continue
            spoken.append(character)
            starts.append(offset + start)
            ends.append(offset + end)

    at = 0
    while at < len(written):
        end = at + 1
        while end < len(written) and unicodedata.category(written[end]) == "Mn":
            end += 1
        say(_said(written[at:end]), at, end)
        at = end
    while spoken and spoken[-1] == " ":
        spoken.pop(), starts.pop(), ends.pop()
    return SpokenText("".join(spoken), tuple(starts), tuple(ends))


def _said(cluster: str) -> str:
    base = cluster[0]
    category = unicodedata.category(base)
    if base.isspace():
        return " "
    if category == "So" and base not in SIGNS:
        return " "
    if category in ("Cc", "Cf", "Cs", "Co", "Cn", "Mn", "Me", "Sk") and not base.isascii():
        return ""
    if category == "Cc":
        return ""
    if len(cluster) == 1:
        return cluster
    marks = "".join(mark for mark in cluster[1:] if not "\ufe00" <= mark <= "\ufe0f")
    return unicodedata.normalize("NFC", base + marks)
