"""Spellings of numbers that become others, which the rules know: "12 500€", "+/-3", "15:3=5"."""

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from itertools import cycle
from pathlib import Path

from kani_text.normalizer.rules.acronyms import letter_name
from kani_text.normalizer.tables.file import read_table_file
from kani_text.normalizer.tables.lazy_pattern import LazyPattern
from kani_text.normalizer.tables.loaded import table_for
from kani_text.normalizer.tables.readings import Reading, parse_readings
from kani_text.normalizer.unspaced.table import unspaced_table_for
from kani_text.writing import RAISED, roman_value

_FILE = read_table_file(Path(__file__).with_name("spellings.toml"))
_PARTS, _READINGS = _FILE.section("parts").all_texts(), _FILE.section("readings")
_SHARED = [
    (languages.split(), parse_readings(_READINGS.section(languages), _PARTS))
    for languages in _READINGS.key_names()
]
_WORDS = _FILE.section("words")
_WORDS_OF = {language: _WORDS.section(language).all_texts() for language in _WORDS.key_names()}
_MOVED, _NO_DAYS = re.compile(_PARTS["moved"]), re.compile(_PARTS["nodays"])
_NEAR = 60
"""Characters around a span of days that show whether it is one."""
_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"
_LONG = 8


@functools.cache
def shared_readings(language: str) -> tuple[Reading, ...]:
    """The rows of [readings] that a language (primary subtag) shares with others."""
    return tuple(row for languages, rows in _SHARED if language in languages for row in rows)


def words_of(language: str) -> Mapping[str, str]:
    """The words of a language (primary subtag) in shared rows and other patterns, by their names."""
    return _WORDS_OF.get(language, {})


def path_steps(path: re.Match[str], language: str) -> str:
    """A path with pauses for its signs, if a step in it is a word: others compare ("9 > x > 3")."""
    steps = path.string[path.start() : path.end() + 2]
    named = path.group() == " > " or re.search(r"> [^\W\d_][^\s\d]", steps)
    mark = "、" if unspaced_table_for(language) else " — "
    return path.group().replace(" > ", mark) if named else path.group()


def in_full(found: re.Match[str], language: str) -> str:
    """An amount without its magnitude: "$87.4K" is "$87400"."""
    zeros = {"K": 3, "M": 6, "B": 9}[found[3]]
    return f"{found[1]}{int(Decimal(found[2]).scaleb(zeros))}"


def minutes_and_seconds(found: re.Match[str], language: str) -> str:
    """Minutes and seconds of a race: "+1:02" is "+1 min 2 s", "a +0:08" is "a 8 s"."""
    minutes, seconds = int(found[2]), int(found[3])
    parts = (f"{minutes} min" * (minutes > 0), f"{seconds} s" * (seconds > 0 or minutes == 0))
    return (found[1] or "+") + " ".join(filter(None, parts))


def days_of_span(found: re.Match[str], language: str) -> str:
    """The days of "mudou de 5/8 para 12/8" with two figures each, as no fractions have them."""
    days = tuple(zip(map(int, found.group(2, 4)), map(int, found.group(3, 5)), strict=True))
    real = all(0 < min(day) <= 12 and max(day) <= 31 for day in days)
    before = found.string[max(0, found.start() - _NEAR) : found.start()]
    later = found[1] == "from" and days[0][0] == days[1][0] > 1 and days[0][1] < days[1][1]
    moved = later or found[1] in ("open", "closed") or _MOVED.search(before)
    whole = any(day >= month > 1 for day, month in days)
    usual = all(day < month <= 4 for day, month in days)
    if (
        not real
        or usual
        or not (moved or (whole and days[0][1] > 4))
        or _NO_DAYS.search(before + found.string[found.end() : found.end() + _NEAR // 2])
    ):
        return found.group()
    return re.sub(r"(?<!\d)\d(?=/)|(?<=/)\d(?!\d)", r"0\g<0>", found.group())


def day_of_log(found: re.Match[str], language: str) -> str:
    """The day of a server's log, "05/Mar/2026:14:30:00", as "2026-03-05, "."""
    return f"{found[3]}-{_MONTHS.index(found[2]) // 3 + 1:02}-{found[1]}, "


def said_once(found: re.Match[str], language: str) -> str:
    """The words of "30 (treinta) días" just once, in the form that is written."""
    table = table_for(language)
    said = table.number_words.cardinal(int(found[1])) if table is not None else ""
    written = found[2]
    # Feminine "una", "uma" and "duas", too
    same = written in (said, f"{said}a") or written[:-1] == said[:-1] or (said, written) == ("dois", "duas")
    return written if same else found[0]


def named_characters(found: re.Match[str], language: str) -> str:
    """The names of an identifier's characters, with a pause for a hyphen and in a long one after each four.

    In a language without a table they are the characters themselves.
    """
    table, unspaced = table_for(language), unspaced_table_for(language)
    digits = unspaced.words.digits if unspaced else str
    names = {one: table.number_words.cardinal(int(one)) if table else digits(one) for one in "0123456789"}
    names |= {one: letter_name(one, table) if table else one.upper() for one in "abcdef"}
    code = found[found.lastindex or 0]
    groups = code.split("-") if "-" in code or len(code) <= _LONG else re.findall(".{1,4}", code)
    spelled = (" ".join(names[one] for one in group.lower()) for group in groups)
    return f" {'、'.join(spelled)}" if unspaced else ", ".join(spelled)


_FUNCTIONS: Mapping[str, Callable[..., str]] = {
    one.__name__: one
    for one in (
        path_steps, in_full, minutes_and_seconds, days_of_span, day_of_log, said_once, named_characters
    )
} | {
    # Small Roman numerals after a word that has them: "pp. v–xii"
    "capitals": lambda found, language: found[1] + found[2].upper(),
    # "¹³⁷Cs" is "Cs 137".
    "isotope": lambda found, language: f"{found[2]} {found[1].translate(RAISED)}",
    # A word without the points between its syllables
    "joined": lambda found, language: found[0].replace("·", ""),
    "letters": lambda found, language: found[1] + " ".join(found[2]),
    "roman_numeral": lambda found, language: f"{found[1]}{roman_value(found[2]) or found[2]}",
    # The sets of a match with a word for each slash
    "sets": lambda found, language, to: found[1] + found[2].replace("/", f" {to} "),
}  # fmt: skip
"""Functions that rows name; each takes a match, the language, and the words after its name in the row."""


def _rows() -> Iterator[tuple[str, LazyPattern, str]]:
    """The rows of the file; those of "each" for every language with its own words."""
    for kinds in _FILE.key_names():
        each = kinds.split()[1:] if kinds.startswith("each ") else [kinds]
        rows = _FILE.section(kinds).patterns([{**_PARTS, **words_of(one)} for one in each])
        for language, (written, becomes) in zip(cycle(each), rows, strict=False):
            yield language, written, becomes


ROWS = tuple(_rows())


@functools.cache
def spellings_of(language: str) -> tuple[tuple[LazyPattern, Callable[[re.Match[str]], str]], ...]:
    """The patterns of a language (primary subtag), in order, and what becomes of what each matches."""
    table = unspaced_table_for(language) or table_for(language)
    first, shared = (
        [(written, becomes) for kinds, written, becomes in ROWS if not {*those}.isdisjoint(kinds.split())]
        for those in (("first",), ("all", language))
    )
    rows = *first, *(table.spellings if table else ()), *shared
    return tuple((written, _spelled(becomes, language)) for written, becomes in rows)


def _spelled(becomes: str, language: str) -> Callable[[re.Match[str]], str]:
    """A function for what becomes of a match."""
    if becomes.startswith("@"):
        name, *words = becomes[1:].split(maxsplit=1)
        return lambda found: _FUNCTIONS[name](found, language, *words)
    if becomes:
        return lambda found: found.expand(becomes)
    return lambda found: re.sub(r"[\s-]", "", found.group())
