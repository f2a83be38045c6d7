"""Days and years beside a month's name, its short name in full, and decades: "the '90s", "mid-1980s"."""

import re

from kani_text.normalizer.kinds import Rows, is_kind
from kani_text.normalizer.rules.moments.day_and_month import LONGEST_MONTH
from kani_text.normalizer.rules.numerals import DASHES
from kani_text.normalizer.rules.ordinals import form
from kani_text.normalizer.spoken import FIGURES, Piece, Verbalization
from kani_text.normalizer.tables.table import LanguageTable
from kani_text.normalizer.tokens import TokenCursor

DAY = re.compile(r"(\d{1,2})(\.?[^\W\d_]{1,2}|[ºª]|\.[ºª])?")
_APOSTROPHES = ("'", "’")

AFTER_MONTH = Rows(r"month{\.?} @")
_BEFORE_MONTH = Rows("@ joiner? month")
_TO_NUMBER = Rows("@~ dash number", "@ to|and number")
_TO_DAY = Rows(r"@~ dash number{\.?} month", "@ to|and number month")
_OF_MONTH = Rows("@ month|other_month")
_JOINED_TO_MONTH = Rows("@ joiner month|other_month")
_STOPPED_DAY = Rows(r"@{\.} month|other_month", r"@{\.} joiner month|other_month")
_OF_DATE = Rows(r"day joiner? month{\.?} @")
_BESIDE_NUMBER = Rows(r"figure{\.?} @", "figure joiner @", r"@{\.?} figure")
_BESIDE_MONTH = Rows(r"@{\.} dash|short_word month", r"month{\.?} dash|short_word @{\..*}")
_BEFORE_YEAR = Rows("@ year")
_SHORT_YEAR = re.compile(r"[1-9]\d")
_DECADE = re.compile(r"(?P<year>\d{1,3}0)['’]?(?P<mark>\D{1,2})")
_WORD_BEFORE = re.compile(rf"[^\W\d_]+[{DASHES}]['’]?(?=\d)")
_SIGN = re.compile(rf"([{DASHES}/])")
_ELISIONS = ("'", "’", "‘")
_OF_SOME_CENTURY = Rows("year_after|possessive @", "@ decade_noun", "decade and|to @", "decade 'or' @")
"""Around decades without their century: "in 80s Berlin", "her 20s", "90s music", "the '80s and 90s"."""
_DUE, _SECONDS = Rows("due @"), re.compile(r"[1-4]0s")
"""Times are due "in 30s", but nothing is "in 80s"."""


def say_day(day: int, cursor: TokenCursor, table: LanguageTable) -> str:
    """The day of a month, as a cardinal or an ordinal."""
    if day == 1 and table.dates.first_day:
        return table.dates.first_day
    kind, _, asked = table.dates.day.partition(" ")
    if kind == "ordinal" and table.ordinals_with_stop:
        asked = form(cursor, table, "m")
    return table.number_words.ordinal(day, asked) if kind == "ordinal" else table.number_words.cardinal(day)


def day_of_month(cursor: TokenCursor, table: LanguageTable, day: int, mark: str) -> Verbalization | None:
    """A day before or after its month's name."""
    token = cursor.token()
    # "Sept. '23" is a year.
    if not 1 <= day <= LONGEST_MONTH or (mark and mark not in table.ordinals) or token.prefix in _APOSTROPHES:
        return None
    said, stop = say_day(day, cursor, table), token.suffix == "."
    if table.dates.order == "mdy" and AFTER_MONTH.hold(cursor, table) and not _TO_NUMBER.hold(cursor, table):
        named, stop = None if mark else said, False
    else:
        named = _before_month(said, cursor, table)
    if not named:
        return None
    return token.said_until(named, token.core_end + stop)


def _before_month(day: str, cursor: TokenCursor, table: LanguageTable) -> str | None:
    """A day with the word before its month's name, where that follows."""
    if _TO_NUMBER.hold(cursor, table):
        # "12 – 14 June", "من 12 إلى 14 يونيو"
        dated = table.dates.day.startswith("ordinal") and _TO_DAY.hold(cursor, table)
        return _without_month(day, table) if dated else None
    if _OF_MONTH.hold(cursor, table) or (table.ordinals_with_stop and _STOPPED_DAY.hold(cursor, table)):
        said = table.dates.day_before_month.format(day=day)
        first, _, rest = said.partition(" ")
        # "the 3 May"
        return rest if cursor.previous().core.lower() == first else said
    return day if _JOINED_TO_MONTH.hold(cursor, table) else None


def _without_month(day: str, table: LanguageTable) -> str:
    """A day as it is said before its month's name, without the word between: "the third"."""
    return table.dates.day_before_month.partition("{day}")[0] + day


def year_of_date(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """The year of "3 abr. 2024", with the word that the language has before it."""
    token = cursor.token()
    between = table.dates.date.partition("{month}")[2].lstrip()
    if not between[:1].isalpha() or not is_kind(token, "year", table) or not _OF_DATE.hold(cursor, table):
        return None
    return token.said(between.format(year=table.number_words.year(int(token.core))))


def days_of_month(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "17/18" and "17-18-19" before a month's name; "17-18" by itself is a range."""
    token, dates = cursor.token(), table.dates
    found = [*FIGURES.finditer(token.core)]
    first = dates.order == "mdy" and AFTER_MONTH.hold(cursor, table)
    ranged = len(found) == 2 and "/" not in token.core
    if (ranged and not dates.day.startswith("ordinal")) or not (first or _BEFORE_MONTH.hold(cursor, table)):
        return None
    pieces, between = [], f" {table.numbers.to} " if ranged else ", "
    for at, day in enumerate(found, 1):
        said, last = say_day(int(day.group()), cursor, table), at == len(found)
        if ranged and not first:
            # "3-5 May": "the third to the fifth of May"
            said = dates.day_before_month.format(day=said) if last else _without_month(said, table)
        start = token.core_start
        pieces.append(Piece(said if last else said + between, start + day.start(), start + day.end()))
    return Verbalization(tuple(pieces), token.core_end)


def month(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """A month's short name in full, beside a day, a year or another month."""
    token = cursor.token()
    name = table.dates.names[table.dates.months[token.core.lower()] - 1]
    stopped = token.suffix.startswith(".")
    other_word = not stopped and is_kind(token, "month_or_word", table)
    if token.core.lower() == name.lower() or (other_word and not _BEFORE_YEAR.hold(cursor, table)):
        return None
    following = cursor.token(1)
    # "Sept. '23"
    beside = following.prefix in _APOSTROPHES or _BESIDE_NUMBER.hold(cursor, table)
    if not beside and not _BESIDE_MONTH.hold(cursor, table):
        return None
    ends = following.end == following.start or following.core[:1].isupper()
    stop = stopped and (token.suffix != "." or not ends)
    return token.said_until(name, token.core_end + stop)


def decade(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "1990s", "'90s", "the 90s", "1960s-1980s", "mid-1980s", and the year of "anni '80"."""
    token = cursor.token()
    short = token.prefix.endswith(_ELISIONS)
    if short and _SHORT_YEAR.fullmatch(token.core) and not token.suffix.startswith(_ELISIONS):
        # The apostrophe stands for the century and is not spoken.
        spoken = table.number_words.cardinal(int(token.core))
        return Verbalization((Piece(spoken, token.core_start - 1, token.core_end),), token.core_end)
    if (word := _WORD_BEFORE.match(token.core)) is not None:
        return _after_word(word.group(), cursor, table)
    due = _SECONDS.fullmatch(token.core) and _DUE.hold(cursor, table)
    known = short or (_OF_SOME_CENTURY.hold(cursor, table) and not due)
    pieces: list[Piece] = []
    at = token.core_start - short
    for part in _SIGN.split(token.core):
        spoken = " " if part == "/" else f" {table.numbers.to} "
        if not _SIGN.fullmatch(part):
            match = _DECADE.fullmatch(part)
            if match is None or match["mark"] != table.numbers.decade_mark:
                return None
            if len(match["year"]) < len("1990") and not known:
                return None
            spoken, known = table.number_words.decade(int(match["year"])), True
        end = max(at, token.core_start) + len(part)
        pieces.append(Piece(spoken, at, end))
        at = end
    return Verbalization(tuple(pieces), token.core_end)


def _after_word(word: str, cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """The years of "mid-1980s", "pre-1990"."""
    with cursor.without_prefix(len(word)) as rest:
        found = decade(cursor, table)
        if found is None and word.islower() and is_kind(rest, "year", table):
            year = table.number_words.year(int(rest.core))
            found = rest.said(year)
    if found is None:
        return None
    at = cursor.token().core_start
    first, *others = found.pieces
    dash = at + len(word.rstrip("'’")) - 1
    before = Piece(word[: dash - at], at, dash)
    return Verbalization((before, Piece(f" {first.text}", dash, first.end), *others), found.end)
