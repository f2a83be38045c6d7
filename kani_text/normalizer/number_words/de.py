"""German numbers: "ein" and "eine" before nouns, years in hundreds, ordinals with their endings."""

import re

from kani_text.normalizer.number_words.words import NumberWords, num2words_cached

_ONE_OF_MORE = re.compile(r"\bein(?=(?:tausend|hundert))")
_ONE_THOUSAND = re.compile(r"eins(?=tausend)")
_DATIVE = frozenset("von mit bei zu nach unter seit aus gegenüber neben hinter zwischen an auf vor".split())
_BEFORE_TIMES = frozenset("in von v vor nach seit mit zu binnen".split())
_BESIDES = frozenset("bei aus unter gegenüber".split())
_PLURALS = frozenset("Tage Monate Jahre Punkte Spiele Siege Kinder Stücke".split())
_GENITIVE = frozenset("binnen innerhalb außerhalb während wegen trotz statt".split())
_ACCUSATIVE = frozenset("für gegen durch ohne um".split())


class GermanNumbers(NumberWords):
    """Forms of ordinals: their endings ("e", "en", "er", "es", "em"), or with an article ("der", "des")."""

    year_in_hundreds = "{}hundert{}"

    def cardinal(self, number: int, gender: str = "") -> str:
        """ "tausendeinhundert" rather than "eintausendeinhundert"; "eine" before a feminine noun."""
        if number == 1 and gender:
            return "eine" if gender == "f" else "ein"
        spoken = _ONE_THOUSAND.sub("ein", num2words_cached("de", number, "cardinal"))
        return _ONE_OF_MORE.sub("", spoken, count=1) if spoken.startswith("ein") else spoken

    def ordinal(self, number: int, form: str = "") -> str:
        """ "dritte", with the ending that ``form`` asks for."""
        stem = num2words_cached("de", number, "ordinal").lower().removesuffix("e")
        stem = _ONE_OF_MORE.sub("", stem, count=1)
        if form in ("der", "die"):
            return f"{form} {stem}e"
        if form == "des":
            return f"des {stem}en"
        return stem + (form or "e")

    def decade(self, number: int) -> str:
        """ "neunzehnhundertneunziger"."""
        return f"{self.year(number)}er"

    def inflected_after(self, previous: str, spoken: str) -> str:
        """Articles and endings after a preposition: "von Ludwig dem Vierzehnten", "in drei Tagen"."""
        if previous in _BEFORE_TIMES | _BESIDES and spoken.strip() in _PLURALS:
            return f"{spoken}n"
        article, _, rest = spoken.partition(" ")
        if spoken in ("ein", "eine"):
            return spoken + _ending_of_one(previous, feminine=spoken == "eine")
        if article in ("der", "die") and rest.endswith("te"):
            if previous in _DATIVE:
                return f"{'dem' if article == 'der' else 'der'} {rest}n"
            if previous in _ACCUSATIVE and article == "der":
                return f"den {rest}n"
        return spoken

    def denominator(self, number: int, numerator: int) -> str | None:
        """ "Zwanzigstel", up to a thousand, and one part up to ten thousand ("1/8000 s")."""
        if not 2 < number <= (1000 if numerator > 1 else 10_000):
            return None
        return f"{self.ordinal(number, '')[:-1]}el".capitalize()


def _ending_of_one(previous: str, feminine: bool) -> str:
    """The ending of "ein" and "eine" after a preposition: "in einer", "vor einem", "binnen eines"."""
    if previous in _DATIVE or previous in ("in", "ab"):
        return "r" if feminine else "em"
    if previous in _GENITIVE:
        return "r" if feminine else "es"
    return ""
