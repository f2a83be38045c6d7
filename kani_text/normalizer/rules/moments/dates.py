"""Dates in digits, and years of other calendars."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from kani_text.normalizer.kinds import Rows, is_kind, matching
from kani_text.normalizer.rules.moments import day_and_month
from kani_text.normalizer.rules.moments.days import AFTER_MONTH, DAY, day_of_month, days_of_month, say_day
from kani_text.normalizer.rules.numerals import DASHES, YEARS, follows_number_sign
from kani_text.normalizer.rules.units import unit_end
from kani_text.normalizer.spoken import Verbalization
from kani_text.normalizer.tables.table import LanguageTable, OtherCalendar
from kani_text.normalizer.tokens import TokenCursor
from kani_text.short_forms import goes_on_after_day
from kani_text.writing import roman_value

_CALENDAR_DATE = re.compile(r"\d{1,4}([/.-])\d{1,2}\1\d{1,4}")
_NUMERALS = re.compile(r"(\d{1,2})(?:er|[ºª°])?([/.-])(\d{1,2})(?:\2(\d{4}|\d{2})|\.)?")
_LOOSE_MARK = re.compile(rf"[{DASHES}]|(?<=\.)/")
_LATE_DAY = re.compile(r"(?:1[3-9]|2\d|3[01])/(?:0?[1-9]|1[0-2])(?:/\d+)?")
_LATEST_YEAR = 40
_FAR, _AHEAD = 30, 12

_NAMED = Rows("word|figure~ capital @")
_EXPIRES = Rows("expires~ @", "expires~ short_word~ @")
_LAW = Rows("statute~ @")
_SPACED = Rows(r"@{\.} number{\.}")


@dataclass(frozen=True, slots=True)
class _Place:
    """A date's place in the text, and its calendar: what all forms of dates share."""

    cursor: TokenCursor
    table: LanguageTable
    calendar: OtherCalendar | None
    end: int

    def date(self, day: int, month: int, year: str = "", end: int | None = None) -> Verbalization | None:
        """A day, and a year in digits or none; None for a day that no month has."""
        spoken = _date(day, month, year, self.cursor, self.table, self.calendar)
        return None if spoken is None else self.cursor.token().said(spoken, end or self.end)

    def month(self, month: int, year: str) -> Verbalization:
        """A month, and its year in words."""
        dates = self.table.dates
        said = dates.month_year.format(month=dates.names[month - 1], year=year)
        return self.cursor.token().said(said, self.end)


def date(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """A date in digits, or the day beside a month's name."""
    core, calendar, end = _split_calendar(cursor, table)
    place = _Place(cursor, table, calendar, end)
    for pattern, read in _FORMS:
        if (found := pattern.fullmatch(core)) and (said := read(found, place)) is not None:
            return said
    return None


def _spaced(found: re.Match[str], place: _Place) -> Verbalization | None:
    """ "3. 10. 2024"."""
    cursor, table = place.cursor, place.table
    if not table.ordinals_with_stop or not _SPACED.hold(cursor, table):
        return None
    month, year = cursor.token(1), cursor.token(2)
    if len(year.core) == len("2024") and is_kind(year, "number", table):
        return place.date(int(found[0]), int(month.core), year.core, year.core_end)
    return place.date(int(found[0]), int(month.core), "", month.core_end + year.core[:1].islower())


def _numerals(found: re.Match[str], place: _Place) -> Verbalization | None:
    """ "3/10/2024"; "3.10.12" is as likely a version."""
    if not found[4]:
        return None
    version = found[2] == "." and len(found[4]) == 2 and len(found[1]) + len(found[3]) < 4
    if version and not day_and_month.DATED.hold(place.cursor, place.table):
        return None
    return place.date(*_in_order(found[1], found[3], place.cursor, place.table), found[4])


def _roman_month(found: re.Match[str], place: _Place) -> Verbalization | None:
    """ "3-V-2024", "antes del 3/XI"."""
    dated = found[4] or day_and_month.DATED.hold(place.cursor, place.table)
    return place.date(int(found[1]), roman_value(found[3]) or 0, found[4] or "") if dated else None


def _named_month(found: re.Match[str], place: _Place) -> Verbalization | None:
    """ "15-feb", "3/Mar/2024", "Dec 24-Jan 2"."""
    cursor, table = place.cursor, place.table
    month = table.dates.months.get(found[3].lower(), 0)
    if month and found[2] != "/" and AFTER_MONTH.hold(cursor, table):
        day = say_day(int(found[1]), cursor, table)
        said = f"{day} {table.numbers.to} {table.dates.names[month - 1]}"
        return cursor.token().said(said, place.end)
    return place.date(int(found[1]), month, found[4] or "")


def _month_and_year(found: re.Match[str], place: _Place) -> Verbalization | None:
    """ "abr/24"; "Mar-10" is as often a day where the month is first."""
    dates, words = place.table.dates, place.table.number_words
    month, number = dates.months.get(found[1].lower()), int(found[2])
    if month is None:
        return None
    of_day = dates.order == "mdy" and number <= day_and_month.LONGEST_MONTH
    return place.month(month, words.cardinal(number) if of_day else words.year(_full_year(found[2])))


def _month_of_year(found: re.Match[str], place: _Place) -> Verbalization | None:
    """ "12/2025", but not the law of "Ley 4/2023"."""
    cursor, table = place.cursor, place.table
    month, year, before = int(found[1]), int(found[2]), cursor.previous()
    short = before.suffix == "." and f"{before.core}." in table.abbreviations
    numbered = short or _NAMED.hold(cursor, table) or follows_number_sign(cursor, table)
    if (numbered and not _EXPIRES.hold(cursor, table)) or _LAW.hold(cursor, table):
        return None
    known = 1 <= month <= day_and_month.MONTHS and year in YEARS
    return place.month(month, table.number_words.year(year)) if known else None


def _expiry(found: re.Match[str], place: _Place) -> Verbalization | None:
    """ "05/26" where months are written last, and "12/25" after a word for how long something is good."""
    if found[1][0] == "0" and place.table.dates.order == "dmy":
        good = not follows_number_sign(place.cursor, place.table)
    else:
        good = _EXPIRES.hold(place.cursor, place.table)
    return place.month(int(found[1]), place.table.number_words.year(2000 + int(found[2]))) if good else None


def _day_and_month(found: re.Match[str], place: _Place) -> Verbalization | None:
    """ "3/10", "3.10.", "del 22-12", where the words around show that it is a date."""
    cursor, table = place.cursor, place.table
    if not day_and_month.IS_DATE[found[2]](int(found[1]), int(found[3]), cursor, table):
        return None
    token = cursor.token()
    stop = found[2] == "." and token.suffix.startswith(".")
    stop = stop and (token.suffix != "." or not _ends_sentence(cursor, table))
    return place.date(*_in_order(found[1], found[3], cursor, table), "", place.end + stop)


_FORMS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str], _Place], Verbalization | None]], ...] = (
    (
        # "2024-10-03"
        re.compile(r"(\d{4})(?:([-/])(\d{1,2})\2(\d{1,2})|\.(\d{2})\.(\d{2}))"),
        lambda found, place: place.date(int(found[4] or found[6]), int(found[3] or found[5]), found[1]),
    ),
    (re.compile(r"\d\d?"), _spaced),
    (
        re.compile(r"(?:[0-3]?\d[/–-]){1,4}[0-3]?\d"),
        lambda _, place: days_of_month(place.cursor, place.table),
    ),
    (_NUMERALS, _numerals),
    (re.compile(r"(\d{1,2})([/.-])([IVX]{1,4})(?:\2(\d{4}|\d{2}))?"), _roman_month),
    (re.compile(rf"(\d{{1,2}})([{DASHES}/.])([^\W\d_]{{3,9}})\.?(?:[/.-](\d{{4}}|\d{{2}}))?"), _named_month),
    (re.compile(rf"([^\W\d_]{{3,9}})\.?[{DASHES}/](\d{{4}}|\d\d)"), _month_and_year),
    (re.compile(r"(\d{1,2})/(\d{4})"), _month_of_year),
    (re.compile(r"(0?[1-9]|1[0-2])/(2\d|3\d)"), _expiry),
    (day_and_month.DAY_MONTH, _day_and_month),
    (DAY, lambda found, place: day_of_month(place.cursor, place.table, int(found[1]), found[2] or "")),
)


def loose(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "30/5", "1/6-30/6", German "1.6.–30.6.": dates, as the figures are no usual fraction."""
    token = cursor.token()
    days = _LOOSE_MARK.split(token.core)
    stopped = bool(table.ordinals_with_stop) and len(days) == 2 and days[0].endswith(".")
    if len(days) > 2 or not (stopped or _is_loose(days, cursor, table)):
        return None
    said = [_loose_day(day, stopped and at == 0, cursor, table) for at, day in enumerate(days)]
    if None in said:
        return None
    # "24./25.12."
    joiner = table.signs.get("&", "") if "/" in token.core and stopped else table.numbers.to
    stop = stopped and token.suffix.startswith(".") and not _ends_sentence(cursor, table)
    return token.said(f" {joiner} ".join(filter(None, said)), token.core_end + stop)


def _is_loose(days: list[str], cursor: TokenCursor, table: LanguageTable) -> bool:
    """True if one of the days is no usual fraction, or before a time; and for a range: "1/6-30/6"."""
    if any(day_and_month.is_loose(day, table) for day in days) or day_and_month.is_before_time(cursor):
        return True
    months = {day.split("/")[-int(table.dates.order == "dmy")] for day in days}
    ranged = len(days) == 2 > len(months) and "/" in days[0]
    return ranged and not day_and_month.COMMON_FRACTIONS.issuperset(days)


def _loose_day(written: str, first: bool, cursor: TokenCursor, table: LanguageTable) -> str | None:
    """A day and its month; first: of a range, where it may be just a day and its stop ("3.–5.5.")."""
    if first and written[:-1].isdecimal():
        return say_day(int(written[:-1]), cursor, table)
    found = _NUMERALS.fullmatch(written)
    if found is None:
        return None
    return _date(*_in_order(found[1], found[3], cursor, table), found[4] or "", cursor, table, None)


def _ends_sentence(cursor: TokenCursor, table: LanguageTable) -> bool:
    token, following = cursor.token(), cursor.token(1)
    kinds = {**table.kinds, "not_nouns": table.agreement.not_nouns}
    if following.core and goes_on_after_day(token.text[: token.core_end + 1], following.core, kinds):
        return False
    return not following.core or following.core[0].isupper()


def _in_order(first: str, second: str, cursor: TokenCursor, table: LanguageTable) -> tuple[int, int]:
    """Day and month."""
    day, month = int(first), int(second)
    may_turn = table.dates.order == "mdy" and day <= day_and_month.MONTHS
    if month > day_and_month.MONTHS or (may_turn and not _is_british(cursor, table)):
        day, month = month, day
    return day, month


def _is_british(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True where an English date begins with the day: not far from "13/11", or after "VAT"."""
    before = [*map(cursor.previous, range(1, _FAR))]
    if any(is_kind(token, "british", table) for token in before):
        return True
    near = (*before, *map(cursor.token, range(1, _AHEAD)))
    return any(_LATE_DAY.fullmatch(token.core) for token in near)


def _date(
    day: int, month: int, year: str, cursor: TokenCursor, table: LanguageTable, calendar: OtherCalendar | None
) -> str | None:
    if not (1 <= day <= day_and_month.LONGEST_MONTH and 1 <= month <= day_and_month.MONTHS):
        return None
    dates = table.dates
    name = ((calendar and calendar.names) or dates.names)[month - 1]
    day_words = say_day(day, cursor, table)
    if not year:
        return dates.day_month.format(day=day_words, month=name)
    spoken = dates.date.format(day=day_words, month=name, year=table.number_words.year(_full_year(year)))
    return f"{spoken} {calendar.said}" if calendar is not None else spoken


def _full_year(year: str) -> int:
    return int(year) + (0 if len(year) == 4 else 2000 if int(year) < _LATEST_YEAR else 1900)


def _split_calendar(cursor: TokenCursor, table: LanguageTable) -> tuple[str, OtherCalendar | None, int]:
    """A date's digits, the calendar of the mark after them, and the end of that."""
    token = cursor.token()
    for mark, calendar in table.dates.calendars.items():
        core, end = token.core.removesuffix(mark), token.core_end
        if core == token.core and cursor.adjacent().core == mark:
            end = cursor.token(1).core_end
        if (core, end) != (token.core, token.core_end) and _CALENDAR_DATE.fullmatch(core):
            return core, calendar, end
    return token.core, None, token.core_end


@matching(r"(\d{1,4})(\D{0,6})")
def era(match: re.Match[str], cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "1445 هـ": a year, and its calendar."""
    if not table.dates.calendars:
        return None
    token, mark, end = cursor.token(), match[2], cursor.token().core_end
    as_year = mark != "" and 1900 <= int(match[1]) < 2100
    if not mark and cursor.is_adjacent(1):
        mark, end = cursor.token(1).core, unit_end(cursor, 1, table)
    calendar = table.dates.calendars.get(mark)
    if calendar is None:
        return None
    if mark in table.units and not as_year and cursor.previous().core.lower() not in table.numbers.year_after:
        return None
    return token.said(f"{table.number_words.year(int(match[1]))} {calendar.said}", end)
