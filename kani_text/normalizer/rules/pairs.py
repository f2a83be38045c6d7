"""Two figures with a slash that are no fraction: ratings, laws, seasons, the sets of a match."""

import re

from kani_text.normalizer.kinds import Rows, is_kind, matching
from kani_text.normalizer.rules import numerals
from kani_text.normalizer.rules.moments.day_and_month import is_loose
from kani_text.normalizer.rules.units import Measure, PhraseBuilder, resolve_unit
from kani_text.normalizer.spoken import Verbalization
from kani_text.normalizer.tables.table import LanguageTable
from kani_text.normalizer.tokens import Token, TokenCursor

_GAMES = re.compile(r"[0-7]/[0-7]")
_MARK = re.compile(rf"(?P<points>{numerals.NUMBER})/(?P<of>\d{{1,3}})")
_BESIDE = "{numerator} {denominator}"
_DOZEN, _CENTURY, _THOUSAND = 12, 100, 1000
_USUAL = frozenset((16, 24, 25, 32, 48, 64, 72, 100, 128))
"""Denominators of fractions above a dozen, and 24/7."""
_LEAST_RATING = 5
"""The least number of tenths that is a rating where nothing is counted."""
_LEAST_PAIR, _NEAR = 50, 8
_EVEN = frozenset((20, 50))
"""Figures of "20/20" and "50/50"."""
_LEAST_SIZE, _LARGEST_SIZE = 30, 60
"""Sizes of clothes, which come in pairs ("42/44")."""
_SYSTOLIC, _DIASTOLIC = range(100, 240), range(40, 130)
_YEARS = range(1600, 2100)
_SHORTEST_NOUN = 3

_RATED = Rows("rating{:?} @", "@{[^;.!?]*} rating")
_JUDGED = Rows("@~ judged")
_ADDED = Rows("sign @", "@ sign|unit")
_COUNTED = Rows("@ partitive")
_SPAN = Rows("@~ span")
_OF_COURT = Rows("number~ letter~ @")
"""The number of a court's file: "6 U 12/19"."""
_OF_LAW = Rows("law~ @", "'L' @")


def pair(cursor: TokenCursor, first: str, last: str, table: LanguageTable) -> Verbalization | None:
    """Two figures that are no fraction, and the unit after those that count it ("120/80 mmHg")."""
    token, phrase = cursor.token(), PhraseBuilder()
    said = None
    if (len(last) > 1 and last[0] == "0") or _is_numbered(cursor, table):
        # "n.º 2024/0137", "Kundennr. 12/345": the number of an invoice or a law, with its slash
        slash = table.web.signs.get("/", "")
        said = f"{numerals.say_group(first, table)} {slash} {numerals.say_group(last, table)}"
    paired = None if said else _paired(cursor, first, last, table)
    said = said or paired or _of_year(cursor, int(first), int(last), table)
    if said is None:
        return None
    phrase.add(said, token.core_start, token.core_end)
    return phrase.build_with(_measure(cursor, table) if paired else None, cursor, table)


def _measure(cursor: TokenCursor, table: LanguageTable) -> Measure | None:
    return resolve_unit(cursor.adjacent().core, table, attached=False)[0]


@matching(_MARK.pattern)
def mark(match: re.Match[str], cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "8,5/10", points out of a maximum."""
    points = numerals.parse_numeral(match["points"], table)
    if points is None or not points.decimals:
        return None
    of = table.number_words.cardinal(int(match["of"]))
    spoken = table.fractions.out_of.format(numerator=numerals.say_numeral(points, table), denominator=of)
    return cursor.token().said(spoken)


@matching(r"(\d{1,3}(?:[.,]\d{3})+)/(\d{4}|\d{2})")
def law(match: re.Match[str], cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "Lei nº 8.078/90": a number in groups, and its year."""
    words = table.number_words
    if not _is_numbered(cursor, table):
        return None
    number = words.cardinal(int(re.sub(r"\D", "", match[1])))
    year = words.year(int(match[2])) if len(match[2]) == len("1990") else words.cardinal(int(match[2]))
    return cursor.token().parted(number, match.end(1), f" {table.web.signs.get('/', '')} {year}")


def _is_numbered(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True after a law, the word for number or what ends with it ("Kundennummer"), and its signs."""
    named = cursor.previous().core.lower().endswith(("nr", table.numbers.number_sign.lower()))
    return named or _OF_LAW.hold(cursor, table) or numerals.follows_number_sign(cursor, table)


def _of_year(cursor: TokenCursor, first: int, last: int, table: LanguageTable) -> str | None:
    """ "Ley 39/2015", "(UE) 2016/679": a law and its year."""
    words, years = table.number_words, range(1900, 2100)
    slash = table.web.signs.get("/", table.fractions.over.format(numerator="", denominator="").strip())
    if last in years and first > 1:
        return f"{words.cardinal(first)} {slash} {words.year(last)}"
    return f"{words.year(first)} {slash} {words.cardinal(last)}" if first in years else None


def _paired(cursor: TokenCursor, first: str, last: str, table: LanguageTable) -> str | None:
    """Two figures that are no fraction: a rating ("8/10", "4/5 stars"), "50/50", a season ("2024/25")."""
    one, other, words = int(first), int(last), table.number_words
    said = _template(cursor, one, other, table)
    if said is not None:
        return said.format(numerator=words.cardinal(one), denominator=words.cardinal(other))
    if one in _YEARS and one + 1 in (other, one // _CENTURY * _CENTURY + other):
        return f"{words.year(one)} {words.cardinal(other) if len(last) == len('25') else words.year(other)}"
    return None


def _template(cursor: TokenCursor, one: int, other: int, table: LanguageTable) -> str | None:
    fractions, counted = table.fractions, _counts_noun(cursor, table)
    if _is_rating(cursor, one, other, counted, table):
        return fractions.out_of
    if fractions.pressure and other < one in _SYSTOLIC and other in _DIASTOLIC:
        # "142/88, Puls 76"
        return fractions.pressure
    sized = _is_size(one, other, counted)
    if one <= other and not sized and _is_counted_so_far(cursor, other, table):
        # "Step 3/7"
        return fractions.step
    if sized or _are_beside(cursor, one, other, table):
        return _BESIDE
    if one == other and one >= _LEAST_RATING:
        # "All 12/12 tests"
        return _BESIDE if one in _EVEN else fractions.out_of
    if _is_out_of_many(cursor, one, other, table):
        # "lap 45/66", "18/20 right"
        return fractions.step if other % 10 else fractions.out_of
    return None


def _is_size(one: int, other: int, counted: bool) -> bool:
    """True for sizes of clothes: "42/44", and "86/92" of children."""
    of_children = not counted and one >= _LEAST_PAIR and one == other - 6 and one % 6 == 2
    return of_children or _LEAST_SIZE <= one == other - 2 <= _LARGEST_SIZE


def _is_out_of_many(cursor: TokenCursor, one: int, other: int, table: LanguageTable) -> bool:
    """True for a denominator that fractions seldom have, in no date and no sum."""
    if not 1 < one <= other or not _DOZEN < other < _THOUSAND or other in _USUAL:
        return False
    return not is_loose(f"{one}/{other}", table) and not _ADDED.hold(cursor, table)


def _are_beside(cursor: TokenCursor, one: int, other: int, table: LanguageTable) -> bool:
    # "temporada 23/24", but 15/16" is a fraction.
    season = _DOZEN < one == other - 1 < _CENTURY and other & one != 0
    if season or _is_set(cursor, table):
        return True
    if cursor.previous().core.isupper() and _OF_COURT.hold(cursor, table):
        return True
    return _are_two_counts(cursor, one, other, table)


def _counts_noun(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True before a noun in the language's writing, and before "of": "3/4 cup", "2/5 de mi sueldo"."""
    noun = cursor.token(1).core
    if not cursor.is_adjacent(1) or _COUNTED.hold(cursor, table):
        return cursor.is_adjacent(1)
    written = noun[0].isupper() if table.agreement.capitals else noun[0].islower()
    rated = noun.lower() in table.fractions.rated
    return written and len(noun) > 1 and not rated and noun not in table.common_words


def _is_rating(cursor: TokenCursor, one: int, other: int, counted: bool, table: LanguageTable) -> bool:
    if one > other or other > _THOUSAND:
        return False
    a_part = counted and (other < _LEAST_RATING or _COUNTED.hold(cursor, table))
    tenths = other in (10, 100, 1000) and one >= _LEAST_RATING and not counted
    if tenths or (not a_part and _RATED.hold(cursor, table)):
        return True
    if one > 1 and other in (5, 10) and _JUDGED.hold(cursor, table):
        # "3/5 for service"
        return True
    return _is_marked(cursor, one, other, table)


def _is_marked(cursor: TokenCursor, one: int, other: int, table: LanguageTable) -> bool:
    """True for the "19/20" of "18/20, 16.5/20, 19/20": marks have one maximum."""
    dated = table.dates.order == "mdy" and one <= _DOZEN
    if dated or one == other or other <= _DOZEN or other in _USUAL:
        return False
    near = (_MARK.fullmatch(cursor.previous(back).core) for back in range(1, _NEAR))
    return any(mark is not None and int(mark["of"]) == other for mark in near)


def _are_two_counts(cursor: TokenCursor, one: int, other: int, table: LanguageTable) -> bool:
    """True for "2/3 días", "10/15 min", "50/60 Hz": a number or the other one of the same thing."""
    label, span = cursor.previous().core.lower(), _SPAN.hold(cursor, table)
    listed = span or not table.numbers.labels.isdisjoint((label, label.rstrip("s")))
    if listed and 1 < one == other - 1:
        return True
    rounded = 10 <= one < other and any(one % step == other % step == 0 for step in (5, 12))
    if not rounded and min(one, other) < _LEAST_PAIR:
        return False
    return span or _measure(cursor, table) is not None


def _is_set(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True for the sets of a match with a slash, "6/4 4/6 7/6": at least one of them is no fraction."""
    before = cursor.previous(1 + is_kind(cursor.previous(), "and", table))
    after = cursor.token(1 + is_kind(cursor.token(1), "and", table))
    near = [one.core for one in (before, cursor.token(), after) if _GAMES.fullmatch(one.core)]
    return len(near) > 1 and cursor.token().core in near and any(core[0] > core[2] for core in near)


def _is_counted_so_far(cursor: TokenCursor, of: int, table: LanguageTable) -> bool:
    """True after a noun of ``steps`` ("Bultos: 1/3"), or one that begins a clause without another noun."""
    # "Cartons : 3/4"
    back = 1 + (cursor.previous().text != "" and not cursor.previous().core)
    noun = cursor.previous(back)
    if noun.suffix not in ("", ".", ":") or _measure(cursor, table) is not None:
        return False
    if _is_step(noun, table):
        return True
    word = noun.core.lower()
    if not (noun.core[:1].isupper() and len(word) >= _SHORTEST_NOUN and word.isalpha()):
        return False
    if not _LEAST_RATING <= of < _THOUSAND or not cursor.begins_clause(back):
        return False
    known = word in table.agreement.not_nouns or word in table.common_words
    if known or is_kind(noun, "share", table):
        return False
    return cursor.token().suffix.endswith(tuple(";.!?,)")) or not cursor.token(1).core


def _is_step(noun: Token, table: LanguageTable) -> bool:
    """True for a noun of ``steps``, at a compound's end and in short, too ("Test-Lauf", "pág.")."""
    word = noun.core.lower()
    short = table.abbreviations.get(f"{noun.core}.", table.abbreviations.get(f"{word}.", ()))
    said = (said.lower() for one in short for said in one.said.values()) if noun.suffix else ()
    return not table.fractions.steps.isdisjoint((word, word.rpartition("-")[2], *said))
