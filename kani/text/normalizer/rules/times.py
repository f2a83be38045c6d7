"""Times of day and ranges of them."""

from __future__ import annotations

import re
from collections.abc import Collection

from kani.text.normalizer.rules.numerals import DASHES, Numeral, parse_numeral
from kani.text.normalizer.rules.units import gender_of_forms, say_counted, unit_end
from kani.text.normalizer.spoken import Piece, Verbalization
from kani.text.normalizer.tables.file import Forms
from kani.text.normalizer.tables.table import LanguageTable
from kani.text.normalizer.tokens import TokenCursor

_TIME = re.compile(r"(\d{1,2})([:.hH])(\d{2})(?::(\d{2}))?([^\W\d_]\S{0,4})?")
_DOTTED_TIME = re.compile(r"\d{1,2}\.\d{2}")
_HOUR = re.compile(r"(\d{1,2})([^\W\d_][^\W\d]{0,3}(?:\.[^\W\d]{1,2})?)?")
_DURATION = re.compile(
    r"(?:(?P<hours>\d{1,3})(?:h|hrs?|H))?(?:(?P<minutes>\d{1,3})(?:m|min|mn|mins|['’′]))?"
    r"(?:(?P<seconds>\d{1,2})(?:s|sec|seg))?"
)
_HOURS, _SECONDS = re.compile(r"\d{1,3}(?:h|hrs?|H)"), re.compile(r"\d{1,2}(?:s|sec|seg)")
_HOUR_MARKS = frozenset(("h", "hs", "hrs", "hr", "H", "Std", "horas", "hours", "heures", "ore", "Stunden"))
_EVERY = re.compile(r"(?P<what>c?)/(?P<number>\d{1,2})(?P<h>hs?|H)?")
_ELAPSED = re.compile(r"(\d{2}):([0-5]\d)")
_PACE = re.compile(r"(\d{1,2})['’′]([0-5]\d)(?:[\"”″](?:/(?P<per>\w{1,3}))?)?")
_AGAIN = re.compile(r"(\d{1,2})/(\d{1,2})(hs?)?")
_FEET, _INCHES = "'’′", '"”″'
_PRIMES = re.compile(rf"(?P<number>\d{{1,4}}(?:[.,]\d{{1,2}})?)(?P<mark>[{_FEET}{_INCHES}])")
_IN_INCHES = re.compile(rf"\d{{1,2}}(?:[{_INCHES}]|['’]{{2}})")
_LONGEST_QUOTATION = 40
_RANGE = re.compile(rf"(.+?)([{DASHES}])(.+)")
_MOST_LISTED = 8


def time(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "19:30", with its "h" or "p. m.", and a range of times."""
    token = cursor.token()
    spoken = _time(cursor, table, token.core, token.core_start)
    if spoken is not None:
        return spoken
    parts = _RANGE.fullmatch(token.core)
    if (
        parts is not None
        and _DOTTED_TIME.fullmatch(parts[1])
        and (table.numbers.decimal == "," or _hour_of_half(parts[3], table))
    ):
        # "18.30-20", "4.30–7pm"
        parts = _RANGE.fullmatch(token.core.replace(".", ":"))
    if parts is None or not (":" in parts[0] or parts[1][-1].isalpha() or parts[3][-1].isalpha()):
        return None
    first = _hour_of_mark(parts[1], table) or _clock(parts[1], table, hour_alone=True)
    first = first or _hour_of_half(parts[1], table)
    last = _time(cursor, table, parts[3], token.core_start + parts.start(3))
    if last is None and (marked := _hour_of_mark(parts[3], table)) is not None:
        last = Verbalization(
            (Piece(marked[0], token.core_start + parts.start(3), token.core_end),), token.core_end
        )
    if first is None or last is None:
        return None
    base = token.core_start
    return Verbalization(
        (
            Piece(f"{first[0]} {first[1] or ''}".rstrip() + " ", base, base + parts.end(1)),
            Piece(f"{table.numbers.to} ", base + parts.start(2), base + parts.end(2)),
            *last.pieces,
        ),
        last.end,
    )


def _time(cursor: TokenCursor, table: LanguageTable, written: str, start: int) -> Verbalization | None:
    """One time, the last one of the token; ``written`` begins at ``start``."""
    token = cursor.token()
    clock = _clock(written, table, hour_alone=False)
    if clock is None and _DOTTED_TIME.fullmatch(written) and _is_dotted_time(cursor, table):
        written = written.replace(".", ":")
        clock = _clock(written, table, hour_alone=False)
    known = cursor.previous().core in table.times.after
    hour = _HOUR.fullmatch(written) if clock is None else None
    if clock is not None:
        spoken, half, sharp = clock
    elif hour is not None and int(hour[1]) <= 24:
        half = _half(hour[2] or "", table)
        if hour[2] and (half is None or (hour[2] in table.units and not known)):
            return None
        spoken, sharp = _say_hour(int(hour[1]), table), True
    else:
        return None
    if (
        clock is not None
        and half is None
        and cursor.is_adjacent(1)
        and cursor.token(1).core in ("min", "Min", "mn")
    ):
        # "3:21 min"
        return _minutes_and_seconds(written, start, cursor, table)
    end = token.core_end
    if half is None:
        behind = _half_behind(cursor, table)
        # "7 م" may be seven metres too.
        if behind is not None and (clock or known or cursor.token(1).core not in table.units):
            half, end = behind
            if clock is not None and sharp:
                spoken = _say_hour(int(re.split(r"\D", written, maxsplit=1)[0]), table)
    if half is None and clock is None and not known:
        return None
    pieces = [Piece(spoken, start, token.core_end)]
    if half is not None:
        return Verbalization((Piece(f"{spoken} {half}", start, end),), end)
    if clock is not None and cursor.is_adjacent(1) and cursor.token(1).core in table.times.marks:
        mark = cursor.token(1)
        end = mark.core_end + (mark.suffix.startswith(".") and len(mark.suffix) > 1)
        if sharp and table.times.hour_mark:
            hour_said = _say_hour(int(written.partition(":")[0]), table)
            spoken = table.times.hour_mark.format(hour=hour_said)
        pieces = [Piece(spoken, start, end)]
    return Verbalization(tuple(pieces), end)


def duration(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "1h30m", the "20m" of "1h 20m" and of "20m 30s", "5m left": hours, minutes and seconds."""
    token = cursor.token()
    closed = token.suffix.startswith(("'", "’", "′"))
    match = _DURATION.fullmatch(f"{token.core}'" if closed and "h" in token.core else token.core)
    if match is None or not any(match.groups()):
        return None
    hours, minutes, seconds = match["hours"], match["minutes"], match["seconds"]
    if not hours and not (minutes and seconds):
        # "20m" and "30s" by themselves are metres and seconds.
        before, after = cursor.previous(), cursor.token(1)
        part_of = not before.suffix and _HOURS.fullmatch(before.core) is not None
        part_of = part_of or before.core in _HOUR_MARKS or _SECONDS.fullmatch(after.core) is not None
        if not minutes or not (part_of or after.core.lower() in table.times.minutes_before):
            return None
    elif hours and not minutes and not seconds:
        return None
    pieces: list[Piece] = []
    for group, symbol in (("hours", "h"), ("minutes", "min"), ("seconds", "s")):
        unit = table.units.get(symbol)
        if match[group] and unit is not None and int(match[group]):
            gender = unit.gender or gender_of_forms(unit.forms, table)
            spoken = say_counted(Numeral(str(int(match[group])), ""), unit.forms, gender, table)
            start = token.core_start + match.start(group)
            end = token.core_start + match.end(group) + 1 if group != "seconds" else token.core_end
            pieces.append(Piece(f" {spoken}" if pieces else spoken, start, min(end, token.core_end)))
    return Verbalization(tuple(pieces), token.core_end + (closed and "h" in token.core)) if pieces else None


def every(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """The "/8 h" of a dose ("500 mg/8 h"), and "c/8h": how often."""
    token = cursor.token()
    if (again := _AGAIN.fullmatch(token.core)) and again[1] == again[2] and table.times.again:
        end = token.core_end if again[3] else unit_end(cursor, 1)
        if again[3] or _is_hour(cursor, 1):
            number = table.number_words.cardinal(int(again[1]), table.times.gender)
            return Verbalization(
                (Piece(table.times.again.format(number=number), token.core_start, end),), end
            )
    match = _EVERY.fullmatch(token.core)
    if match is None or not table.times.every or (match["what"] and not (match["h"] or _is_hour(cursor, 1))):
        return None
    end = token.core_end
    if not match["h"]:
        if not _is_hour(cursor, 1):
            return None
        end = unit_end(cursor, 1)
    unit = table.units["h"]
    gender = unit.gender or gender_of_forms(unit.forms, table)
    time_said = say_counted(Numeral(match["number"], ""), unit.forms, gender, table)
    apart = "" if token.text[token.core_start - 1 : token.core_start].isspace() else " "
    spoken = apart + table.times.every.format(time=time_said)
    return Verbalization((Piece(spoken, token.core_start, end),), end)


def _is_hour(cursor: TokenCursor, ahead: int) -> bool:
    return cursor.is_adjacent(ahead) and cursor.token(ahead).core in _HOUR_MARKS


def prime(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "6' 2″" and "12″": feet and inches; "90'": a minute, but in English."""
    token = cursor.token()
    match = _PRIMES.fullmatch(token.core + token.suffix[:1])
    if match is None or token.prefix.strip("("):
        return None
    number, mark = match["number"], match["mark"]
    numeral = parse_numeral(number, table)
    inches = mark in _INCHES
    if numeral is None or (mark in "\"'’" and _is_quoted(cursor, mark)):
        return None
    feet = table.language == "en" or _IN_INCHES.fullmatch(cursor.token(1).core + cursor.token(1).suffix[:1])
    end = token.core_end + (len(match.group()) > len(token.core))
    if mark in _FEET and not feet:
        template = table.times.prime if cursor.previous().core.lower() in table.dates.after else ""
        unit = table.units["min"]
        if template and numeral.integer is not None:
            words = table.number_words
            gender = gender_of_forms(unit.forms, table)
            spoken = template.format(
                number=words.cardinal(numeral.integer), ordinal=words.ordinal(numeral.integer, gender)
            )
            return Verbalization((Piece(spoken, token.core_start, end),), end)
    else:
        unit = table.units["in" if inches else "ft"] if "in" in table.units else table.units["min"]
    gender = unit.gender or gender_of_forms(unit.forms, table)
    return Verbalization(
        (Piece(say_counted(numeral, unit.forms, gender, table), token.core_start, end),), end
    )


def _is_quoted(cursor: TokenCursor, mark: str) -> bool:
    """True if a quotation mark before is still open, so that one after figures closes it."""
    before = [cursor.previous(back) for back in range(_LONGEST_QUOTATION, 0, -1)]
    left_open = 0
    for token in before:
        left_open = max(0, left_open + token.prefix.count(mark) - token.suffix.count(mark))
    return left_open + cursor.token().prefix.count(mark) > 0


def elapsed(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "41:37", more minutes than a day has hours, and the pace of 5'20": minutes and seconds."""
    token = cursor.token()
    at, end = token.core_start, token.core_end
    if (match := _ELAPSED.fullmatch(token.core)) is not None and 24 < int(match[1]) < 60:
        words = table.number_words
        first = Piece(words.cardinal(int(match[1])), at, at + match.end(1))
        return Verbalization((first, Piece(f" {words.cardinal(int(match[2]))}", at + match.end(1), end)), end)
    match = _PACE.fullmatch(token.core) if table.language != "en" else None
    if match is None:
        return None
    pieces: list[Piece] = []
    for group, symbol in ((1, "min"), (2, "s")):
        unit = table.units[symbol]
        gender = unit.gender or gender_of_forms(unit.forms, table)
        said = say_counted(Numeral(str(int(match[group])), ""), unit.forms, gender, table)
        pieces.append(Piece(f" {said}" if pieces else said, at + match.start(group), at + match.end(group)))
    if match["per"] and (under := table.units.get(match["per"])) is not None:
        one = under.forms.get("one", under.forms["other"])
        pieces.append(Piece(f" {table.per} {one}", at + match.start("per"), end))
    return Verbalization(tuple(pieces), end + token.suffix.startswith(('"', "”", "″")))


def _minutes_and_seconds(
    written: str, start: int, cursor: TokenCursor, table: LanguageTable
) -> Verbalization:
    minutes, seconds = re.split(r"\D", written, maxsplit=2)[:2]
    unit = table.units["min"]
    gender = unit.gender or gender_of_forms(unit.forms, table)
    said = say_counted(Numeral(str(int(minutes)), ""), unit.forms, gender, table)
    end = unit_end(cursor, 1)
    return Verbalization((Piece(f"{said} {table.number_words.cardinal(int(seconds))}", start, end),), end)


def _clock(written: str, table: LanguageTable, hour_alone: bool) -> tuple[str, str | None, bool] | None:
    """The spoken form of a time, its half of the day, and whether it is a full hour."""
    times = table.times
    if hour_alone and written.isdecimal() and len(written) <= 2 and int(written) <= 24:
        return _say_hour(int(written), table), None, True
    match = _TIME.fullmatch(written)
    if match is None:
        return None
    hour, minutes = int(match[1]), int(match[3])
    half = _half(match[5] or "", table)
    marked = (match[5] or "") in times.marks
    if hour > 24 or minutes > 59 or (match[5] and half is None and not marked):
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


def _is_listed(cursor: TokenCursor, after: Collection[str]) -> bool:
    """True for the last hour of "alle 8, 10 e 18.30": figures and short words lead back to a time's word."""
    back = 1
    while back < _MOST_LISTED and (core := cursor.previous(back).core) and core not in after:
        if not (core[0].isdecimal() or (core.islower() and len(core) <= len("und"))):
            return False
        back += 1
    return back > 1 and cursor.previous(back).core in after


def _is_dotted_time(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True if the tokens around "7.30" make it a time; a full stop may be the decimal mark."""
    if _half_behind(cursor, table) is not None:
        return True
    if table.numbers.decimal == ".":
        return False
    marks, after = table.times.marks, table.times.after
    before = cursor.previous().core
    listed = _is_listed(cursor, after)
    return (
        before in after
        or before in marks
        or listed
        or (cursor.is_adjacent(1) and cursor.token(1).core in marks)
    )


def _hour_of_half(written: str, table: LanguageTable) -> tuple[str, str | None, bool] | None:
    """As ``_clock``, of "5pm"."""
    hour = _HOUR.fullmatch(written)
    half = _half(hour[2] or "", table) if hour else None
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
    return f"{table.number_words.cardinal(int(hour[1]), table.times.gender)} {name}".rstrip(), None, True


def _say_hour(hour: int, table: LanguageTable) -> str:
    """An hour's number, with the word for hours where the language always has it."""
    times = table.times
    number = table.number_words.cardinal(hour, times.gender)
    if times.hours is None:
        return number
    return f"{number} {table.form(times.hours, hour)}"


def _half(written: str, table: LanguageTable) -> str | None:
    """The spoken form of "am" or "p.m"."""
    return table.times.halves.get(written.replace(".", "").lower()) if written else None


def _half_behind(cursor: TokenCursor, table: LanguageTable) -> tuple[str, int] | None:
    """The spoken form of "am", "p.m." or "p. m." after a time, and its end."""
    if not table.times.halves or not cursor.is_adjacent(1):
        return None
    first = cursor.token(1)
    if (half := _half(first.core, table)) is not None:
        return half, _past_stop(cursor, 1)
    if len(first.core) == 1 and first.suffix == "." and f"{first.core.lower()}m" in table.times.halves:
        second = cursor.token(2)
        if second.core.lower() == "m" and second.start == second.core_start:
            return table.times.halves[f"{first.core.lower()}m"], _past_stop(cursor, 2)
    return None


def _past_stop(cursor: TokenCursor, ahead: int) -> int:
    """End of an abbreviation: after its full stop, unless that ends the sentence too."""
    token = cursor.token(ahead)
    if not token.suffix.startswith("."):
        return token.core_end
    if len(token.suffix) == 1:
        following = cursor.token(ahead + 1)
        if following.core == "" or following.core[0].isupper():
            return token.core_end
    return token.core_end + 1
