"""French numbers: "une" before feminine nouns, ordinals and parts."""

import re

from kani_text.normalizer.number_words.words import NumberWords, num2words_cached

_ONE = re.compile(r"\bun$")
_PLURAL = re.compile(r"(vingt|cent|lion|liard)s$")

_UNITS = {
    "dix-sept": "-sept", "dix-huit": "-huit", "dix-neuf": "-neuf", "dix": "", "onze": " et un",
    "douze": "-deux", "treize": "-trois", "quatorze": "-quatre", "quinze": "-cinq", "seize": "-six",
}  # fmt: skip
_TENS = re.compile(rf"(soixante|quatre-vingt)(?:-| et )({'|'.join(_UNITS)})")


class FrenchNumbers(NumberWords):
    """Forms of ordinals: "m", "f", and "plural", and "second", "seconde" for the 2nd."""

    def cardinal(self, number: int, gender: str = "") -> str:
        """ "vingt et une" before a feminine noun."""
        spoken = self._count(number)
        return _ONE.sub("une", spoken) if gender == "f" else spoken

    def ordinal(self, number: int, form: str = "") -> str:
        """ "première", "quatre-vingtième", "deux centième"."""
        if form == "plural":
            return f"{self.ordinal(number)}s"
        if number == 1:
            return "première" if form == "f" else "premier"
        if number == 2 and form.startswith("second"):
            return form
        spoken = _PLURAL.sub(r"\1", self._count(number))
        if spoken.endswith("cinq"):
            spoken += "u"
        elif spoken.endswith("neuf"):
            spoken = f"{spoken[:-1]}v"
        return f"{spoken.removesuffix('e')}ième"

    def _count(self, number: int) -> str:
        """As it is counted; "septante" and "nonante" in Belgium and Switzerland."""
        spoken = num2words_cached("fr", number, "cardinal")
        return spoken if self.language == "fr" else _TENS.sub(_septante, spoken)

    def denominator(self, number: int, numerator: int) -> str | None:
        """Ordinals, up to a hundred, and of one part beyond ("1/250 s")."""
        if not 4 < number <= (100 if numerator > 1 else 10_000):
            return None
        return self.ordinal(number) + ("" if numerator == 1 else "s")


def _septante(found: re.Match[str]) -> str:
    return ("septante" if found[1] == "soixante" else "nonante") + _UNITS[found[2]]
