"""The class of a word, and the rules that it is shown to: each says which classes of words it takes.

A rule of one of the three groups of ``RULES`` goes before those of the next one. Two rules of a group that
may read one place in two ways stand in ``BEFORE``; all others have no order.
"""

import functools
import graphlib
import re
import unicodedata
from collections.abc import Iterable, Mapping

from kani_text.normalizer.kinds import RuleFunction
from kani_text.normalizer.rules import (
    abbreviations,
    acronyms,
    fractions,
    math,
    ordinals,
    quantities,
    roman,
    trades,
    urls,
)
from kani_text.normalizer.rules.moments import dates, days, durations, times, weekdays
from kani_text.normalizer.rules.named import (
    codes,
    digit_sequences,
    marks,
    places,
    ranges,
)
from kani_text.normalizer.tables.table import LanguageTable

_LONGEST_KEPT = 40
"""The longest word, in characters, that the rules are kept for: longer ones seldom come twice."""

WordClass = frozenset[str]
"""Kinds of ``MADE_OF``, lists of the table, and "stopped", "repeated", "roman" and "marks"."""

_KIND_OF_SIGN = {
    sign: kind
    for kind, signs in {
        "hyphen": "-‐‑‒–—−",
        "slash": "/⁄",
        "stop": ".,·٫٬",
        "colon": ":",
        "prime": "'’′\"”″",
        "at": "@#",
        "underscore": "_",
        "bracket": "()",
    }.items()
    for sign in signs
}
LETTERS = frozenset(("letter", "small", "name", "capitals", "mixed", "uncased"))
"""Of these a word has one at most: a single letter is no "small", "Paul" is a "name"."""
MADE_OF = LETTERS | {*_KIND_OF_SIGN.values(), "figure", "numeral", "sign"}
"""Kinds of characters; "½" and "²" are numerals, and "sign" is any other character."""

# "XIV", "IIIème", "XVI's"; "xx"
_ROMAN = re.compile(r"[IVXLCDM]+\D{0,3}|[ivx]+")


def class_of(core: str, stopped: bool, table: LanguageTable) -> WordClass:
    """The class of a word; stopped: whether a full stop follows."""
    if not core:
        return frozenset(("marks",))
    kinds = _made_of(core) | lists_of(table).get(core.lower(), frozenset())
    if stopped:
        kinds |= {"stopped"}
    if len(core) > 1 and len(set(core)) == 1 and not core[0].isalnum():
        kinds |= {"repeated"}
    return kinds | {"roman"} if _ROMAN.fullmatch(core) else kinds


def _made_of(core: str) -> WordClass:
    if core.isalpha() and core.islower() and len(core) > 1:
        return frozenset(("small",))
    kinds, letters = set[str](), list[str]()
    for character in core:
        if character.isdecimal():
            kinds.add("figure")
        elif character.isnumeric():
            kinds.add("numeral")
        elif character.isalpha() or unicodedata.category(character)[0] == "M":
            letters.append(character)
        else:
            kinds.add(_KIND_OF_SIGN.get(character, "sign"))
    return frozenset(kinds | {_kind_of_letters(core, "".join(letters))} if letters else kinds)


def _kind_of_letters(core: str, letters: str) -> str:
    if letters.lower() == letters.upper():
        return "uncased"
    if len(core) == 1:
        return "letter"
    if letters.islower():
        return "small"
    if letters.isupper():
        return "capitals"
    return "name" if core[0].isupper() and letters[1:].islower() else "mixed"


@functools.cache
def lists_of(table: LanguageTable) -> Mapping[str, WordClass]:
    """The lists that a word in small letters, without its full stop, is in."""
    lists: dict[str, Iterable[str]] = {
        "abbreviation": [*table.abbreviations, *(key for trade in table.trades for key in trade.lines)],
        "weekday": [*table.dates.short_weekdays, *table.dates.weekday_letters],
        "month": table.dates.months,
        "currency": table.currencies,
        "unit": table.units,
        "book": table.books.names,
        "compass": table.compass.names,
        "key": table.web.keys,
        "signs": [sign for sign in table.signs if len(sign) > 1],
        "between": [*table.signs_between_figures, "x", "×"],
    }
    found: dict[str, WordClass] = {}
    for name, words in lists.items():
        for word in words:
            key = word.rstrip(".").lower()
            found[key] = found.get(key, frozenset()) | {name}
    return found


def _taken(row: str) -> tuple[list[frozenset[str]], frozenset[str]]:
    """Names of a row that a class has to have, and kinds of characters that it may have."""
    needs, allowed = list[frozenset[str]](), frozenset[str]()
    for word in row.split():
        names = MADE_OF if word == "*" else frozenset(word.rstrip("?").split("|"))
        names = names | LETTERS if "word" in names else names
        allowed |= names
        if word[-1] not in "?*":
            needs.append(names)
    return needs, allowed


class Rule:
    """A rule, and the classes of words that it takes: ``Rule(marks.ranking, "figure slash|stop")``.

    A word has to have each name of a row, or one of those with ``|`` between them. Characters of other kinds
    may be in it only if the row has their kind with ``?``, or ``*`` for all. ``word`` is any kind of letters.
    Lists of the table exclude nothing. A comma stands between rows.
    """

    def __init__(self, function: RuleFunction, takes: str) -> None:
        self.function = function
        self.name = f"{function.__module__.rpartition('.')[2]}.{function.__name__}"
        self.rows = [_taken(row) for row in takes.split(",")]

    def takes(self, word_class: WordClass) -> bool:
        """True if the rule is asked for words of a class."""
        made_of = word_class & MADE_OF
        return any(all(map(word_class.__and__, needs)) and made_of <= may for needs, may in self.rows)


RULES = (
    # Signs by themselves, and words that a list of the table has
    (
        Rule(math.sign_between, "between *, marks"),
        Rule(math.path_step, "sign hyphen?"),
        Rule(math.number_sign, "at"),
        Rule(math.named_sign, "signs *"),
        Rule(math.drawn_row, "repeated *"),
        Rule(weekdays.weekday, "weekday *, stopped month *, word hyphen|slash hyphen? slash? stop?"),
        Rule(ranges.book, "book *"),
        Rule(days.month, "month *"),
        Rule(abbreviations.expand_abbreviation, "abbreviation *, slash *, stopped word"),
    ),
    # Shapes
    (
        Rule(acronyms.dotted, "word stop"),
        Rule(codes.code, "figure hyphen?"),
        Rule(codes.extension, "figure hyphen"),
        Rule(codes.formula, "capitals|mixed|name figure? numeral? stop? bracket? sign?"),
        Rule(codes.hyphened, "figure hyphen capitals? at? bracket?, figure slash"),
        Rule(codes.labelled, "figure capitals hyphen?"),
        Rule(codes.lettered_code, "capitals|letter hyphen?"),
        Rule(codes.numbered, "figure word, figure bracket word?"),
        Rule(codes.sets, "figure hyphen bracket?"),
        Rule(trades.abbreviated_ending, "stopped word hyphen?"),
        Rule(trades.compound, "hyphen *"),
        Rule(dates.date, "figure hyphen? slash? stop? word?, figure sign hyphen|slash|stop"),
        Rule(dates.era, "figure word? stop?"),
        Rule(dates.loose, "figure slash|stop|hyphen slash? stop? hyphen? word? sign?"),
        Rule(days.year_of_date, "figure"),
        Rule(days.decade, "figure, figure word hyphen? slash? prime?"),
        Rule(digit_sequences.dotted, "figure stop sign? word? hyphen?"),
        Rule(digit_sequences.hyphened, "figure hyphen|stop slash? stop? hyphen?"),
        Rule(digit_sequences.with_ending, "figure word *"),
        Rule(digit_sequences.phone, "figure sign? hyphen? stop? slash? bracket?"),
        Rule(digit_sequences.zone, "capitals figure sign|hyphen colon?"),
        Rule(durations.duration, "figure word prime?, figure prime"),
        Rule(durations.elapsed, "figure word|prime|colon word? prime? colon? stop? slash? sign?"),
        Rule(durations.every, "figure slash word?, figure word hyphen?"),
        Rule(durations.prime, "figure sign? hyphen? stop? prime?"),
        Rule(fractions.fraction, "figure slash sign? hyphen? stop? word?"),
        Rule(marks.innings, "figure hyphen? slash? sign?"),
        Rule(marks.move, "small|name figure sign? at?"),
        Rule(marks.ranking, "figure slash|stop"),
        Rule(urls.mixed, "figure word, figure colon|hyphen word?"),
        Rule(marks.adjective, "figure word hyphen?"),
        Rule(marks.factor, "figure small|sign stop?"),
        Rule(marks.graded, "figure|capitals hyphen"),
        Rule(marks.note, "sign|at *"),
        Rule(marks.years, "figure hyphen word? prime?"),
        Rule(math.dimensions, "figure small|mixed|sign *"),
        Rule(math.power, "figure sign|word|numeral sign? word? numeral? stop? hyphen? prime?"),
        Rule(ordinals.marked, "figure, figure word|sign word? sign? stop? hyphen?"),
        Rule(ordinals.with_stop, "stopped figure slash? hyphen? stop?, stopped letter|capitals"),
        Rule(places.angle, "figure prime? stop? sign? word?"),
        Rule(places.direction, "compass letter|capitals, capitals hyphen|slash"),
        Rule(
            quantities.currency_before,
            # "en euros 20 años después": a name in small letters is no code.
            "currency letter|name|capitals|mixed|uncased|sign|stopped|abbreviation *, "
            "sign|hyphen word? sign? stop?",
        ),
        Rule(quantities.measured_range, "figure hyphen|slash *"),
        Rule(quantities.per_unit, "slash word? sign? stop? hyphen?"),
        Rule(quantities.unit_before, "unit small|name|capitals|mixed"),
        Rule(ranges.letters, "word hyphen figure? numeral?"),
        Rule(roman.roman, "roman *"),
        Rule(times.four_figures, "figure"),
        Rule(times.time, "figure colon? hyphen? slash? stop? word? sign? prime?"),
        Rule(trades.numbered, "figure word stop?"),
        Rule(urls.address, "stop|slash|colon|at|sign *, unit *"),
        Rule(urls.keys, "key *, word sign|hyphen figure? numeral? sign? hyphen?"),
        Rule(urls.snake, "underscore *"),
        Rule(urls.tag, "at *"),
        Rule(ranges.number_of_book, "figure"),
        Rule(ranges.verse, "figure colon|stop colon? stop? hyphen? small?"),
    ),
    # Numbers, capitals and letters that are nothing else
    (
        Rule(quantities.quantity, "figure|numeral *"),
        Rule(acronyms.acronym, "capitals, mixed prime?"),
        Rule(acronyms.initial, "letter"),
        Rule(acronyms.unspeakable, "small|name"),
    ),
)
"""All rules, in three groups."""

BEFORE = {
    # Signs and lists
    "math.path_step": "math.named_sign",
    "math.named_sign": "math.drawn_row",
    "weekdays.weekday": "abbreviations.expand_abbreviation days.month",
    "ranges.book": "abbreviations.expand_abbreviation days.month",
    "abbreviations.expand_abbreviation": "days.month",
    # Moments
    "dates.date": "dates.loose times.time ordinals.with_stop ordinals.marked fractions.fraction "
    "digit_sequences.dotted digit_sequences.hyphened codes.hyphened quantities.measured_range",
    "times.time": "ordinals.with_stop digit_sequences.dotted quantities.measured_range",
    "durations.elapsed": "times.time durations.prime",
    "durations.duration": "times.time",
    "days.decade": "digit_sequences.with_ending quantities.measured_range",
    # Names that are figures
    "ranges.verse": "times.time",
    "ranges.number_of_book": "ordinals.with_stop",
    "digit_sequences.phone": "codes.code codes.hyphened digit_sequences.dotted digit_sequences.hyphened "
    "fractions.fraction",
    "digit_sequences.dotted": "digit_sequences.hyphened",
    "codes.code": "codes.hyphened",
    "codes.hyphened": "fractions.fraction urls.tag",
    "codes.formula": "urls.mixed",
    "marks.years": "codes.hyphened",
    "places.angle": "durations.prime",
    "marks.innings": "fractions.fraction",
    "marks.ranking": "dates.loose",
    "fractions.fraction": "dates.loose",
    "ranges.letters": "quantities.measured_range",
    "math.dimensions": "math.power",
    "ordinals.marked": "math.power",
    # Words
    "trades.compound": "digit_sequences.with_ending",
    "trades.abbreviated_ending": "trades.compound",
    "ordinals.with_stop": "roman.roman",
}
"""Rules, and those of the same group that they go before where both read a place."""


def in_order(rules: tuple[Rule, ...], before: Mapping[str, str]) -> tuple[Rule, ...]:
    """The rules, each before those that it goes before. Raises graphlib.CycleError where it cannot."""
    by_name = {rule.name: rule for rule in rules}
    graph = {name: list[str]() for name in sorted(by_name)}
    for first, others in before.items():
        for name in others.split():
            if first in graph and name in graph:
                graph[name].append(first)
    return tuple(by_name[name] for name in graphlib.TopologicalSorter(graph).static_order())


_ORDERED = tuple(rule for group in RULES for rule in in_order(group, BEFORE))


@functools.lru_cache(maxsize=1 << 12)
def rules_of(word_class: WordClass) -> tuple[Rule, ...]:
    """The rules that take a class of words, in order."""
    return tuple(rule for rule in _ORDERED if rule.takes(word_class))


def rules_for(core: str, stopped: bool, table: LanguageTable) -> tuple[RuleFunction, ...]:
    """The functions of the rules that a word is shown to, in order; stopped: a full stop follows it."""
    find = _rules_for if len(core) <= _LONGEST_KEPT else _rules_for.__wrapped__
    return find(core, stopped, table)


@functools.lru_cache(maxsize=1 << 13)
def _rules_for(core: str, stopped: bool, table: LanguageTable) -> tuple[RuleFunction, ...]:
    return tuple(rule.function for rule in rules_of(class_of(core, stopped, table)))
