"""The table of a language that is written without spaces, and its loading.

``tables/README.md`` explains the sections; the files are in ``tables/unspaced/``.
"""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from kani_text.normalizer.number_words.ja import JapaneseNumbers
from kani_text.normalizer.number_words.words import Counter
from kani_text.normalizer.number_words.zh import ChineseNumbers
from kani_text.normalizer.tables.file import TableSection, read_table_file
from kani_text.normalizer.tables.lazy_pattern import LazyPattern
from kani_text.normalizer.tables.readings import Reading, parse_readings
from kani_text.normalizer.tables.table import Formulas
from kani_text.normalizer.tables.unit_symbols import in_all_spellings, other_currencies

UNSPACED_FOLDER = Path(__file__).parents[1] / "tables" / "unspaced"

NUMBER_WORDS: dict[str, type[ChineseNumbers | JapaneseNumbers]] = {
    "zh": ChineseNumbers,
    "ja": JapaneseNumbers,
}
_CHANGES = frozenset(" k s u g z h p two".split(" "))


@dataclass(frozen=True, slots=True, kw_only=True)
class UnspacedNumbers:
    """[numbers]: words between and around figures."""

    point: str
    minus: str
    below_zero: str
    plus: str
    plus_minus: str
    about: str
    to: str
    ratio: str
    power: str
    number_sign: str
    fraction: Annotated[str, "numerator", "denominator"]
    mixed: str
    one_by_one_before: tuple[str, ...]
    one_by_one_after: re.Pattern[str]
    ordinal_after: str
    verse: Annotated[str, "chapter", "verse"]
    magnitudes: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """[moments]: the counters that dates and times are read with.

    first_day: the 1st after its month, where that is not said as one day.
    """

    year: str
    month: str
    day: str
    first_day: str = ""
    hour: str
    minute: str
    second: str
    zero_minutes: str
    halves: Mapping[str, str]
    weekdays: str
    weekday_names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Phones:
    """[phones]: patterns, the words before any other number that is one, and what joins its groups.

    one: 1 in them.
    """

    patterns: tuple[re.Pattern[str], ...]
    after: re.Pattern[str]
    joined: str
    one: str


@dataclass(frozen=True, slots=True)
class UnspacedUnit:
    """Words before and after a unit's number: "百分之" and "", or "" and "公里"."""

    before: str
    counter: Counter


@dataclass(frozen=True, slots=True, eq=False)
class UnspacedTable:
    """A language's table; keys of ``counters``, ``units`` and ``currencies`` are what is written."""

    language: str
    words: ChineseNumbers | JapaneseNumbers
    numbers: UnspacedNumbers
    moments: Moments
    phones: Phones
    counters: Mapping[str, Counter]
    """Those that say nothing are read as they are written, after a number that they change."""
    units: Mapping[str, UnspacedUnit]
    per: str
    powers: tuple[str, str]
    """Templates of a unit's square and cube."""
    temperatures: frozenset[str]
    currencies: Mapping[str, Counter]
    signs: Mapping[str, str]
    between_figures: Mapping[str, str]
    between_words: Mapping[str, str]
    formulas: Formulas
    web: Mapping[str, str]
    version: str
    ruby: bool
    code_block: str
    spellings: tuple[tuple[LazyPattern, str], ...]
    readings: tuple[Reading, ...]
    beside: Mapping[str, re.Pattern[str]]
    """Patterns by name: a text between ``<`` and ``>``, and what is before and after it."""
    following: frozenset[str]
    """Words and signs after a number that decide its reading."""
    beginnings: frozenset[str]
    """Proper beginnings of ``following``: more text may complete them."""
    longest_following: int
    plain: re.Pattern[str]
    """Characters that no rule begins at: hiragana, and Han where no reading may stand after them."""


def unspaced_table_for(tag: str) -> UnspacedTable | None:
    """The table of a language (BCP 47) that is written without spaces; None where there is none.

    Raises TableError.
    """
    language = tag.replace("_", "-").partition("-")[0].lower()
    return _load(language) if language in NUMBER_WORDS else None


@functools.cache
def _load(language: str) -> UnspacedTable:
    return parse_unspaced_table(language, read_table_file(UNSPACED_FOLDER / f"{language}.toml"))


def check_unspaced_tables() -> None:
    """Load every table. Raises TableError for the first broken one."""
    for language in NUMBER_WORDS:
        unspaced_table_for(language)


def parse_unspaced_table(language: str, file: TableSection) -> UnspacedTable:
    """The table of ``language`` in a file. Raises TableError."""
    signs = file.section("signs")
    web, markup, units = file.section("web"), file.section("markup"), file.section("units")
    temperatures = frozenset(units.words("temperatures"))
    per, powers = units.text("per"), (units.template("squared", "unit"), units.template("cubed", "unit"))
    version = web.text("version")
    between_figures, between_words = signs.section("between_figures"), signs.section("between_words")
    beside = file.section("beside")
    lines = file.section("counters")
    counters = dict.fromkeys(lines.words("counted"), Counter(change="two"))
    counters |= dict.fromkeys(lines.words("uncounted"), Counter())
    counters |= {key: _counter(lines, key) for key in lines.key_names()}
    numbers = _numbers(file.section("numbers"))
    change = units.text("change", "")
    unit_names = _units(units, change)
    currencies = _currencies(file.section("currencies"), language, change)
    ruby, code_block = markup.flag("ruby"), markup.text("code_block")
    markup.check_all_read()
    following = frozenset(
        (*counters, *unit_names, *numbers.magnitudes, *numbers.one_by_one_before, *currencies)
    )
    return file.fill(
        UnspacedTable,
        language=language,
        words=NUMBER_WORDS[language](language),
        numbers=numbers,
        phones=_phones(file.section("phones")),
        counters=counters,
        units=unit_names,
        per=per,
        powers=powers,
        temperatures=temperatures,
        currencies=currencies,
        between_figures=between_figures.all_texts(),
        between_words=between_words.all_texts(),
        signs=signs.all_texts(),
        web=web.all_texts(),
        version=version,
        ruby=ruby,
        code_block=code_block,
        spellings=file.section("spellings").patterns(),
        readings=parse_readings(file.section("readings"), {}),
        beside={name: _beside(beside, name) for name in beside.key_names()},
        following=following,
        beginnings=frozenset(one[:at] for one in following for at in range(1, len(one))),
        longest_following=max(map(len, following)),
        plain=re.compile("[\u3041-\u3096]+" if ruby else "[\u3041-\u3096\u3400-\u9fff]+"),
    )


def _alternatives(words: tuple[str, ...], pattern: str) -> re.Pattern[str]:
    """``pattern`` with the words instead of ``%s``; without words it matches nothing."""
    return re.compile(pattern % ("|".join(map(re.escape, words)) or "(?!)"))


def _beside(section: TableSection, name: str) -> re.Pattern[str]:
    patterns = section.texts(name)
    if not patterns:
        raise section.error(name, "has no pattern")
    try:
        return re.compile("|".join(patterns))
    except re.error as error:
        raise section.error(name, f"has what is no pattern: {error}") from None


def _numbers(section: TableSection) -> UnspacedNumbers:
    magnitudes = section.section("magnitudes")
    after = section.words("one_by_one_after")
    return section.fill(
        UnspacedNumbers,
        one_by_one_after=_alternatives(after, r"(?:%s)[号码是為为はがの：:\s#]{0,3}\Z"),
        magnitudes={name: magnitudes.number(name, 0) for name in magnitudes.key_names()},
    )


def _phones(section: TableSection) -> Phones:
    return section.fill(
        Phones,
        patterns=tuple(re.compile(re.escape(one).replace("d", r"\d")) for one in section.texts("patterns")),
        after=_alternatives(section.words("after"), r"(?:%s)[是為为はに：:\s]{0,2}\Z"),
    )


def _units(section: TableSection, change: str) -> dict[str, UnspacedUnit]:
    prefixes = section.section("prefixes").all_texts()

    def unit(key: str, said: str) -> UnspacedUnit:
        """ "ヘルツ", or "キロヘルツ u": a reading and its change, "{n}" where the number is not first."""
        before, _, after = said.rpartition("{n}")
        name, _, own = after.partition(" ")
        if own not in _CHANGES:
            raise section.error(key, "has a change other than k s u g z h p")
        return UnspacedUnit(before, Counter(name, own or change if name else ""))

    def prefixed(prefix: str, of: UnspacedUnit) -> UnspacedUnit:
        name, _, own = prefix.partition(" ")
        return unit(name, f"{name}{of.counter.said} {own}")

    units = {symbol: unit(symbol, section.template(symbol, "n")) for symbol in section.key_names()}
    return in_all_spellings(units, prefixes, prefixed)


def _currencies(section: TableSection, language: str, change: str) -> dict[str, Counter]:
    """By sign or code: the name, read as a counter."""
    names = {sign: name for name in section.key_names() for sign in section.words(name)}
    for signs, forms in other_currencies(language, names):
        names |= dict.fromkeys(signs, forms["other"].replace(" ", ""))
    return {sign: Counter(name, change) for sign, name in names.items()}


def _counter(section: TableSection, key: str) -> Counter:
    """ "ホン h": a reading and its change; or these as ``said``, with ``last`` and ``whole`` readings."""
    value = section.take(key)
    fields: dict[str, Any] = value if isinstance(value, dict) else {"said": value}
    try:
        said, _, change = fields.pop("said").partition(" ")
        last, whole = (
            {int(number): str(reading) for number, reading in fields.pop(name, {}).items()}
            for name in ("last", "whole")
        )
    except (AttributeError, KeyError, ValueError):
        wanted = (
            'has to have numbers and their readings as "last" and "whole", and a text ("ホン h") as "said"'
        )
        raise section.error(key, wanted) from None
    if change not in _CHANGES or not said or fields:
        raise section.error(key, 'has a change other than k s u g z h p, or a key other than "last", "whole"')
    return Counter(said, change, last, whole)
