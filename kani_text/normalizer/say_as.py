"""The spoken form of what a ``<say-as>`` element or a slot of [readings] contains."""

import re
from collections.abc import Callable, Mapping

from kani_text.normalizer.rules.acronyms import letter_name
from kani_text.normalizer.rules.numerals import parse_numeral, say_digits, say_numeral
from kani_text.normalizer.rules.units import resolve_unit, sign_name
from kani_text.normalizer.spoken import FIGURES
from kani_text.normalizer.tables.loaded import table_for
from kani_text.normalizer.tables.table import LanguageTable
from kani_text.normalizer.unspaced.table import unspaced_table_for
from kani_text.writing import roman_value

Reader = Callable[[str], str]
"""Returns the spoken form of a text by the language's usual rules."""

_MAX_DIGITS = 15
_NUMERAL = re.compile(r"\d[\d.,]*")
_NAMED = re.compile(r"[^\W\d_]")
_CLOCK = re.compile(r"(\d{1,2})(?:[:.](\d\d)(?:[:.](\d\d))?)?\s*([AaPp])\.?[Mm]\.?")
_CODE_AFTER = re.compile(r"([\d.,]+)\s*([A-Z]{3})")
_UNIT = re.compile(r"([\d.,/½¼¾]+)\s*(\D+)")
_GROUP = 4
"""Characters that are read without a pause, at most."""

_COUNTERS = {"y": "年", "m": "月", "d": "日"}
_DIGITS_OF_YEAR = 4
_FIRST_OF_CENTURY, _LAST_OF_CENTURY = 2000, 1900


def say_as(kind: str, form: str, written: str, language: str, read: Reader) -> str:
    """Return the spoken form.

    kind: one of ``kani_text.ssml.document.SAY_AS`` or of ``KINDS`` of [readings]; form: the element's
    ``format``, of a number its gender or a form of [ordinals]; language: BCP 47. What is not of its kind is
    spoken as ``read`` has it, and so is all in a language without a table.
    """
    table = None if unspaced_table_for(language) is not None else table_for(language)
    said = _KINDS[kind](written, form, table, read) if kind in _KINDS else ""
    return said or read(written)


def _characters(written: str, table: LanguageTable | None, read: Reader) -> str:
    names = [_character(character, table, read) for character in written if not character.isspace()]
    if table is None or not names:
        return " ".join(names)
    groups = -(-len(names) // _GROUP)
    size = -(-len(names) // groups)
    return ", ".join(" ".join(names[at : at + size]) for at in range(0, len(names), size))


def _character(character: str, table: LanguageTable | None, read: Reader) -> str:
    if character.isdecimal():
        return say_digits(str(int(character)), table) if table is not None else read(character)
    if table is None:
        return character
    if character.isalpha():
        return letter_name(character, table)
    return table.web.signs.get(character) or table.signs.get(character) or sign_name(character, table)


def _unit(written: str, table: LanguageTable | None) -> str:
    """Return the name of a unit without a number, as it is after several; "" for all else."""
    unit = None if table is None else resolve_unit(written, table, attached=False)[0]
    return unit.forms["other"] if unit is not None else ""


def _number(kind: str, form: str, written: str, table: LanguageTable | None) -> str | None:
    """Return a number in words; None for what is no number."""
    if table is None:
        return None
    form = form if form in ("m", "f", "n", *table.ordinals.values()) else ""
    sign, plain = (written[0], written[1:].strip()) if written[:1] in ("-", "−", "+") else ("", written)
    if kind == "ordinal":
        digits = FIGURES.match(plain)
        if digits is None or len(digits.group()) > _MAX_DIGITS:
            return None
        return table.number_words.ordinal(int(digits.group()), form)
    joined = re.sub(r"(?<=\d)[\s'’](?=\d)", "", plain)
    numeral = parse_numeral(joined, table) if _NUMERAL.fullmatch(joined) else None
    if numeral is None:
        value = roman_value(plain.upper())
        return table.number_words.cardinal(value, form) if value else None
    spoken = say_numeral(numeral, table, form)
    return f"{sign_name(sign, table)} {spoken}" if sign else spoken


def _date(written: str, form: str, table: LanguageTable | None) -> str:
    """Return a date as the language's rules know it: "2026-02-03", "February 3", "2026"."""
    if len(written) == len("20260203") and written.isdecimal():
        # Amazon's and Google's
        return f"{written[:4]}-{written[4:6]}-{written[6:]}"
    named = _fields(written, form.lower())
    if not named:
        return written
    if len(named) == len("dmy"):
        return f"{named['y']:04}-{named['m']:02}-{named['d']:02}"
    if table is None:
        return "".join(f"{named[field]}{name}" for field, name in _COUNTERS.items() if field in named)
    if "m" not in named:
        return str(named.get("y", named.get("d")))
    name = table.dates.names[named["m"] - 1]
    if "d" in named:
        return f"{name} {named['d']}" if table.dates.order == "mdy" else f"{named['d']} {name}"
    return f"{name} {named['y']}" if "y" in named else name


def _fields(written: str, form: str) -> dict[str, int]:
    """The day, month and year of a date in figures, by its form ("dd/mm/yyyy"); {} for no date."""
    fields = [int(found) for found in FIGURES.findall(written)]
    form = re.sub("[^dmy]", "", form.replace("yyyy", "y").replace("mm", "m").replace("dd", "d"))
    if _NAMED.search(written) or len(fields) != len(form) or len({*form}) < len(form):
        return {}
    named = dict(zip(form, fields, strict=True))
    if 0 <= named.get("y", -1) < 100:
        named["y"] += _FIRST_OF_CENTURY if named["y"] < 70 else _LAST_OF_CENTURY
    valid = 1 <= named.get("m", 1) <= 12 and 1 <= named.get("d", 1) <= 31
    return named if valid else {}


def _year(written: str, table: LanguageTable | None) -> str:
    """Return a year in words; "" for what is none."""
    if table is None or not written.isdecimal() or len(written) > _DIGITS_OF_YEAR:
        return ""
    return table.number_words.year(int(written))


def _weekday(written: str, table: LanguageTable) -> str:
    """Return the weekday of a short name, in any case, or a letter; "" for none."""
    days = dict.fromkeys(table.dates.short_weekdays.values())
    letters = dict(zip(table.dates.weekday_letters, days, strict=False))
    named = table.dates.weekday(written) or table.dates.weekday(written.capitalize())
    return named or letters.get(written, "")


def _time(written: str) -> str:
    """Return a time with its "a.m." or "p.m." apart."""
    if found := _CLOCK.fullmatch(written.strip()):
        seconds = f":{found[3]}" if found[3] else ""
        return f"{found[1]}:{found[2] or '00'}{seconds} {found[4].lower()}.m."
    return written


def _telephone(written: str, table: LanguageTable) -> str:
    """Return the digits one by one, with a phrase break between groups."""
    groups = [
        " ".join(_character(character, table, str) for character in group)
        for group in re.findall(r"\d+|[A-Za-z]+|[+*#]", written)
    ]
    return ", ".join(groups).replace(f"{sign_name('+', table)}, ", f"{sign_name('+', table)} ")


_Say = Callable[[str, str, LanguageTable | None, Reader], str | None]

_KINDS: Mapping[str, _Say] = {
    "characters": lambda written, form, table, read: _characters(written, table, read),
    "cardinal": lambda written, form, table, read: _number("cardinal", form, written, table),
    "ordinal": lambda written, form, table, read: _number("ordinal", form, written, table),
    "digits": lambda written, form, table, read: " ".join(
        _character(one, table, read) for one in written if one.isdecimal()
    ),
    "year": lambda written, form, table, read: _year(written, table),
    "decade": lambda written, form, table, read: table.number_words.decade(int(written)) if table else "",
    "text": lambda written, form, table, read: written,
    "date": lambda written, form, table, read: (
        (table and _weekday(written, table)) or read(_date(written, form, table))
    ),
    "time": lambda written, form, table, read: read(_time(written)),
    "telephone": lambda written, form, table, read: _telephone(written, table) if table else "",
    "currency": lambda written, form, table, read: read(_CODE_AFTER.sub(r"\2 \1", written)),
    "money": lambda written, form, table, read: read(_CODE_AFTER.sub(r"\2 \1", written)),
    "unit": lambda written, form, table, read: _unit(written, table) or read(_UNIT.sub(r"\1 \2", written)),
}
"""The spoken form by kind; "" or None: as ``read`` has it."""
