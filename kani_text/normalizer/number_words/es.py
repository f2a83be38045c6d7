"""Spanish numbers: short forms before nouns, feminine hundreds, ordinals as they are said."""

import re
from pathlib import Path

from kani_text.normalizer.number_words.words import NumberWords, num2words_cached
from kani_text.normalizer.tables.file import read_table_file

_ONE_BEFORE_MORE = re.compile(r"(veinti|\b)uno(?= (?:mil|(?:m|b|tr|cuatr)ill))")
_MILLIONS = re.compile(r"(.*ill(?:ón|ones)\b)?(.*)")
_ONE = re.compile(r"(veinti|\b)uno$")

_WORDS = read_table_file(Path(__file__).with_name("es.toml"))
_UNITS, _TEENS = ("", *_WORDS.words("units")), _WORDS.words("teens")
_TENS, _HUNDREDS = ("", "", *_WORDS.words("tens")), ("", *_WORDS.words("hundreds"))


class SpanishNumbers(NumberWords):
    """Forms of ordinals: "m", "f", and "short" before a masculine noun ("primer")."""

    def cardinal(self, number: int, gender: str = "") -> str:
        """ "veintiún mil" rather than "veintiuno mil"; "veintiún", "veintiuna", "doscientas" before nouns."""
        spoken = _ONE_BEFORE_MORE.sub(
            lambda one: "veintiún" if one[1] else "un", num2words_cached("es", number, "cardinal")
        )
        if gender == "m":
            return _ONE.sub(lambda one: "veintiún" if one[1] else "un", spoken)
        if gender == "f":
            millions, rest = split.groups("") if (split := _MILLIONS.match(spoken)) else ("", spoken)
            rest = rest.replace("cientos", "cientas").replace("quinientos", "quinientas")
            return millions + _ONE.sub(r"\1una", rest)
        return spoken

    def ordinal(self, number: int, form: str = "") -> str:
        """From 1001 on as a cardinal, as in everyday Spanish."""
        if number == 1000:
            return "milésima" if form == "f" else "milésimo"
        if not 0 < number < 1000:
            return self.cardinal(number)
        hundreds, rest = divmod(number, 100)
        tens, units = divmod(rest, 10)
        below = (_TEENS[units],) if tens == 1 else (_TENS[tens], _UNITS[units])
        spoken = [*filter(None, (_HUNDREDS[hundreds], *below))]
        if form in ("f", "fp"):
            spoken = [f"{part[:-1]}a" for part in spoken]
        if form in ("mp", "fp"):
            spoken = [f"{part}s" for part in spoken]
        elif form == "short" and spoken[-1].endswith(("primero", "tercero")):
            spoken[-1] = spoken[-1][:-1]
        return " ".join(spoken)

    def denominator(self, number: int, numerator: int) -> str | None:
        """ "doceavos" and the like, up to a hundred."""
        if not 10 < number < 100:
            return None
        one = (
            num2words_cached("es", number, "cardinal").replace(" y ", "i").replace("é", "e").replace("ó", "o")
        )
        return f"{one.rstrip('ao')}avo" + ("" if numerator == 1 else "s")
