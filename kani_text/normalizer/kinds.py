"""Kinds of words, and rows of them: what stands around a place decides how it is read.

A kind is found once for each token, when a row first asks for it. ``KINDS`` has shapes, and words of sections
of a language's table that other code uses, too; its section [kinds] has words that only rows ask for.
"""

import functools
import re
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from operator import attrgetter

from kani_text.normalizer.rules.numerals import DASHES
from kani_text.normalizer.spoken import Verbalization
from kani_text.normalizer.tables.table import LanguageTable
from kani_text.normalizer.tokens import NO_TOKEN, Token, TokenCursor

_ANY_MARKS = "~"
_ITEM = re.compile(r"(?P<bracket>\()?(?P<kinds>@|[\w|]+|'[^']+')(?P<marks>~|\{[^}]*\})?(?P<optional>\?)?")
_ORDINAL = re.compile(
    r"\d{1,3}(?:\.|[.]?[ºª°]|(?:st|nd|rd|th|e|\.?er|ère|ème))|[IVX]{1,6}(?:e|º|°)?(?:[-–][IVX]{1,6}(?:e|º|°)?)?"
)
_SHORT_WORD = re.compile(r"[^\W\d_]{1,7}")
_DASH = re.compile(rf"[{DASHES}/]")
_SHAPES = {
    "value": r"(?:v|[^\w\s]{1,2}|[A-Z]{1,2}\$)?\d[\d.,:%‰€£$°]*(?:[a-zµ]{0,3}|[KM])",
    "day": r"(?:0?[1-9]|[12]\d|3[01])(?:\.?[^\W\d_]{2}|[ºª°])?",
    "year": r"1[1-9]\d\d|20\d\d",
    "date": r"\d{1,2}([./-])(?:\d{1,2}|[^\W\d_]{3,9})(?:\1(?:\d\d|\d{4}))?\.?",
    "clock": r"(?i:(?:[01]?\d|2[0-4])(?:[:.h][0-5]\d)(?:[:.][0-5]\d)?|(?:[01]?\d|2[0-4])h)",
    "times": r"(?i:\d{1,2}(?:[:.h]\d\d\S{0,4}|h|[ap]\.?m)"
    rf"|\d{{1,2}}(?:[:.h]\d\d|h)?\S{{0,3}}[{DASHES}]\d{{1,2}}\S{{0,5}})",
    "degrees": r"[-−]?\d{1,2}[°º](?!\w).*",
    "decade": r"(?:\d\d)?\d0s",
    "seconds": r"\d{1,2}(?:s|sec|seg)",
    "distance": r"(?:\d+-?)?[Kk]m?",
    "roman": r"[IVXLC]+",
    "few": r"[1-9]|1\d|20",
    "short_number": r"\d{1,3}(?:[-–]\d{1,3})?",
    "day_range": r"\d{1,2}\.?(?:\d{1,2}\.?)?[-–]\d{1,2}(?:\.\d{1,2})?",
    "part": r"[½¼¾⅓⅔⅛]|1/[2348]|3/4|2/3",
    "length": r"\d[\d.,]*(?:[mcd]?m|in|ft)",
    "length_unit": r"[mcd]?m|ft",
    "lettered": r"[A-Z]\d{0,2}",
    "name": r"[A-ZÀ-ÖØ-Þ][a-zß-öø-ÿ]+",
    "house_number": r"\d.*|[Nn](?:[.r]|úm)?[.º°]*|[Ss]/[Nn].*",
}
"""Patterns of whole words."""


_SECTIONS = {
    "month": "dates.months", "other_month": "dates.other_months", "weekday": "dates.days",
    "beside_weekday": "dates.beside_weekdays", "dated_after": "dates.after",
    "dotted_after": "times.dotted_after", "year_after": "numbers.year_after",
    "measured_after": "numbers.measured_after", "magnitude": "numbers.magnitude_words",
    "half": "times.halves", "undotted_after": "times.undotted_after",
    "minutes_before": "times.minutes_before", "undotted_before": "times.undotted_before",
    "joiner": "dates.joiners", "label": "numbers.labels", "rating": "fractions.rated",
    "roman_article": "roman.articles", "numbered": "roman.cardinal_after",
    "not_noun": "agreement.not_nouns",
}  # fmt: skip
"""Sections of the table that have the words of a kind in small letters."""


def _shape(pattern: str) -> Callable[[Token, LanguageTable], bool]:
    compiled = re.compile(pattern)
    return lambda token, table: compiled.fullmatch(token.core) is not None


def _listed(section: Callable[[LanguageTable], Container[str]]) -> Callable[[Token, LanguageTable], bool]:
    return lambda token, table: token.core.lower() in section(table)


def measures(symbol: str, units: str, table: LanguageTable) -> bool:
    """True for a symbol or a name of what one of ``units`` measures ("h", "hrs", "hours")."""
    found = table.units.get(symbol)
    for forms in (unit.forms for one in units.split() if (unit := table.units.get(one)) is not None):
        if symbol in forms.values() or (found is not None and found.forms["other"] == forms["other"]):
            return True
    return False


KINDS: Mapping[str, Callable[[Token, LanguageTable], bool]] = {
    **{name: _shape(pattern) for name, pattern in _SHAPES.items()},
    # Figures
    "figure": lambda token, table: token.core[:1].isdecimal(),
    "number": lambda token, table: token.core.isdecimal(),
    "ordinal": lambda token, table: _ORDINAL.fullmatch(token.core + token.suffix) is not None,
    "count": lambda token, table: (
        token.core.lstrip("~≈<>≤≥±")[:1].isdecimal() and not is_kind(token, "clock", table)
    ),
    "money": lambda token, table: not {token.core[:1], token.core[-1:]}.isdisjoint(table.currencies),
    # Shapes of words
    "capital": lambda token, table: token.core[:1].isupper(),
    "capitalized": lambda token, table: token.core[:1].isupper() and token.core[1:2].islower(),
    "capitals": lambda token, table: len(token.core) > 1 and token.core.isupper(),
    "small": lambda token, table: token.core[:1].islower(),
    "letter": lambda token, table: len(token.core) == 1 and token.core.isalpha(),
    "word": lambda token, table: token.core.isalpha(),
    "short_word": lambda token, table: (
        _SHORT_WORD.fullmatch(token.core) is not None and (token.core.islower() or token.core.isupper())
    ),
    "dash": lambda token, table: token.core in (*DASHES, "—"),
    "sign": lambda token, table: token.core in table.signs,
    # Words of the table
    **{name: _listed(attrgetter(section)) for name, section in _SECTIONS.items()},
    "short_weekday": lambda token, table: table.dates.weekday(token.core) is not None,
    "weekdays": lambda token, table: _DASH.split(token.core)[-1] in table.dates.short_weekdays,
    "time_after": lambda token, table: token.core in table.times.after,
    "hours": lambda token, table: token.core in table.times.marks,
    "hour_name": lambda token, table: measures(token.core, "h", table),
    "minute_name": lambda token, table: measures(token.core, "min", table),
    "unit": lambda token, table: token.core in table.units,
    "compass": lambda token, table: token.core in table.compass.names,
    "measure": lambda token, table: (
        token.core in table.units
        and token.core.lower() not in table.times.halves
        and token.core not in table.times.marks
    ),
    "currency": lambda token, table: token.core in table.currencies,
    "and": lambda token, table: token.core.lower() == table.signs.get("&"),
    "to": lambda token, table: token.core.lower() == table.numbers.to,
    # Tokens without letters and figures
    "mark": lambda token, table: not token.core and token is not NO_TOKEN,
    "nothing": lambda token, table: token is NO_TOKEN,
}
"""Kinds that have a test of their own; all others are words of a table's [kinds]."""


def is_kind(token: Token, kind: str, table: LanguageTable) -> bool:
    """True for a token of a kind of ``KINDS`` or of the table's [kinds]; a mark by itself is a "mark"."""
    if not token.core:
        return kind == ("nothing" if token is NO_TOKEN else "mark")
    found = token.kinds.get(kind)
    if found is None:
        test = KINDS.get(kind)
        found = test(token, table) if test else token.core.lower() in table.kinds.get(kind, ())
        token.kinds[kind] = found
    return found


@dataclass(frozen=True, slots=True)
class _Item:
    """A word of a row: one of its kinds, or its text; all marks after it (None: any), a bracket before it."""

    kinds: tuple[str, ...]
    text: str
    marks: re.Pattern[str] | None
    bracket: str

    def is_at(self, token: Token, table: LanguageTable) -> bool:
        """True if the token is one of the item's kinds."""
        if self.text:
            return (token.core or token.suffix) == self.text
        return any(is_kind(token, one, table) for one in self.kinds)

    def touches(self, token: Token, following: Token, item: "_Item") -> bool:
        """True if only marks that the row allows are between the item's token and the following item's."""
        return self.ends(token) and following.prefix == item.bracket

    def ends(self, token: Token) -> bool:
        """True if no marks are after the token but those that the row allows."""
        return self.marks is None or self.marks.fullmatch(token.suffix) is not None


class Rows:
    """Rows of kinds around a place: ``Rows("article @ name", "@{,?} weekday", "closed the? @")``.

    ``@`` is the place. A word is one or more kinds (``date|clock``) or a text in quotes (``'of'``). No mark
    stands between two words, unless the first one has its marks in braces (a pattern of all of them:
    ``day{[.,]}``) or ``~`` (any), or the second one an opening bracket before it (``(date``). ``?`` after a
    word says that it may be missing.
    """

    def __init__(self, *rows: str) -> None:
        """Raises ValueError for a row that cannot be read, or without its place."""
        self._rows = tuple(parsed for row in rows for parsed in _parse(row))

    @functools.cached_property
    def kinds(self) -> frozenset[str]:
        """The kinds that the rows ask for."""
        return frozenset(kind for items, _ in self._rows for item in items for kind in item.kinds)

    def hold(self, cursor: TokenCursor, table: LanguageTable, ahead: int = 0) -> bool:
        """True if a row holds around the place from the cursor's token to the one ``ahead`` of it.

        Raises MoreTextNeeded where a row may still hold once more text follows.
        """
        return any(_holds(items, place, cursor, table, ahead) for items, place in self._rows)


def _holds(
    items: tuple[_Item, ...], place: int, cursor: TokenCursor, table: LanguageTable, ahead: int
) -> bool:
    following = cursor.token()
    for at in reversed(range(place)):
        token = cursor.previous(place - at)
        if not (items[at].touches(token, following, items[at + 1]) and items[at].is_at(token, table)):
            return False
        following = token
    before = cursor.token(ahead)
    for at in range(place + 1, len(items)):
        if not items[at - 1].ends(before):
            return False
        token = cursor.token(ahead + at - place)
        # An entry of the lexicon is said already, whatever it follows.
        if token.entry or token.prefix != items[at].bracket or not items[at].is_at(token, table):
            return False
        before = token
    return items[-1].ends(before)


def _parse(row: str) -> list[tuple[tuple[_Item, ...], int]]:
    """The items of a row and the index of its place, once with and once without each that may be missing."""
    found: list[list[re.Match[str]]] = [[]]
    for word in row.split():
        match = _ITEM.fullmatch(word)
        if match is None:
            raise ValueError(f"{word!r} of the row {row!r} is no kind, no text in quotes and no place (@)")
        found = [*([*one, match] for one in found), *(found if match["optional"] else ())]
    places = [[match["kinds"] for match in one].index("@") for one in found] if row.count("@") == 1 else []
    if not places:
        raise ValueError(f"the row {row!r} has to have one place (@)")
    pairs = zip(found, places, strict=True)
    return [(tuple(_item(match, match is one[-1]) for match in one), at) for one, at in pairs]


def _item(match: re.Match[str], last: bool) -> _Item:
    """An item of a match; after the last one any marks may stand, unless the row says which."""
    kinds, marks = match["kinds"], match["marks"] or (_ANY_MARKS if last else "{}")
    text = kinds[1:-1] if kinds[0] == "'" else ""
    named = () if text or kinds == "@" else tuple(kinds.split("|"))
    pattern = None if marks == _ANY_MARKS else re.compile(marks[1:-1])
    return _Item(named, text, pattern, match["bracket"] or "")


RuleFunction = Callable[[TokenCursor, LanguageTable], Verbalization | None]
"""Reads the cursor's token, and those after it that go with it; None where it says nothing of them."""
_RuleOfMatch = Callable[[re.Match[str], TokenCursor, LanguageTable], Verbalization | None]


def matching(pattern: str) -> Callable[[_RuleOfMatch], RuleFunction]:
    """A rule for words that a pattern matches as a whole; it gets the match, too."""
    compiled = re.compile(pattern)

    def of_match(function: _RuleOfMatch) -> RuleFunction:
        @functools.wraps(function)
        def rule(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
            match = compiled.fullmatch(cursor.token().core)
            return None if match is None else function(match, cursor, table)

        return rule

    return of_match
