"""Leaves out the characters that are not spoken."""

import functools
import re
import string
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from kani_text.markup import CODE_BLOCK, PARAGRAPH_END
from kani_text.writing import CLOSERS_AFTER_WORDS, HAN_AND_KANA_LANGUAGES, is_of_word

SPOKEN_SIGNS = frozenset("%‰€$£¥¢&@+=<>#§°©®™№×÷±½¼¾♭〒⌘⇧⌥⌃⇌")
"""Characters other than letters and digits that are read aloud on their own."""

_PASSED_OVER = CLOSERS_AFTER_WORDS + string.whitespace
"""Characters at a paragraph's end that are no mark of it: what it ends with stands before them."""

_TATWEEL = "\u0640"
"""Draws Arabic letters apart, and has no sound."""

_HALF_WIDTH_VOICING = "\uff9e\uff9f"
# Characters that stand for others: full-width figures and letters, half-width kana and their marks, squared
# units (㎞, ℃), figures and letters in circles, Han characters of other standards, ligatures, raised and
# lowered letters, letters and figures of formulas (𝗛, ℝ), Roman numerals of one character.
_COMPATIBLE = re.compile(
    "[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\uff61-\uff9f\u3220-\u3243\u3300-\u33ff\u2460-\u2473\u24b6-\u24e9"
    "\u2f00-\u2fdf\uf900-\ufaff\U0002f800-\U0002fa1f\u32c0-\u32cb\u32d0-\u32ff\ufb00-\ufb06\u2071\u207f\u2090-\u209c"
    "\u02b0-\u02b8\u02e0-\u02e3\u1d2c-\u1d6a\u1d9b-\u1dbf\u2102\u2103\u2109-\u2113\u2115\u2119-\u211d\u2124\u2128\u212a-\u2134\u2139"
    "\u2160-\u2188\U0001d400-\U0001d7ff\U0001f130-\U0001f149]"
)
_LOSS = re.compile(r"[▲△](?=\d)")
_MOVE = re.compile(r"[▲△▽☗☖](?=(?:[1-9１-９][一二三四五六七八九]|同)[歩香桂銀金角飛玉と成竜馬])")
# "4.5 ★", and the character of the stars that tables name.
_STARS = re.compile(r"(?:(?<=\d)|(?<=\d ))[★⭐](?![★☆⭐])")
# The mark of the sun, as a sign of mathematics
_SUN = re.compile("(?<=[MRL])☉")
# "♩ = 132"
_TEMPO = re.compile(r"[♩♪] ?=(?= ?\d)")
_ROW_OF_STARS = re.compile(r"(?<![\d★☆])(?<!\d )(★{2,5})☆{0,3}(?![★☆\d])")
_UNSPOKEN = frozenset(("Cf", "Cs", "Co", "Cn", "Mn", "Me", "Sk"))
"""Categories of characters without a sound, but for "^" and "`"."""
_HAVING_STARS = frozenset("es en fr it pt de hi zh ja ar".split())
_DINGBAT_FIGURES = frozenset(map(chr, range(0x2776, 0x2794)))
_ENCIRCLED = _DINGBAT_FIGURES | frozenset(map(chr, range(0x2460, 0x2474)))
# The languages that have letters of U+1E00 to 1EFF, or đ, themselves.
_HAVING_LETTERS = frozenset("vi cy yo ig ga gd".split())
_HAVING_STROKES = frozenset("vi hr sr bs se hsb".split())


@dataclass(frozen=True, slots=True)
class CleanText:
    """A text without invisible characters; each character stands for the written ``[starts[i], ends[i])``.

    final: places in the written text, in order, that keep their spelling: an entry says how they are spoken.
    """

    text: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    final: tuple[tuple[int, int], ...] = ()

    def until(self, end: int) -> "CleanText":
        """The text before ``end``, or before the final place that ``end`` is inside of."""
        if end >= len(self.text):
            return self
        at = self.starts[end]
        first = next((start for start, last in self.final if start < at < last), at)
        end = min(end, bisect_left(self.starts, first))
        return replace(self, text=self.text[:end], starts=self.starts[:end], ends=self.ends[:end])

    def is_final(self, start: int, end: int) -> bool:
        """True if ``[start, end)`` has characters of a final place, or is nothing beside one."""
        if not self.final:
            return False
        first = self.starts[start] if start < len(self.text) else self.ends[-1]
        last = self.ends[end - 1] if start < end else first + 1
        return overlaps(self.final, first - (start == end), last)


def overlaps(places: Sequence[tuple[int, int]], start: int, end: int) -> bool:
    """True if ``[start, end)`` has a character of one of some places, which are in order and apart."""
    before = bisect_left(places, (end,))
    return before > 0 and places[before - 1][1] > start


def clean(written: str, language: str = "") -> CleanText:
    """Leave out invisible characters and broken code units, turn emoji into spaces.

    Letters that a voice of ``language`` (BCP 47) would spell by their numbers become their base letters.

    A letter and the combining marks after it are composed where Unicode has a letter for them, so that "e"
    and an accent are one "é" to the engine. A paragraph that ends without a mark gets a full stop.
    """
    base = language.partition("-")[0]
    written = _with_known_signs(written, base)
    bases = _base_letters(base)
    if all(map(_is_unchanged, set(written))) and bases.keys().isdisjoint(map(ord, written)):
        return CleanText(written, tuple(range(len(written))), tuple(range(1, len(written) + 1)))
    kept: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    last = ""
    for at, end in _clusters(written):
        spoken = _spoken_form(written[at:end]).translate(bases)
        if written[at] == PARAGRAPH_END and (is_of_word(last) or last in SPOKEN_SIGNS):
            spoken = "." + PARAGRAPH_END
        elif written[at] in _ENCIRCLED and written[end : end + 1] in _ENCIRCLED:
            spoken += "、" if base in HAN_AND_KANA_LANGUAGES else ", "
        last = spoken.strip(_PASSED_OVER)[-1:] or last
        kept.append(spoken)
        starts += [at] * len(spoken)
        ends += [end] * len(spoken)
    return CleanText("".join(kept), tuple(starts), tuple(ends))


def _with_known_signs(written: str, language: str) -> str:
    """Replace signs by those that tables know, and signs that say nothing by spaces."""
    if language == "ja":
        # "▲7六歩" is a move of the first player, "▲0.3%" a loss.
        written = _MOVE.sub(lambda side: "先" if side[0] in "▲☗" else "後", written)
        written = _LOSS.sub("-", written)
    if language in _HAVING_STARS:
        written = _STARS.sub("⋆", written)
        written = _ROW_OF_STARS.sub(lambda row: f"{len(row[1])}⋆".rjust(len(row[0])), written)
    written = _SUN.sub("⊙", written)
    return _TEMPO.sub(lambda sign: " " * len(sign[0]), written)


def _clusters(written: str) -> Iterator[tuple[int, int]]:
    """Beginning and end of each character with the combining marks after it."""
    at = 0
    while at < len(written):
        end = at + 1
        while end < len(written) and (
            unicodedata.category(written[end]) == "Mn" or written[end] in _HALF_WIDTH_VOICING
        ):
            end += 1
        yield at, end
        at = end


@functools.cache
def _base_letters(language: str) -> dict[int, str]:
    """Letters that voices of a language do not know, each with its base letter; none where there is none."""
    if not language:
        return {}
    letters = list[str]()
    if language not in _HAVING_LETTERS:
        letters += [*(chr(code) for code in range(0x1E00, 0x1F00) if code != 0x1E9E), *"ơƠưƯ"]
    if language == "en":
        letters += "āĀēĒīĪōŌūŪ"
    bases = {ord(letter): unicodedata.normalize("NFD", letter)[0] for letter in letters}
    return bases if language in _HAVING_STROKES else bases | {ord("đ"): "d", ord("Đ"): "D"}


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
    if base == CODE_BLOCK or base.isspace():
        return base
    if base == _TATWEEL or category == "Cc" or (category in _UNSPOKEN and not base.isascii()):
        return ""
    if base in _DINGBAT_FIGURES:
        return str(int(unicodedata.numeric(base)))
    if _COMPATIBLE.match(base):
        return unicodedata.normalize("NFKC", cluster)
    if category == "So" and base not in SPOKEN_SIGNS:
        return " "
    if len(cluster) == 1 or category[0] == "P":
        # No accent belongs on a full stop.
        return base
    marks = "".join(mark for mark in cluster[1:] if not "\ufe00" <= mark <= "\ufe0f")
    return unicodedata.normalize("NFC", base + marks)
