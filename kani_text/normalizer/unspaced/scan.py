"""The text that the rules of unspaced languages look at, and how far ahead they may look."""

import re
import unicodedata
from dataclasses import dataclass

from kani_text.normalizer.spoken import Piece
from kani_text.normalizer.tokens import MoreTextNeeded
from kani_text.normalizer.unspaced.table import UnspacedTable

_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_FOLDED = _FULL_WIDTH | {
    ord(written): ord(plain) for written, plain in zip("−–—‐‑‒〜～∼￥﹣﹪✕", "------~~~¥-%×", strict=True)
}
"""Marks of any width as the rules know them; each stays one character."""

_FOLDED_IN_CHINESE = {code: plain for code, plain in _FOLDED.items() if chr(code) != "，"}

_RUN = re.compile(r"[\x21-\x7e¥€£₩₹₽₿°℃℉‰±×÷≈≤≥²³µμ⁰-⁹½¼¾⅐-⅞Ωº·]+")
_LATIN = re.compile(r"[0-9A-Za-zÀ-ÖØ-öø-ɏµμ]")
_FORMULA = re.compile(r"(?=[A-Z]+(?:[a-z]|[\d₀-₉]))(?:[A-Z][a-z]?[\d₀-₉]*){2,6}(?![A-Za-z])")
_ENDING = dict.fromkeys(("g", "mg", "kg", "L", "mL", "ml", "mol"), _FORMULA) | {
    "h": re.compile(r"\d{1,2}min"),
    "m": re.compile(r"\d{1,2}cm"),
}
"""Text that may touch a unit: "100mLH₂O", "1h30min", "1m75cm"."""
_LONGEST_BEFORE = 16
_BEHIND_COUNTER = re.compile(r"\d(?!(?:から|まで|[とやはがもの到至和或]) ?\Z)[^\W\da-zA-Z]{1,2} ?\Z")


@dataclass(frozen=True, slots=True)
class UnspacedReading:
    """A rule's result: pieces, the place after them, and whether it is a number."""

    pieces: tuple[Piece, ...]
    end: int
    number: bool = True

    @classmethod
    def of(cls, said: str, start: int, end: int, *, number: bool = True) -> "UnspacedReading":
        """One piece for all that is read."""
        return cls((Piece(said, start, end),), end, number)


class Scan:
    """The text with marks of one width, from which rules read ahead and back."""

    def __init__(self, text: str, table: UnspacedTable, preceding: str, complete: bool) -> None:
        """preceding: the end of the text before."""
        # In Chinese "，" between figures is a comma, and joins no groups.
        folded = _FOLDED if table.words.kana else _FOLDED_IN_CHINESE
        self.text = text.translate(folded)
        self.table = table
        self.complete = complete
        self.last_number = -1
        """End of the number before, where ranges and sums go on."""
        self.in_sum = False
        """True inside a sum, where a hyphen is a minus sign."""
        self._preceding = preceding.translate(_FOLDED)
        self._run_end = 0

    def require_run(self, at: int) -> None:
        """Raise MoreTextNeeded if the figures, signs and Latin letters at ``at`` may still go on."""
        if self.complete:
            return
        if at >= self._run_end:
            run = _RUN.match(self.text, at)
            self._run_end = run.end() if run else at + 1
        if self._run_end >= len(self.text):
            raise MoreTextNeeded

    def require(self, end: int) -> None:
        """Raise MoreTextNeeded if the character ``end`` may still be written."""
        if not self.complete and end >= len(self.text):
            raise MoreTextNeeded

    def before(self, at: int) -> str:
        """The characters before ``at``."""
        start = max(0, at - _LONGEST_BEFORE)
        text = self.text[start:at]
        return text if len(text) == _LONGEST_BEFORE else (self._preceding + text)[-_LONGEST_BEFORE:]

    def around(self, start: int, end: int) -> str:
        """The text from start to end between "<" and ">", with some text before and after it."""
        return f"{self.before(start)}<{self.text[start:end]}>{self.text[end : end + _LONGEST_BEFORE]}"

    def is_beside(self, name: str, start: int, end: int) -> bool:
        """True if one of the patterns ``name`` of [beside] holds around what stands from start to end."""
        pattern = self.table.beside.get(name)
        return pattern is not None and pattern.search(self.around(start, end)) is not None

    def ends_quantity(self, at: int) -> bool:
        """True if a number and its counter stand before ``at`` ("1月1日")."""
        return _BEHIND_COUNTER.search(self.before(at)) is not None

    def word_after(self, at: int) -> tuple[str, int]:
        """The longest unit, counter or magnitude at ``at``, after a space or none, and its start.

        "" if there is none.
        """
        start = at + (self.text[at : at + 1] in (" ", "\u3000", "\u00a0") and at < len(self.text))
        rest = self.text[start : start + self.table.longest_following]
        unsure = not self.complete and start + len(rest) == len(self.text)
        if unsure and (not rest or rest in self.table.beginnings):
            raise MoreTextNeeded
        for length in range(len(rest), 0, -1):
            word = rest[:length]
            if word in self.table.following and not self._goes_on(word, start + length):
                return word, start
        return "", at

    def _goes_on(self, word: str, end: int) -> bool:
        """True if ``word`` is the beginning of a longer Latin, katakana or Japanese word."""
        last = word[-1]
        if self.is_beside("longer", end - len(word), end):
            return True
        if _LATIN.fullmatch(last):
            self.require(end)
            if word in _ENDING and _ENDING[word].match(self.text, end):
                return False
            return bool(_LATIN.match(self.text, end))
        if is_katakana(last) and len(word) > 1:
            self.require(end)
            return end < len(self.text) and is_katakana(self.text[end])
        return False


def is_katakana(character: str) -> bool:
    """True for katakana and the mark of long vowels."""
    return "\u30a1" <= character <= "\u30fa" or character == "ー"


def is_wide(character: str) -> bool:
    """True for Han characters, kana and wide marks, between which no space stands."""
    return unicodedata.east_asian_width(character) in "WF"
