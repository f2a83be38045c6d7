"""Portuguese numbers: feminine ones, twos and hundreds, ordinals, parts."""

import re

from kani_text.normalizer.number_words.words import NumberWords, num2words_cached

_MILLIONS = re.compile(r"(.*lh(?:ão|ões)\b)?(.*)")
_FEMININE = re.compile(r"\b(?:(um)|(dois)|(\w+ent)os)\b")
_LAST_ORDINAL = 1999
_QUINTILLION = 10**18


class PortugueseNumbers(NumberWords):
    """Forms of ordinals: "m" and "f", and with a "p" those of more than one."""

    def cardinal(self, number: int, gender: str = "") -> str:
        """ "vinte e uma mil", "duas", "duzentas" before a feminine noun; millions stay as they are."""
        # num2words goes to the quadrillions.
        quintillions, below = divmod(number, _QUINTILLION)
        spoken = num2words_cached(self.language, below, "cardinal").replace(",", "")
        if quintillions:
            head = f"{self.cardinal(quintillions)} quintilh{'ão' if quintillions == 1 else 'ões'}"
            return f"{head} e {spoken}" if below else head
        if gender != "f":
            return spoken
        millions, rest = split.groups("") if (split := _MILLIONS.match(spoken)) else ("", spoken)
        return millions + _FEMININE.sub(
            lambda one: "uma" if one[1] else "duas" if one[2] else f"{one[3]}as", rest
        )

    def ordinal(self, number: int, form: str = "") -> str:
        """ "vigésima primeira"; from 2000 on as a cardinal."""
        if not 0 < number <= _LAST_ORDINAL:
            return self.cardinal(number)
        spoken = num2words_cached(self.language, number, "ordinal")
        spoken = re.sub(r"o\b", "a", spoken) if form[:1] == "f" else spoken
        return re.sub(r"\b(?=\s|$)", "s", spoken) if form[1:] == "p" else spoken

    def denominator(self, number: int, numerator: int) -> str | None:
        """ "onze avos" and the like, up to a hundred."""
        if not 10 < number < 100:
            return None
        return f"{self.cardinal(number)} {'avo' if numerator == 1 else 'avos'}"
