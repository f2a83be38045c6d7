"""Times of day and ranges of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from kani.text.normalizer.kinds import Rows
from kani.text.normalizer.rules.moments.dotted_times import (
    half_behind,
    half_of_day,
    is_dotted_range,
    is_dotted_time,
    is_said_as_time,
)
from kani.text.normalizer.rules.moments.durations import ABOUT
from kani.text.normalizer.rules.numerals import DASHES, Numeral
from kani.text.normalizer.rules.units import gender_of_forms, say_counted, unit_end
from kani.text.normalizer.spoken import Piece, Verbalization
from kani.text.normalizer.tables.file import Forms
from kani.text.normalizer.tables.table import LanguageTable
from kani.text.normalizer.tokens import TokenCursor, token_at

_TIME = re.compile(
    r"(?P<hour>\d{1,2})(?:(?P<sign>[:.,hH'’])(?P<minutes>[0-5]\d)(?::(?P<seconds>\d{2}))?)?"
    r"(?P<tail>[^\W\d_]\S{0,4})?"
)
_RANGE = re.compile(rf"(.+?)([{DASHES}])(.+)")
_FOUR_FIGURES = re.compile(r"([01]\d|2[0-3])([0-5]\d)")
_LAST_HOUR, _NOON, _TEN, _FEW = 24, 12, 10, 3
_MARKED = Rows("@ hours")
_HOURS, _AMOUNT = Rows("@ hours", "@ 'hours'"), Rows("@ hours 'of'", "@ 'hours' 'of'")
_AT = Rows("dated_after|measured_after~ @")
_DEPARTURE = Rows("'the' @ departure", "'The' @ departure")
_EARLY_DEPARTURE = Rows("'the' @ 'from'", "'The' @ 'from'")


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
        """True if no other words are needed to tell that the sign stands between hour and minutes."""
        return self.sign in ("", ":", "h", "H") or (self.sign == "." and self.tail != "")

    def say(self, table: LanguageTable, half: str | None, *, marked: bool) -> str:
        """The time; half: of the day, also after the token; marked: a word for hours is there, too."""
        times, minutes = table.times, self.minutes or 0
        part = times.minutes_said.get(minutes) or _part(minutes, times.minute, table)
        template = self._template(table, half, marked=marked)
        spoken = template.format(hour=_say_hour(self.hour, table), minutes=part)
        if self.seconds:
            spoken = times.seconds.format(time=spoken, seconds=_part(self.seconds, times.second, table))
        return spoken if half is None else f"{spoken} {self._part_of_day(half, table)}"

    def _template(self, table: LanguageTable, half: str | None, *, marked: bool) -> str:
        times = table.times
        if self.minutes:
            return times.few_minutes if self.minutes < _TEN else times.plain
        if half is None and marked and times.hour_mark:
            return times.hour_mark
        if half is not None or self.minutes is None:
            return "{hour}"
        return times.on_the_hour if 1 <= self.hour <= _NOON else times.late_on_the_hour

    def _part_of_day(self, half: str, table: LanguageTable) -> str:
        """The half of the day, or the evening by its hour ("8pm" in the table)."""
        halves = table.times.halves
        return halves.get(f"{self.hour}pm", half) if half == halves.get("pm") else half

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
    if token.core[:1] in ABOUT and (token.core[1:2].isdecimal()):
        # "~19:30"
        with cursor.without_prefix(1):
            exact = time(cursor, table)
        sign = Piece(f"{table.numbers.about} ", token.core_start, token.core_start + 1)
        return Verbalization((sign, *exact.pieces), exact.end) if exact else None
    return (
        _time(cursor, table, token.core, token.core_start)
        or _range(cursor, table)
        or _two_ranges(cursor, table)
    )


def _time(cursor: TokenCursor, table: LanguageTable, written: str, start: int) -> Verbalization | None:
    """One time, the last one of the token; ``written`` begins at ``start``."""
    clock = _Clock.parse(written, table)
    if clock is None:
        return None
    after = cursor.previous().core in table.times.after
    if clock.minutes is None:
        known = after
        if clock.tail in ("a", "p"):
            # "at 5p"
            known = is_said_as_time(cursor, table)
        if clock.tail and (clock.half is None or (clock.tail in table.units and not known)):
            return None
    else:
        known = clock.is_certain or _is_said_by_words(clock, cursor, table)
        if not known:
            return None
    half, end = clock.half, cursor.token().core_end
    measured = cursor.token(1).core in table.units
    if half is None and (known or not measured) and (behind := half_behind(cursor, table)) is not None:
        # "7 م" may be seven metres too.
        half, end = behind
    marked = half is None and _MARKED.hold(cursor, table)
    if (
        half is None
        and clock.minutes is None
        and (not known or table.times.hours or (measured and not marked))
    ):
        # "bis 3 l Wasser"
        return None
    if marked:
        mark = cursor.token(1)
        end = mark.core_end + (mark.suffix.startswith(".") and len(mark.suffix) > 1)
    spoken = clock.say(table, half, marked=marked or clock.tail in table.times.marks)
    return Verbalization((Piece(spoken, start, end),), end)


def _is_said_by_words(clock: _Clock, cursor: TokenCursor, table: LanguageTable) -> bool:
    """True for "ore 9,30", but not "um 0,25 %"; "10'30 h"; and "9.30" where it is no number."""
    if clock.sign == ".":
        return is_dotted_time(cursor, table)
    if clock.sign != ",":
        return cursor.token(1).core in table.times.marks
    following = cursor.token(1).core if cursor.is_adjacent(1) else ""
    measured = (
        table.names_unit(following) or following.startswith(("%", "Prozent")) or table.is_money(following)
    )
    return cursor.previous().core in table.times.after and not measured


def _range(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "9:00-12:30", "9–5pm", "9h-12h", "1:30-3", "18.30-20" """
    token = cursor.token()
    parts = _RANGE.fullmatch(token.core)
    if parts is None:
        return None
    if is_dotted_range(parts[1], parts[3], cursor, table):
        parts = _RANGE.fullmatch(token.core.replace(".", ":")) or parts
    first, last = _Clock.parse(parts[1], table), _Clock.parse(parts[3], table)
    named = parts[1].isalpha() and len(parts[1]) > _FEW
    if last is None or not (named or (first is not None and first.is_certain)):
        return None
    if not any(one and (one.minutes is not None or one.tail) for one in (first, last)):
        return None
    base, at = token.core_start, token.core_start + parts.start(3)
    end = _time(cursor, table, parts[3], at)
    if end is None and (last.tail or (first is not None and first.sign == ":" and last.minutes is None)):
        end = Verbalization((Piece(last.in_range(table), at, token.core_end),), token.core_end)
    if end is None:
        return None
    early = parts[1] if first is None else first.in_range(table)
    to = Piece(f"{table.numbers.to} ", base + parts.start(2), base + parts.end(2))
    return Verbalization((Piece(f"{early} ", base, base + parts.end(1)), to, *end.pieces), end.end)


def _two_ranges(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "9h-12h/14h-18h30"."""
    token = cursor.token()
    first, _, rest = token.core.partition("/")
    if not rest or not all(_RANGE.fullmatch(part) or _TIME.fullmatch(part) for part in token.core.split("/")):
        return None
    middle = token.core_start + len(first)
    said = time(TokenCursor([token_at(token.text, token.core_start, middle)], (), complete=True), table)
    with cursor.without_prefix(len(first) + 1):
        last = time(cursor, table)
    if said is None or last is None:
        return None
    return Verbalization((*said.pieces, Piece(", ", middle, middle + 1), *last.pieces), last.end)


def four_figures(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "1730 hrs", "at 0600 hours", "arr. 1915": a time of a timetable or of a watch."""
    token = cursor.token()
    match = _FOUR_FIGURES.fullmatch(token.core)
    if match is None or token.prefix:
        return None
    hour, minutes, early = int(match[1]), int(match[2]), match[1][0] == "0"
    marked = _HOURS.hold(cursor, table) and not _AMOUNT.hold(cursor, table)
    watch = marked and (early or minutes or _AT.hold(cursor, table))
    train = _DEPARTURE.hold(cursor, table) or (early and _EARLY_DEPARTURE.hold(cursor, table))
    if not (watch or train or _is_of_timetable(cursor, table)):
        return None
    times, said = table.times, _say_hour(hour, table)
    if 0 < hour < _TEN and times.few_minutes != times.plain:
        said = f"{table.number_words.cardinal(0)} {said}"
    if not minutes:
        said = (times.hour_mark if marked else times.late_on_the_hour).format(hour=said)
    else:
        template = times.few_minutes if minutes < _TEN else times.plain
        said = template.format(hour=said, minutes=_part(minutes, times.minute, table))
        # English names the hours after minutes too.
        said += times.hour_mark.removeprefix(times.late_on_the_hour) if marked else ""
    end = unit_end(cursor, 1, table) if marked else token.core_end
    return Verbalization((Piece(said, token.core_start, end),), end)


def _is_of_timetable(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True after an abbreviation that stands before times: "arr. 1915"."""
    before = cursor.previous()
    known = table.abbreviations.get(f"{before.core.lower()}.", ())
    return before.suffix != "" and any("time" in one.said for one in known)


def _part(number: int, forms: Forms | None, table: LanguageTable) -> str:
    """Minutes or seconds, with their name where the language has it."""
    gender = table.times.minutes_gender
    if forms is None:
        return table.number_words.cardinal(number, gender)
    gender = gender or gender_of_forms(forms, table)
    return say_counted(Numeral(str(number), ""), forms, gender, table)


def _say_hour(hour: int, table: LanguageTable) -> str:
    """An hour's number, with the word for hours where the language always has it."""
    times = table.times
    number = table.number_words.cardinal(hour, times.gender)
    if times.hours is None:
        return number
    return f"{number} {table.form(times.hours, hour)}"
