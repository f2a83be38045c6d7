"""Times of day and ranges of them."""

from __future__ import annotations

import re

from kani.text.normalizer.rules.moments.dotted_times import (
    DOTTED_TIME,
    half_behind,
    half_of_day,
    is_dotted_time,
    is_english_time,
    is_said_as_time,
)
from kani.text.normalizer.rules.moments.durations import ABOUT
from kani.text.normalizer.rules.numerals import DASHES, Numeral
from kani.text.normalizer.rules.units import gender_of_forms, say_counted, unit_end
from kani.text.normalizer.spoken import Piece, Verbalization
from kani.text.normalizer.tables.file import Forms
from kani.text.normalizer.tables.table import LanguageTable
from kani.text.normalizer.tokens import TokenCursor, token_at

_TIME = re.compile(r"(\d{1,2})([:.hH])(\d{2})(?::(\d{2}))?([^\W\d_]\S{0,4})?")
_COMMA_TIME, _PRIME_TIME = re.compile(r"\d{1,2},[0-5]\d"), re.compile(r"\d{1,2}['’][0-5]\d")
_HALF_TIME = re.compile(r"\d{1,2}\.\d{2}[ap]\.?m", re.IGNORECASE)
_HOUR = re.compile(r"(\d{1,2})([^\W\d_][^\W\d]{0,3}(?:\.[^\W\d]{1,2})?)?")
_RANGE = re.compile(rf"(.+?)([{DASHES}])(.+)")
_FOUR_FIGURES = re.compile(r"([01]\d|2[0-3])([0-5]\d)")
_TEN, _FEW = 10, 3
_HOURS_RANGE = re.compile(rf"(\d{{1,2}})[{DASHES}](\d{{1,2}})")
_EARLIEST, _LAST_HOUR = 7, 24
_TRAINS = frozenset("to train service bus flight ferry departure".split())


def time(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "19:30", with its "h" or "p. m.", and a range of times."""
    token = cursor.token()
    if token.core[:1] in ABOUT and (token.core[1:2].isdecimal()):
        # "~19:30"
        with cursor.without_prefix(1):
            exact = time(cursor, table)
        sign = Piece(f"{table.numbers.about} ", token.core_start, token.core_start + 1)
        return Verbalization((sign, *exact.pieces), exact.end) if exact else None
    spoken = _time(cursor, table, token.core, token.core_start)
    if spoken is not None:
        return spoken
    if "/" in token.core and (both := _two_ranges(cursor, table)) is not None:
        return both
    parts = _RANGE.fullmatch(token.core)
    if parts is not None and _is_dotted_range(parts, cursor, table):
        # "18.30-20", "4.30–7pm", "9–18.30 Uhr"
        parts = _RANGE.fullmatch(token.core.replace(".", ":"))
    if table.language == "de" and (hours := _german_hours(cursor, table)) is not None:
        return hours
    if parts is None or not (
        re.search("[:hH]\\d", parts[0]) or parts[1][-1].isalpha() or parts[3][-1].isalpha()
    ):
        return None
    first = _hour_of_mark(parts[1], table) or _clock(parts[1], table, hour_alone=True)
    first = first or _hour_ofhalf_of_day(parts[1], table)
    first = first or ((parts[1], None, True) if parts[1].isalpha() and len(parts[1]) > _FEW else None)
    last = _time(cursor, table, parts[3], token.core_start + parts.start(3))
    if last is None and ":" in parts[1] and parts[3].isdecimal() and first is not None:
        # "1:30-3"
        alone = _clock(parts[3], table, hour_alone=True)
        at = token.core_start + parts.start(3)
        last = Verbalization((Piece(alone[0], at, token.core_end),), token.core_end) if alone else None
    marked = _hour_of_mark(parts[3], table) or _hour_ofhalf_of_day(parts[3], table)
    if last is None and marked is not None:
        said = f"{marked[0]} {_evening(parts[3], marked[1] or '', table)}".rstrip()
        last = Verbalization(
            (Piece(said, token.core_start + parts.start(3), token.core_end),), token.core_end
        )
    if first is None or last is None:
        return None
    base = token.core_start
    early = f"{first[0]} {_evening(parts[1], first[1] or '', table)}".rstrip()
    return Verbalization(
        (
            Piece(f"{early} ", base, base + parts.end(1)),
            Piece(f"{table.numbers.to} ", base + parts.start(2), base + parts.end(2)),
            *last.pieces,
        ),
        last.end,
    )


def _is_dotted_range(parts: re.Match[str], cursor: TokenCursor, table: LanguageTable) -> bool:
    begins, ends = (DOTTED_TIME.fullmatch(parts[one]) is not None for one in (1, 3))
    marked = cursor.is_adjacent(1) and cursor.token(1).core in table.times.marks
    if not begins:
        # "lun/mer 18-19.30"
        known = re.split(r"[/.–-]+", cursor.previous().core.lower())[-1] in (
            table.dates.days | table.times.after
        )
        # Italian "7-10.30"; a decimal has a comma
        known = known or (table.language == "it" and len(parts[1]) <= 2)
        behind = cursor.token(1).core if cursor.is_adjacent(1) else ""
        measured = (behind in table.units or table.is_money(behind)) and not marked
        return parts[1].isdecimal() and ends and (known or marked) and not measured
    half = _hour_ofhalf_of_day(parts[3], table) is not None or _HALF_TIME.fullmatch(parts[3]) is not None
    english = ends and is_english_time(cursor, table, parts[1])
    # "Sun 10.30-4"
    dated = cursor.previous().core.lower() in table.dates.days and parts[3].isdecimal()
    return table.numbers.decimal == "," or marked or half or english or dated


def four_figures(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "1730 hrs", "at 0600 hours", "arr. 1915": a time of a timetable or of a watch."""
    token, before, mark = cursor.token(), cursor.previous(), cursor.token(1)
    match = _FOUR_FIGURES.fullmatch(token.core)
    if match is None or token.prefix:
        return None
    hour, minutes = int(match[1]), int(match[2])
    marked = cursor.is_adjacent(1) and (mark.core in table.times.marks or mark.core == "hours")
    marked = marked and cursor.token(2).core != "of"
    at = before.core.lower() in table.dates.after | table.numbers.measured_after
    listed = any("time" in one.said for one in table.abbreviations.get(f"{before.core.lower()}.", ()))
    ahead = cursor.token(1).core.lower()
    train = before.core.lower() == "the" and (ahead in _TRAINS or (match[1][0] == "0" and ahead == "from"))
    if (
        not (listed and before.suffix)
        and not train
        and not (marked and (match[1][0] == "0" or minutes or at))
    ):
        return None
    hour_said = _say_hour(hour, table)
    if hour < _TEN and table.times.few_minutes != table.times.plain:
        hour_said = f"{table.number_words.cardinal(0)} {hour_said}" if hour else hour_said
    if not minutes:
        template = table.times.hour_mark if marked else table.times.late_on_the_hour
        said = template.format(hour=hour_said)
    else:
        template = table.times.few_minutes if minutes < _TEN else table.times.plain
        said = template.format(hour=hour_said, minutes=_part(minutes, table.times.minute, table))
        said += " hours" if marked and table.language == "en" else ""
    end = unit_end(cursor, 1, table) if marked else token.core_end
    return Verbalization((Piece(said, token.core_start, end),), end)


def _two_ranges(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "9h-12h/14h-18h30"."""
    token = cursor.token()
    first, _, _ = token.core.partition("/")
    middle = token.core_start + len(first)
    if not all(_RANGE.fullmatch(part) or _TIME.fullmatch(part) for part in token.core.split("/")):
        return None
    said = time(TokenCursor([token_at(token.text, token.core_start, middle)], (), complete=True), table)
    with cursor.without_prefix(len(first) + 1):
        last = time(cursor, table)
    if said is None or last is None:
        return None
    return Verbalization((*said.pieces, Piece(", ", middle, middle + 1), *last.pieces), last.end)


def _german_hours(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """The hours of "14–17 h", which are no duration."""
    match = _HOURS_RANGE.fullmatch(cursor.token().core)
    if match is None or not cursor.is_adjacent(1) or cursor.token(1).core != "h":
        return None
    if not _EARLIEST <= int(match[1]) < int(match[2]) <= _LAST_HOUR:
        return None
    first, last = (table.number_words.cardinal(int(hour)) for hour in match.groups())
    end = cursor.token(1).core_end
    return Verbalization(
        (Piece(f"{first} {table.numbers.to} {last} Uhr", cursor.token().core_start, end),), end
    )


def _time(cursor: TokenCursor, table: LanguageTable, written: str, start: int) -> Verbalization | None:
    """One time, the last one of the token; ``written`` begins at ``start``."""
    token = cursor.token()
    clock = _clock(written, table, hour_alone=False)
    following = cursor.token(1).core if cursor.is_adjacent(1) else ""
    measured = following in table.units or following.startswith(("%", "Prozent")) or table.is_money(following)
    if (
        clock is None
        and not measured
        and _COMMA_TIME.fullmatch(written)
        and cursor.previous().core in table.times.after
    ):
        # "ore 9,30", but "um 0,25 %"
        written = written.replace(",", ":")
        clock = _clock(written, table, hour_alone=False)
    if clock is None and _PRIME_TIME.fullmatch(written) and cursor.token(1).core in table.times.marks:
        # "10'30 h"
        written = re.sub("['’]", ":", written)
        clock = _clock(written, table, hour_alone=False)
    if clock is None and DOTTED_TIME.fullmatch(written) and is_dotted_time(cursor, table):
        written = written.replace(".", ":")
        clock = _clock(written, table, hour_alone=False)
    known = cursor.previous().core in table.times.after
    if table.language == "de" and cursor.token(1).core == "h" and cursor.is_adjacent(1):
        # "Fr. 19 h"
        known = known or cursor.previous().core in table.dates.short_weekdays
    hour = _HOUR.fullmatch(written) if clock is None else None
    if clock is not None:
        spoken, half, sharp = clock
    elif hour is not None and int(hour[1]) <= 24:
        half = half_of_day(hour[2] or "", table)
        if hour[2] in ("a", "p") and is_said_as_time(cursor, table):
            # "at 5p"
            half, known = half_of_day(f"{hour[2]}m", table), True
        if hour[2] and (half is None or (hour[2] in table.units and not known)):
            return None
        if half is None and table.language == "de" and following in ("l", "m", "g"):
            # "bis 3 l Wasser"
            return None
        spoken, sharp = _say_hour(int(hour[1]), table), True
    else:
        return None
    end = token.core_end
    if half is None:
        behind = half_behind(cursor, table)
        # "7 م" may be seven metres too.
        if behind is not None and (clock or known or cursor.token(1).core not in table.units):
            half, end = behind
            if clock is not None and sharp:
                spoken = _say_hour(int(re.split(r"\D", written, maxsplit=1)[0]), table)
            elif clock is not None and table.times.in_half:
                parts = [int(part) for part in re.split(r"\D", written)[:2]]
                said = table.number_words.cardinal(parts[1])
                spoken = table.times.in_half.format(hour=_say_hour(parts[0], table), minutes=said)
    if half is None and clock is None and (not known or table.times.hours):
        return None
    pieces = [Piece(spoken, start, token.core_end)]
    if half is not None:
        half = _evening(written, half, table)
        return Verbalization((Piece(f"{spoken} {half}", start, end),), end)
    if (clock is not None or known) and cursor.is_adjacent(1) and cursor.token(1).core in table.times.marks:
        mark = cursor.token(1)
        end = mark.core_end + (mark.suffix.startswith(".") and len(mark.suffix) > 1)
        if sharp and table.times.hour_mark:
            hour_said = _say_hour(int(re.split(r"\D", written, maxsplit=1)[0]), table)
            spoken = table.times.hour_mark.format(hour=hour_said)
        pieces = [Piece(spoken, start, end)]
    return Verbalization(tuple(pieces), end)


def _clock(written: str, table: LanguageTable, hour_alone: bool) -> tuple[str, str | None, bool] | None:
    """The spoken form of a time, its half of the day, and whether it is a full hour."""
    times = table.times
    if hour_alone and written.isdecimal() and len(written) <= 2 and int(written) <= 24:
        return _say_hour(int(written), table), None, True
    match = _TIME.fullmatch(written)
    if match is None:
        return None
    hour, minutes = int(match[1]), int(match[3])
    half = half_of_day(match[5] or "", table) or (
        half_of_day(f"{match[5]}m", table) if match[5] in ("a", "p") else None
    )
    marked = (match[5] or "") in times.marks
    if hour > 24 or minutes > 59 or (hour == 24 and minutes) or (match[5] and half is None and not marked):
        return None
    if match[2] == "." and not (half or marked):
        return None
    hour_words = _say_hour(hour, table)
    if minutes == 0:
        plain = times.on_the_hour if 1 <= hour <= 12 else times.late_on_the_hour
        spoken = (
            hour_words
            if half
            else (times.hour_mark if marked and times.hour_mark else plain).format(hour=hour_words)
        )
    else:
        template = times.few_minutes if minutes < 10 else times.plain
        part = times.minutes_said.get(minutes) or _part(minutes, times.minute, table)
        spoken = template.format(hour=hour_words, minutes=part)
    if match[4] and int(match[4]):
        spoken = times.seconds.format(time=spoken, seconds=_part(int(match[4]), times.second, table))
    return spoken, half, minutes == 0


def _part(number: int, forms: Forms | None, table: LanguageTable) -> str:
    """Minutes or seconds, with their name where the language has it."""
    gender = table.times.minutes_gender
    if forms is None:
        return table.number_words.cardinal(number, gender)
    gender = gender or gender_of_forms(forms, table)
    return say_counted(Numeral(str(number), ""), forms, gender, table)


def _hour_ofhalf_of_day(written: str, table: LanguageTable) -> tuple[str, str | None, bool] | None:
    """As ``_clock``, of "5pm"."""
    hour = _HOUR.fullmatch(written)
    half = half_of_day(hour[2] or "", table) or half_of_day(f"{hour[2]}m", table) if hour else None
    if hour is None or half is None or int(hour[1]) > 24:
        return None
    return _say_hour(int(hour[1]), table), half, True


def _hour_of_mark(written: str, table: LanguageTable) -> tuple[str, str | None, bool] | None:
    """As ``_clock``, of "9h"."""
    hour = _HOUR.fullmatch(written)
    if hour is None or (hour[2] or "") not in table.times.marks or int(hour[1]) > 24:
        return None
    unit = table.units.get(hour[2])
    name = table.form(unit.forms, int(hour[1])) if unit is not None else ""
    name = "Uhr" if table.language == "de" else name
    return f"{table.number_words.cardinal(int(hour[1]), table.times.gender)} {name}".rstrip(), None, True


def _evening(written: str, half: str, table: LanguageTable) -> str:
    """The half of the day after a time, or the evening by its hour ("8pm" in the table)."""
    hour = re.split(r"\D", written, maxsplit=1)[0].lstrip("0")
    return table.times.halves.get(f"{hour}pm", half) if half == table.times.halves.get("pm") else half


def _say_hour(hour: int, table: LanguageTable) -> str:
    """An hour's number, with the word for hours where the language always has it."""
    times = table.times
    number = table.number_words.cardinal(hour, times.gender)
    if times.hours is None:
        return number
    return f"{number} {table.form(times.hours, hour)}"
