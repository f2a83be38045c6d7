"""Italian numbers: "un" and "una" before nouns, ordinals that agree, parts."""

from __future__ import annotations

import re

from speech.text.normalizer.number_words.words import NumberWords, num2words_cached

_HUNDREDS_BEHIND_MILLIONS = re.compile(r"(?<=[eoi]) e (?=\S*(?:cento|mila|mille))")

_ONE = {"m": "un", "m impure": "uno", "f": "una", "f vowel": "un'"}


class ItalianNumbers(NumberWords):
    """Forms: "m" and "f"; and what a noun that begins otherwise asks for, "m impure" and "f vowel"."""

    def cardinal(self, number: int, gender: str = "") -> str:
        """ "un" and "una" before a noun; "un milione duecentomila", but "un milione e uno"; "centotré"."""
        if number == 1 and gender:
            return _ONE[gender]
        said = num2words_cached(self.language, number, "cardinal").replace(",", "")
        said = _HUNDREDS_BEHIND_MILLIONS.sub(" ", said)
        return f"{said[:-1]}é" if number > 3 and said.endswith("tre") else said

    def ordinal(self, number: int, form: str = "") -> str:
        """ "ventunesimo", "ventunesima"."""
        if number == 0:
            said = "zeresimo"
        elif number < 1_000_000:
            said = num2words_cached(self.language, number, "ordinal")
        else:
            return self.cardinal(number)
        return f"{said[:-1]}a" if form in ("f", "f vowel") else said

    def denominator(self, number: int, numerator: int) -> str | None:
        """Ordinals, up to a hundred."""
        if not 4 < number <= 100:
            return None
        said = self.ordinal(number)
        return said if numerator == 1 else f"{said[:-1]}i"
