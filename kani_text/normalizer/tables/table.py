"""A language's table, ready to be looked up. Fields are filled from the keys of their names."""

import functools
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated

from babel import Locale

from kani_text.language_detection import common_words
from kani_text.normalizer.number_words.words import Agreement, NumberWords
from kani_text.normalizer.tables.file import Forms
from kani_text.normalizer.tables.lazy_pattern import LazyPattern
from kani_text.normalizer.tables.readings import Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """[numbers]: how digits are written and joined."""

    group: str
    decimal: str
    point: str
    decimals_as_number: int = 0
    minus: str
    plus: str
    plus_minus: str
    about: str
    to: str
    by: str
    power: str
    score: str = ""
    equals: str
    of_many: str = ""
    magnitudes: Mapping[str, Forms]
    money_magnitudes: Mapping[str, Forms]
    magnitude_words: frozenset[str]
    year_after: frozenset[str]
    ordered: frozenset[str]
    ordered_endings: tuple[str, ...]
    labels: frozenset[str]
    codes_after: frozenset[str]
    code_joiners: frozenset[str]
    called_after: frozenset[str]
    measured_after: frozenset[str]
    number_sign: str
    decade_mark: str = ""
    phones: tuple[str, ...]
    phone_digits: int = 1
    magnitude_gender: str = "m"
    counted_alone: frozenset[str]
    endings: tuple[str, ...]
    prefixes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fractions:
    """[fractions]: names of the parts, by denominator."""

    mixed: Annotated[str, "whole", "part"]
    half_before_noun: Mapping[str, str]
    over: str
    out_of: str
    rated: frozenset[str]
    mixed_half: Annotated[str, "whole"] = ""
    mixed_halves: Mapping[int, str]
    half_after_noun: Mapping[str, str]
    of_unit: Annotated[str, "part", "unit"] = "{part} {unit}"
    of_elided: Annotated[str, "part", "unit"] = "{part} {unit}"
    step: str
    steps: frozenset[str]
    pressure: Annotated[str, "numerator", "denominator"] = ""
    innings: Annotated[str, "runs", "wickets"] = ""
    innings_near: frozenset[str]
    not_out: str = ""
    names: Mapping[int, Forms]


@dataclass(frozen=True, slots=True, kw_only=True)
class Formulas:
    """[formulas]: words of mathematics."""

    functions: Mapping[str, str]
    words: frozenset[str]
    signs: Mapping[str, str]
    power: str = ""
    of: str = ""
    base: Annotated[str, "name", "n"] = "{name} {n}"
    prime: str = ""
    factorial: str = "!"
    given: str = ","
    tends: str = ""
    limit: Annotated[str, "bounds"] = "{bounds}"
    bounds: Annotated[str, "low", "high"] = "{low}, {high}"
    sum: str = "∑"
    product: str = "∏"
    integral: str = "∫"
    absolute: str = ""
    cube_root: str = "∛"
    root: Annotated[str, "degree"] = "{degree} √"
    choose: Annotated[str, "n", "k"] = "{n}, {k}"
    vector: str = ""
    partial: str = "∂"
    nabla: str = "∇"
    negative: str = ""


@dataclass(frozen=True, slots=True)
class Unit:
    """A line of [units]: its forms, and whether it has to touch its number."""

    forms: Forms
    gender: str
    attached: bool

    def with_forms(self, say: Callable[[str], str]) -> "Unit":
        """A unit of this one's gender, with other forms."""
        return Unit({category: say(form) for category, form in self.forms.items()}, self.gender, False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Currency:
    """A section of [currencies]: its forms, those of its smallest part, and how both are joined."""

    forms: Forms
    gender: str = ""
    cents: Forms | None = None
    cents_gender: str = ""
    cents_digits: int = 2
    joined: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherCalendar:
    """A section of [dates.calendars]: its months, and what is spoken after a date in it."""

    names: tuple[str, ...]
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dates:
    """[dates]: the order of digits and their templates."""

    order: str
    date: Annotated[str, "day", "month", "year"]
    day_month: Annotated[str, "day", "month"]
    month_year: Annotated[str, "month", "year"]
    day: str
    first_day: str = ""
    day_before_month: Annotated[str, "day"] = ""
    joiners: frozenset[str]
    after: Set[str]
    short_weekdays: Mapping[str, str]
    days: Set[str]
    beside_weekdays: frozenset[str]
    weekday_letters: str = ""
    names: tuple[str, ...]
    months: Mapping[str, int]
    other_months: frozenset[str]
    calendars: Mapping[str, OtherCalendar]

    def weekday(self, written: str) -> str | None:
        """The weekday of a short name, also in capitals ("VIE"), or with one where it has a small letter."""
        if written.isupper() and len(written) > len("Mo"):
            written = written.capitalize()
        names = self.short_weekdays
        return names.get(written) or names.get(written[:1].lower() + written[1:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """[times]: templates of hours and minutes."""

    dotted_after: frozenset[str]
    undotted_after: frozenset[str]
    undotted_before: frozenset[str]
    gender: str = ""
    minutes_gender: str = ""
    every: Annotated[str, "time"] = ""
    prime: Annotated[str, "number", "ordinal"] = ""
    minutes_before: frozenset[str]
    hours: Forms | None
    plain: Annotated[str, "hour", "minutes"]
    few_minutes: Annotated[str, "hour", "minutes"]
    on_the_hour: Annotated[str, "hour"]
    late_on_the_hour: Annotated[str, "hour"]
    seconds: Annotated[str, "time", "seconds"]
    marks: frozenset[str]
    hour_mark: Annotated[str, "hour"] = ""
    halves: Mapping[str, str]
    after: frozenset[str]
    minute: Forms | None
    second: Forms | None
    minutes_said: Mapping[int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Acronyms:
    """[acronyms]: those that are words or letters, and the shape of a word of the language."""

    read: frozenset[str]
    spelled: frozenset[str]
    words: frozenset[str]
    said: Mapping[str, str]
    vowels: frozenset[str]
    longest_onset: int = 2
    longest_coda: int = 1
    plural: str = ""
    short_words: bool = False
    elided: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Roman:
    """[roman]: where capital letters are numbers, and what kind of numbers."""

    cardinal_after: frozenset[str]
    ordinal_after: frozenset[str]
    small_after: frozenset[str]
    ordinal_before: frozenset[str]
    marks: tuple[str, ...]
    last_ordinal: int = 99
    names: Mapping[str, str]
    name: Annotated[str, "ordinal"] = "{ordinal}"
    articles: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """[web]: names of signs in addresses and names of files."""

    signs: Mapping[str, str]
    words: Mapping[str, str]
    spelled: frozenset[str]
    keys: Mapping[str, str]
    hashtag: str
    mention: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """[books]: names of the Bible's books by their abbreviations."""

    alone: frozenset[str]
    ordinal: str = ""
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Letters:
    """[compass] and [chess]: what letters stand for, right after some words or a few words near others."""

    after: frozenset[str]
    near: frozenset[str]
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Abbreviation:
    """A line of [abbreviations]: its words, each with its full stops, and spoken forms by condition."""

    parts: tuple[str, ...]
    said: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Trade:
    """A section of [trades]: words that are near, those that are cut short, and its short forms."""

    near: frozenset[str]
    words: tuple[str, ...]
    lines: Mapping[str, tuple[Abbreviation, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class LanguageTable:
    """A language's table; ``tables/README.md`` explains each section."""

    language: str
    number_words: NumberWords
    numbers: Numbers
    agreement: Agreement
    ordinals: Mapping[str, str]
    ordinals_with_stop: Mapping[str, Mapping[str, str]]
    unsure_of_ordinal: frozenset[str]
    fractions: Fractions
    formulas: Formulas
    units: Mapping[str, Unit]
    per: str
    product: str
    """The unit of a product that is in the plural: "first", "last", or "word" where they are one word."""
    currencies: Mapping[str, Currency]
    dates: Dates
    times: Times
    letters: Mapping[str, str]
    acronyms: Acronyms
    roman: Roman
    web: Web
    signs: Mapping[str, str]
    signs_between_figures: Mapping[str, str]
    greek: Mapping[str, str]
    abbreviations: Mapping[str, tuple[Abbreviation, ...]]
    trades: tuple[Trade, ...]
    cut: Mapping[str, str]
    cut_adjectives: frozenset[str]
    cut_plurals: Mapping[str, str]
    titles: frozenset[str]
    also_words: frozenset[str]
    first_names: frozenset[str]
    abbreviated_endings: Mapping[str, str]
    abbreviated_beginnings: Mapping[str, str]
    books: Books
    compass: Letters
    chess: Letters
    code_block: str
    kinds: Mapping[str, frozenset[str]]
    spellings: tuple[tuple[LazyPattern, str], ...]
    readings: tuple[Reading, ...]

    @property
    def common_words(self) -> frozenset[str]:
        """The commonest words of the language, which begin sentences and are no names."""
        return common_words(self.language)

    def is_money(self, word: str) -> bool:
        """True for a currency's sign or name."""
        named = any(word in money.forms.values() for money in self.currencies.values())
        return named or word in self.currencies

    def names_unit(self, word: str) -> bool:
        """True for a unit's symbol or name."""
        return word in self.units or any(word in unit.forms.values() for unit in self.units.values())

    def form(self, forms: Forms, number: Decimal | int) -> str:
        """The form of ``forms`` for ``number``."""
        category = plural_category(self.language, number)
        if category in forms:
            return forms[category]
        other = forms["other"]
        return f"{self.numbers.of_many} {other}" if category == "many" and self.numbers.of_many else other

    def form_includes_number(self, forms: Forms, number: Decimal | int) -> bool:
        """True if the form for ``number`` includes the number ("two books" in one word)."""
        category = plural_category(self.language, number)
        return category in self.numbers.counted_alone and category in forms

    def form_for_many(self, forms: Forms) -> str:
        """The form after a rounded number of millions ("3,5 M€": "de euros")."""
        if "many" in forms and plural_category(self.language, 1_000_000) == "many":
            return forms["many"]
        of_many = self.numbers.of_many
        return f"{of_many} {forms['other']}" if of_many else forms["other"]


@functools.lru_cache(maxsize=4096)
def plural_category(language: str, number: Decimal | int) -> str:
    """The plural category of ``number`` by CLDR."""
    whole, mark, decimals = f"{Decimal(number):f}".lstrip("-").partition(".")
    if len(whole) + len(decimals) > 20:
        # Babel fails on more than 28 digits; the rules ask for the last six of the whole number at most.
        number = Decimal(f"{'1' if whole[9:] else ''}{whole[-9:]}{mark}{decimals[:9]}")
    return str(Locale(language).plural_form(abs(number)))  # type: ignore[arg-type]
