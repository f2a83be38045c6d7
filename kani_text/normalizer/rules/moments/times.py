"""Times of day and ranges of them, halves of the day, and times with a full stop: "at 6.30 sharp"."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Self

from kani_text.normalizer.kinds import Rows, matching
from kani_text.normalizer.rules.numerals import DASHES, Numeral
from kani_text.normalizer.rules.units import after_sign, say_counted, unit_end
from kani_text.normalizer.spoken import Piece, Verbalization
from kani_text.normalizer.tables.file import Forms
from kani_text.normalizer.tables.table import LanguageTable
from kani_text.normalizer.tokens import TokenCursor

_TIME = re.compile(
    r"(?P<hour>\d{1,2})(?:(?P<sign>[:.hH])(?P<minutes>[0-5]\d)(?::(?P<seconds>\d{2}))?)?"
    r"(?P<tail>[^\W\d_]\S{0,4})?"
)
_RANGE = re.compile(rf"(.+?)([{DASHES}])(.+)")
_LAST_HOUR, _NOON, _TEN, _FEW = 24, 12, 10, 3
_LETTERS = ("a", "p")
_MARKED, _MEASURED, _COUNTED = Rows("@ hours"), Rows("@ unit"), Rows("@ measure")
_HOURS, _AMOUNT = Rows("@ hours", "@ 'hours'"), Rows("@ hours 'of'", "@ 'hours' 'of'")
_AT = Rows("dated_after|measured_after~ @")
_DEPARTURE = Rows("'the' @ departure", "'The' @ departure", "'the' @ 'from' name", "'The' @ 'from' name")
DOTTED_TIME = re.compile(r"\d{1,2}\.\d{2}")
_HALVED = re.compile(r"\d{1,2}(?:\.\d{2})?[ap](?:\.?m)?", re.IGNORECASE)
_FIVES = re.compile(r"(?:0?[3-9]|1\d|2[0-4])\.00|(?:0?[1-9]|1\d|2[0-4])\.(?:[1-5]0|[0-5]5)")
_QUARTERS, _MOST_LISTED = ("00", "15", "30", "45"), 8
_ENDS, _ZONE = Rows("@~ capital|nothing"), Rows("@~ capitals")
_PAID = Rows("@ currency")
_TIMED = Rows("time_after~ @", "hours~ @", "@ hours", "@ to|dash clock hours")
_DOTTED_AT = Rows("dotted_after~ @")
_OF_DAY = Rows("weekdays|weekday~ @")
_DOTTED_COUNTED = Rows("@ magnitude|undotted_before")
_RATED = Rows("undotted_after~ dotted_after~ @", "@~ undotted_before")
_IN_LIST = Rows("figure|month{,} @")
_AFTER_TIME = Rows(
    "dotted_after~ clock~ and|to~ @", "dotted_after~ clock~ 'or'~ @", "dotted_after~ clock~ '&'~ @"
)


@dataclass(frozen=True, slots=True)
class _Clock:
    """An hour as it is written, with its minutes and seconds, and its half of the day or mark ("pm", "h")."""

    hour: int
    sign: str
    minutes: int | None
    seconds: int
    tail: str
    half: str | None

    @classmethod
    def parse(cls, written: str, table: LanguageTable) -> Self | None:
        match = _TIME.fullmatch(written)
        if match is None:
            return None
        hour, tail = int(match["hour"]), match["tail"] or ""
        minutes = int(match["minutes"]) if match["minutes"] else None
        half = half_of_day(tail, table) or half_of_day(f"{tail}m", table)
        if hour > _LAST_HOUR or (hour == _LAST_HOUR and minutes):
            return None
        if tail and half is None and tail not in table.times.marks:
            return None
        return cls(hour, match["sign"] or "", minutes, int(match["seconds"] or 0), tail, half)

    @property
    def is_certain(self) -> bool:
        """True if it is no decimal."""
        return self.sign != "." or self.tail != ""

    @property
    def is_bare(self) -> bool:
        """True for an hour that may be any number."""
        return self.minutes is None and not self.tail

    def say(self, table: LanguageTable, half: str | None, *, marked: bool) -> str:
        """The time; half: of the day, also after the token; marked: a word for hours is there, too."""
        times, minutes = table.times, self.minutes or 0
        part = times.minutes_said.get(minutes) or _part(minutes, times.minute, table)
        template = self._template(table, half, marked=marked)
        spoken = template.format(hour=_say_hour(self.hour, table), minutes=part)
        if self.seconds:
            spoken = times.seconds.format(time=spoken, seconds=_part(self.seconds, times.second, table))
        if half is not None and half == times.halves.get("pm"):
            # The evening by its hour: "8pm" in the table
            half = times.halves.get(f"{self.hour}pm", half)
        return spoken if half is None else f"{spoken} {half}"

    def _template(self, table: LanguageTable, half: str | None, *, marked: bool) -> str:
        times = table.times
        if self.minutes:
            return times.few_minutes if self.minutes < _TEN else times.plain
        if half is None and marked and times.hour_mark:
            return times.hour_mark
        if half is not None or self.minutes is None:
            return "{hour}"
        return times.on_the_hour if 1 <= self.hour <= _NOON else times.late_on_the_hour

    def in_range(self, table: LanguageTable) -> str:
        """The time beside a dash: "9h" names its hours."""
        times = table.times
        if self.minutes is not None or self.half is not None or not self.tail:
            return self.say(table, self.half, marked=self.tail != "")
        if times.hour_mark == times.on_the_hour:
            return times.hour_mark.format(hour=_say_hour(self.hour, table))
        name = table.form(table.units[self.tail].forms, self.hour) if self.tail in table.units else ""
        return f"{table.number_words.cardinal(self.hour, times.gender)} {name}".rstrip()


def time(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "19:30", with its "h" or "p. m.", and a range of times."""
    token = cursor.token()
    if token.core[0] in "~≈":
        return after_sign(time, cursor, table)
    return _time(cursor, table, token.core, token.core_start) or _range(cursor, table)


def _time(cursor: TokenCursor, table: LanguageTable, written: str, start: int) -> Verbalization | None:
    """One time, the last one of the token; ``written`` begins at ``start``."""
    clock = _Clock.parse(written, table)
    if clock is None:
        return None
    known = _is_known(clock, cursor, table)
    # "9.30" is a number, "7م" may be metres, "5p" pence.
    if not known and (clock.minutes is not None or clock.tail in _LETTERS or clock.tail in table.units):
        return None
    half, marked, end = _after(clock, known, cursor, table)
    if half is None and clock.minutes is None and (not known or table.times.hours):
        # French hours are a unit.
        return None
    spoken = clock.say(table, half, marked=marked or clock.tail in table.times.marks)
    return Verbalization((Piece(spoken, start, end),), end)


def _after(
    clock: _Clock, known: bool, cursor: TokenCursor, table: LanguageTable
) -> tuple[str | None, bool, int]:
    """The half of the day or None, True if a word for hours follows, and the end of both."""
    end = cursor.token().core_end
    if clock.half is not None:
        return clock.half, False, end
    # "7 م" may be seven metres, too.
    if (known or not _MEASURED.hold(cursor, table)) and (found := half_after(cursor, table)) is not None:
        return found[0], False, found[1]
    marked = _MARKED.hold(cursor, table)
    return None, marked, cursor.token(1).core_end if marked else end


def _is_known(clock: _Clock, cursor: TokenCursor, table: LanguageTable) -> bool:
    """True for a time by its sign or the words around: "alle 9", "at 5p", "at 9.30"."""
    after = cursor.previous().core in table.times.after
    if clock.minutes is None:
        # "bis 3 l Wasser" is no hour.
        said = clock.tail in _LETTERS and is_said_as_time(cursor, table)
        return said or (after and not _COUNTED.hold(cursor, table))
    return clock.is_certain or is_dotted_time(cursor, table)


def _range(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "9:00-12:30", "9–5pm", "9h-12h", "1:30-3", "18.30-20"."""
    token = cursor.token()
    parts = _RANGE.fullmatch(token.core)
    if parts is None:
        return None
    if is_dotted_range(parts[1], parts[3], cursor, table):
        parts = _RANGE.fullmatch(token.core.replace(".", ":")) or parts
    first, last = _Clock.parse(parts[1], table), _Clock.parse(parts[3], table)
    if last is None:
        return None
    # From a word, too ("Lunes-9:00"), but two bare numbers are no times.
    word = parts[1].isalpha() and len(parts[1]) > _FEW
    if not (word if first is None else first.is_certain and not (first.is_bare and last.is_bare)):
        return None
    base, at = token.core_start, token.core_start + parts.start(3)
    end = _time(cursor, table, parts[3], at)
    if end is None and (last.tail or (first is not None and first.sign == ":" and last.is_bare)):
        end = Verbalization((Piece(last.in_range(table), at, token.core_end),), token.core_end)
    if end is None:
        return None
    early = parts[1] if first is None else first.in_range(table)
    to = Piece(f"{table.numbers.to} ", base + parts.start(2), base + parts.end(2))
    return Verbalization((Piece(f"{early} ", base, base + parts.end(1)), to, *end.pieces), end.end)


@matching(r"([01]\d|2[0-3])([0-5]\d)")
def four_figures(match: re.Match[str], cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "1730 hrs", "at 0600 hours", "arr. 1915": a time of a timetable or of a watch."""
    token = cursor.token()
    if token.prefix:
        return None
    marked = _HOURS.hold(cursor, table) and not _AMOUNT.hold(cursor, table)
    watch = marked and (match[0][0] == "0" or match[2] != "00" or _AT.hold(cursor, table))
    before = cursor.previous()
    # "arr. 1915": an abbreviation that stands before times
    known = table.abbreviations.get(f"{before.core.lower()}.", ()) if before.suffix else ()
    listed = any("time" in one.said for one in known)
    if not (watch or listed or _DEPARTURE.hold(cursor, table)):
        return None
    said = _say_of_watch(int(match[1]), int(match[2]), table, marked=marked)
    return token.said(said, unit_end(cursor, 1, table) if marked else token.core_end)


def _say_of_watch(hour: int, minutes: int, table: LanguageTable, *, marked: bool) -> str:
    """Hours and minutes in four figures: the first zero is said where that of minutes is."""
    times, said = table.times, _say_hour(hour, table)
    if 0 < hour < _TEN and times.few_minutes != times.plain:
        said = f"{table.number_words.cardinal(0)} {said}"
    if minutes:
        template = times.few_minutes if minutes < _TEN else times.plain
        # English names the hours after minutes, too.
        template += times.hour_mark.removeprefix(times.late_on_the_hour) if marked else ""
    else:
        template = times.hour_mark if marked else times.late_on_the_hour
    return template.format(hour=said, minutes=_part(minutes, times.minute, table))


def _part(number: int, forms: Forms | None, table: LanguageTable) -> str:
    """Minutes or seconds, with their name where the language has it."""
    gender = table.times.minutes_gender
    if forms is None:
        return table.number_words.cardinal(number, gender)
    return say_counted(Numeral(str(number), ""), forms, table, gender)


def _say_hour(hour: int, table: LanguageTable) -> str:
    """An hour's number, with the word for hours where the language always has it."""
    times = table.times
    number = table.number_words.cardinal(hour, times.gender)
    if times.hours is None:
        return number
    return f"{number} {table.form(times.hours, hour)}"


def half_of_day(written: str, table: LanguageTable) -> str | None:
    """The spoken form of "am" or "p.m"."""
    return table.times.halves.get(written.replace(".", "").lower()) if written else None


def half_after(cursor: TokenCursor, table: LanguageTable) -> tuple[str, int] | None:
    """The spoken form of "am" or "p.m." after a time, and where it ends."""
    half = half_of_day(cursor.adjacent().core, table) if table.times.halves else None
    if half is None:
        return None
    token = cursor.token(1)
    if not token.suffix.startswith(".") or not token.core.isascii():
        return half, token.core_end
    # "At 9 a.m. It", but "9 a.m. ET"
    ends = token.suffix == "." and _ENDS.hold(cursor, table, 1) and not _ZONE.hold(cursor, table, 1)
    return half, token.core_end + (not ends)


def _is_listed(cursor: TokenCursor, after: Collection[str]) -> bool:
    """True for the last hour of "alle 8, 10 e 18.30": figures and short words lead back to a time's word."""
    back = 1
    while back < _MOST_LISTED and (core := cursor.previous(back).core) and core not in after:
        if not (core[0].isdecimal() or (core.islower() and len(core) <= len("und"))):
            return False
        back += 1
    return back > 1 and cursor.previous(back).core in after


def is_dotted_time(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True if the tokens around "7.30" make it a time; a full stop may be the decimal mark."""
    if half_after(cursor, table) is not None:
        return True
    measured = _MEASURED.hold(cursor, table)
    if table.numbers.decimal == ".":
        # "9.30 बजे"
        return (_MARKED.hold(cursor, table) and not measured) or is_english_time(cursor, table)
    if _TIMED.hold(cursor, table) or (_DOTTED_AT.hold(cursor, table) and not measured):
        return True
    return _is_listed(cursor, table.times.after)


def is_dotted_range(first: str, last: str, cursor: TokenCursor, table: LanguageTable) -> bool:
    """True if the full stops of "18.30-20", "4.30–7pm", "9–18.30 Uhr" are those of times."""
    if "." not in first + last:
        return False
    marked = _MARKED.hold(cursor, table)
    by_comma = table.numbers.decimal == ","
    if not DOTTED_TIME.fullmatch(first):
        measured = _MEASURED.hold(cursor, table) or _PAID.hold(cursor, table)
        # "7-10.30": a decimal has a comma.
        known = (by_comma and last.endswith(_QUARTERS)) or _OF_DAY.hold(cursor, table)
        known = marked or (known and not measured)
        return known and first.isdecimal() and DOTTED_TIME.fullmatch(last) is not None
    if by_comma or marked or _HALVED.fullmatch(last):
        return True
    if last.isdecimal():
        # "Sun 10.30-4"
        return _OF_DAY.hold(cursor, table)
    return DOTTED_TIME.fullmatch(last) is not None and is_english_time(cursor, table, first)


def is_said_as_time(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True after "at" and the like, but in "trades at 5", "at 5 each"."""
    return _DOTTED_AT.hold(cursor, table) and not _RATED.hold(cursor, table)


def is_english_time(cursor: TokenCursor, table: LanguageTable, first: str = "") -> bool:
    """True for the "6.30" of "at 6.30 sharp", "at 5.20 & 8.45": fives of minutes, nothing is measured.

    first: of a range, its first time ("Room 2, 8.50–9.45").
    """
    written = first or cursor.token().core
    if not _FIVES.fullmatch(written) or _MEASURED.hold(cursor, table) or _DOTTED_COUNTED.hold(cursor, table):
        return False
    if first and _IN_LIST.hold(cursor, table):
        return True
    return _OF_DAY.hold(cursor, table) or is_said_as_time(cursor, table) or _AFTER_TIME.hold(cursor, table)
