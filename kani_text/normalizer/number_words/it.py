"""Italian numbers: "un" and "una" before nouns, ordinals that agree, parts."""

import re

from kani_text.normalizer.number_words.words import NumberWords, num2words_cached

_HUNDREDS_BEHIND_MILLIONS = re.compile(r"(?<=[eoi]) e (?=\S*(?:cento|mila|mille))")

_SIDE_BY_SIDE = frozenset("per di ogni dopo circa con in".split())

_ONE = {"m": "un", "m impure": "uno", "f": "una", "f vowel": "un'"}


class ItalianNumbers(NumberWords):
    """Forms: "m" and "f"; and what a noun that begins otherwise asks for, "m impure" and "f vowel"."""

    def cardinal(self, number: int, gender: str = "") -> str:
        """ "un" and "una" before a noun; "un milione duecentomila", but "un milione e uno"; "centotré"."""
        if number == 1 and gender:
            return _ONE[gender]
        spoken = num2words_cached(self.language, number, "cardinal").replace(",", "")
        # num2words contracts "centodiciotto" too far.
        spoken = _HUNDREDS_BEHIND_MILLIONS.sub(" ", spoken).replace("dicotto", "diciotto")
        return f"{spoken[:-1]}é" if number > 3 and spoken.endswith("tre") else spoken

    def ordinal(self, number: int, form: str = "") -> str:
        """ "ventunesimo", "ventunesima"."""
        if number == 0:
            spoken = "zeresimo"
        elif number < 1_000_000:
            spoken = num2words_cached(self.language, number, "ordinal")
        else:
            return self.cardinal(number)
        return spoken[:-1] + {"f": "a", "f vowel": "a", "mp": "i"}.get(form, spoken[-1])

    def exponent(self, number: int) -> str:
        """ "alla quinta"."""
        return self.ordinal(number, "f")

    def until(self, previous: str, to: str) -> str:
        """Nothing after a preposition: "per trentacinque quaranta minuti"."""
        return "" if previous in _SIDE_BY_SIDE else to

    def before_ending(self, spoken: str) -> str:
        """ "quarantacinqu" of "45enne", "ventitre" of "23enne"."""
        return spoken.rstrip("aeio").replace("é", "e")

    def denominator(self, number: int, numerator: int) -> str | None:
        """Ordinals, up to a hundred."""
        if not 4 < number <= 100:
            return None
        spoken = self.ordinal(number)
        return spoken if numerator == 1 else f"{spoken[:-1]}i"
