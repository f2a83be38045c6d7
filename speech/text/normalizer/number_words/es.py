"""Spanish numbers: short forms before nouns, feminine hundreds, ordinals as they are said."""

from __future__ import annotations

import re

from speech.text.normalizer.number_words.words import NumberWords, num2words_cached

_ONE_BEFORE_MORE = re.compile(r"(veinti|\b)uno(?= (?:mil|(?:m|b|tr|cuatr)ill))")
_MILLIONS = re.compile(r"(.*ill(?:ón|ones)\b)?(.*)")
_ONE = re.compile(r"(veinti|\b)uno$")

_UNITS = " primero segundo tercero cuarto quinto sexto séptimo octavo noveno".split(" ")
_TEENS = (
    "décimo undécimo duodécimo decimotercero decimocuarto decimoquinto decimosexto decimoséptimo "
    "decimoctavo decimonoveno"
).split()
_TENS = (
    "  vigésimo trigésimo cuadragésimo quincuagésimo sexagésimo septuagésimo octogésimo nonagésimo"
).split(" ")
_HUNDREDS = (
    " centésimo ducentésimo tricentésimo cuadringentésimo quingentésimo sexcentésimo septingentésimo "
    "octingentésimo noningentésimo"
).split(" ")


class SpanishNumbers(NumberWords):
    """Forms of ordinals: "m", "f", and "short" before a masculine noun ("primer")."""

    def cardinal(self, number: int, gender: str = "") -> str:
        """ "veintiún mil" rather than "veintiuno mil"; "veintiún", "veintiuna", "doscientas" before nouns."""
        said = _ONE_BEFORE_MORE.sub(
            lambda one: "veintiún" if one[1] else "un", num2words_cached("es", number, "cardinal")
        )
        if gender == "m":
            return _ONE.sub(lambda one: "veintiún" if one[1] else "un", said)
        if gender == "f":
            millions, rest = split.groups("") if (split := _MILLIONS.match(said)) else ("", said)
            rest = rest.replace("cientos", "cientas").replace("quinientos", "quinientas")
            return millions + _ONE.sub(r"\1una", rest)
        return said

    def ordinal(self, number: int, form: str = "") -> str:
        """From a thousand on as a cardinal, as everybody says it."""
        if number == 1000:
            return "milésima" if form == "f" else "milésimo"
        if not 0 < number < 1000:
            return self.cardinal(number)
        hundreds, rest = divmod(number, 100)
        tens, units = divmod(rest, 10)
        parts = [_HUNDREDS[hundreds], _TEENS[units] if tens == 1 else _TENS[tens]]
        if tens != 1:
            parts.append(_UNITS[units])
        said = [part for part in parts if part]
        if form == "f":
            said = [f"{part[:-1]}a" for part in said]
        elif form == "short" and said[-1].endswith(("primero", "tercero")):
            said[-1] = said[-1][:-1]
        return " ".join(said)

    def denominator(self, number: int, numerator: int) -> str | None:
        """ "doceavos" and the like, up to a hundred."""
        if not 10 < number < 100:
            return None
        one = (
            num2words_cached("es", number, "cardinal").replace(" y ", "i").replace("é", "e").replace("ó", "o")
        )
        return f"{one.rstrip('ao')}avo" + ("" if numerator == 1 else "s")
