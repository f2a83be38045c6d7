"""Leaves out the characters that are not spoken."""

from __future__ import annotations

import functools
import re
import unicodedata
from dataclasses import dataclass

from kani.text.markup import CODE_BLOCK, PARAGRAPH_END

SPOKEN_SIGNS = frozenset("%‰€$£¥¢&@+=<>#§°©®™№×÷±½¼¾")
"""Characters other than letters and digits that are read aloud on their own."""

_TATWEEL = "\u0640"
"""Draws Arabic letters apart, and has no sound."""

_HALF_WIDTH_VOICING = "\uff9e\uff9f"
# Characters that stand for others: full-width figures and letters, half-width kana and their marks, squared
# units (㎞, ℃), figures in circles, Han characters of other standards.
_COMPATIBLE = re.compile(
    "[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\uff61-\uff9f\u3300-\u33ff\u2103\u2109\u2460-\u2473"
    "\u2f00-\u2fdf\uf900-\ufaff\U0002f800-\U0002fa1f\u32c0-\u32cb]"
)


@dataclass(frozen=True, slots=True)
class CleanText:
    """A text without invisible characters; each character stands for the written ``[starts[i], ends[i])``."""

    text: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]


def clean(written: str) -> CleanText:
    """Leave out invisible characters and broken code units, turn emoji into spaces.

    A letter and the combining marks after it are composed where Unicode has a letter for them, so that "e"
    and an accent are one "é" to the engine. A paragraph that ends without a mark gets a full stop.
    """
    if all(map(_is_unchanged, set(written))):
        return CleanText(written, tuple(range(len(written))), tuple(range(1, len(written) + 1)))
    kept: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    at = 0
    last = ""
    while at < len(written):
        end = at + 1
        while end < len(written) and (
            unicodedata.category(written[end]) == "Mn" or written[end] in _HALF_WIDTH_VOICING
        ):
            end += 1
        spoken = _spoken_form(written[at:end])
        if written[at] == PARAGRAPH_END and last.isalnum():
            spoken = ". "
        last = spoken.strip()[-1:] or last
        for character in spoken:
            kept.append(character)
            starts.append(at)
            ends.append(end)
        at = end
    return CleanText("".join(kept), tuple(starts), tuple(ends))


@functools.lru_cache(maxsize=4096)
def _is_unchanged(character: str) -> bool:
    """True if a character is kept unchanged next to any other."""
    if character == PARAGRAPH_END:
        return False
    return (
        unicodedata.category(character) != "Mn"
        and not _COMPATIBLE.match(character)
        and (character.isspace() or _spoken_form(character) == character)
    )


def _spoken_form(cluster: str) -> str:
    base = cluster[0]
    category = unicodedata.category(base)
    if base == CODE_BLOCK:
        return base
    if base.isspace():
        return base
    if base == _TATWEEL:
        return ""
    if _COMPATIBLE.match(base):
        return unicodedata.normalize("NFKC", cluster)
    if category == "So" and base not in SPOKEN_SIGNS:
        return " "
    if category in ("Cc", "Cf", "Cs", "Co", "Cn", "Mn", "Me", "Sk") and not base.isascii():
        return ""
    if category == "Cc":
        return ""
    if len(cluster) == 1:
        return cluster
    marks = "".join(mark for mark in cluster[1:] if not "\ufe00" <= mark <= "\ufe0f")
    return unicodedata.normalize("NFC", base + marks)
