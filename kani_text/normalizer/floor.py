"""Signs in languages without a table that espeak-ng leaves out or reads by their looks there.

Words for minus and powers are in ``floor.toml``, names of units in CLDR.
"""

import functools
import re
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

from babel import UnknownLocaleError
from babel.units import UnknownUnitError, format_unit

from kani_text import writing
from kani_text.languages import primary
from kani_text.normalizer.spoken import SpokenTextBuilder
from kani_text.normalizer.tables.file import TableSection, read_table_file
from kani_text.normalizer.tokens import Token

_RAISED = re.compile(r"(?<=[\w)])(?:(?P<raised>⁻?[⁰¹²³⁴-⁹]{1,4})|\^\{?(?P<plain>[-−]?\d{1,4})\}?)(?!\w)")
_SQUARE = "2"
_MEASURED = re.compile(
    r"(?<![\w.,:])(\d{1,6}(?:[.,]\d{1,3})?)"
    r"([ \u00a0\u202f]?)(° ?[CF]|°|km/h|m/s|k[mg]|[cm]m|m[gl]|км/(?:ч|год)|м/с|к[мг]|мм|м[гл]"
    r"|см(?!\. ?[а-я]))(?![\w°²³⁻^/·'’′]|[.,]\d)"
)
_UNITS = {
    "°C": "temperature-celsius", "°F": "temperature-fahrenheit", "°": "angle-degree",
    "km/h": "speed-kilometer-per-hour", "m/s": "speed-meter-per-second", "km": "length-kilometer",
    "kg": "mass-kilogram", "mg": "mass-milligram", "ml": "volume-milliliter", "cm": "length-centimeter",
    "mm": "length-millimeter", "км/ч": "speed-kilometer-per-hour", "км/год": "speed-kilometer-per-hour",
    "м/с": "speed-meter-per-second", "км": "length-kilometer", "кг": "mass-kilogram", "мг": "mass-milligram",
    "мл": "volume-milliliter", "см": "length-centimeter", "мм": "length-millimeter",
}  # fmt: skip
_SAY_DEGREES = frozenset("af an bs cs eo hr hu lt lv mk nl pl ro sk sr tr".split())
"""Languages in which espeak-ng has a word for the sign by itself, which is not only that of angles."""
_FORMATTED = re.compile(r"(?P<before>[^\d°/]*)\d[\d.,\s]*(?<=\d)(?P<after>[^\d°/]*)")
_CLOCK = re.compile(r"(?<![\d:.,])(?:[01]?\d|2[0-4])(?::[0-5]\d){1,2}(?![\d:]| \d{3})")
_DECIMAL = re.compile(r"(?<![\d.,:])\d{1,9},\d{1,9}(?![\d,])")


def units(text: str, language: str) -> Iterator[tuple[int, int, str]]:
    """Numbers with units: where each begins and ends, and it with the unit's name, which agrees with it.

    language: BCP 47, without a table.
    """
    for found in _MEASURED.finditer(text):
        number, space, unit = found.groups()
        yield *found.span(), _measured(number, space, "".join(unit.split()), language)


def marks(text: str, language: str) -> Iterator[tuple[int, int, str]]:
    """As ``units``, times of day without colons and decimals with the name of the comma."""
    base = primary(language)
    comma = _of_languages("decimals").get(base, "")
    found = [(*one.span(), one[0].replace(",", f" {comma} ")) for one in _DECIMAL.finditer(text) if comma]
    if base in _of_languages("times"):
        found += [(*one.span(), one[0].replace(":", " ")) for one in _CLOCK.finditer(text)]
    return iter(sorted(found))


@functools.lru_cache(maxsize=1024)
def _measured(number: str, space: str, unit: str, language: str) -> str:
    """A number with the name of its unit, or as it is written where CLDR has none.

    A name before the number is said only if no space is between number and unit: in a text that is still
    being written, the number may have been said already.
    """
    base = primary(language)
    # "км/год" is of a year elsewhere.
    if (unit == "°" and base in _SAY_DEGREES) or (unit == "км/год" and base != "uk"):
        return number + space + unit
    value = Decimal(number.replace(",", "."))
    for locale in (language.replace("-", "_"), base):
        with suppress(UnknownLocaleError, UnknownUnitError, ValueError):
            found = _FORMATTED.fullmatch(format_unit(value, _UNITS[unit], "long", locale=locale))
            if found and found["after"].strip() != _UNITS[unit] and not (found["before"] and space):
                return found["before"] + number + found["after"]
            break
    return number + space + unit


def append_plain(token: Token, start: int, builder: SpokenTextBuilder, language: str) -> None:
    """Append a token as it is written, with words for its minus and its powers.

    language: BCP 47, without a table.
    """
    base = primary(language)
    minus, (square, power) = _of_languages("minus").get(base, ""), _powers().get(base, ("", ""))
    if minus and token.core == "−" and start == token.core_start:
        builder.append(minus, start, token.end)
        return
    if minus and token.core[:1] in ("-", "−") and token.core[1:2].isdecimal():
        builder.copy(start, token.core_start)
        builder.append(f"{minus} ", token.core_start, token.core_start + 1)
        start = token.core_start + 1
    if power:
        for found in _RAISED.finditer(token.text, start, token.end):
            exponent = (found["raised"] or found["plain"]).translate(writing.RAISED)
            if _is_note(token.text, found):
                continue
            builder.copy(start, found.start())
            figures = exponent.lstrip("-−")
            sign = f"{minus} " if figures != exponent else ""
            said = square if exponent == _SQUARE else f"{power} {sign}{figures}"
            builder.append(f" {said}", found.start(), found.end())
            start = found.end()
    builder.copy(start, token.end)


def _is_note(text: str, found: re.Match[str]) -> bool:
    """True for a raised figure after a word of three letters and more, which may be a note's mark."""
    word = text[max(found.start() - len("word"), 0) : found.start()]
    return found["raised"] is not None and len(word) > len("km") and word[-3:].isalpha()


@functools.cache
def _of_languages(section: str) -> dict[str, str]:
    """A section's words by the languages that have them."""
    rows = _file().section(section).all_texts().items()
    return {language: word for word, languages in rows for language in languages.split()}


@functools.cache
def _powers() -> dict[str, tuple[str, str]]:
    rows = _file().section("powers").all_texts().items()
    return {language: (said.partition(" | ")[0], said.partition(" | ")[2]) for language, said in rows}


def _file() -> TableSection:
    return read_table_file(Path(__file__).with_name("floor.toml"))
