"""Dates and times in figures: "2024-04-03", "4/3(水)", "19:30"."""

import re

from kani_text.normalizer.spoken import Piece
from kani_text.normalizer.unspaced.numbers import counted
from kani_text.normalizer.unspaced.scan import Scan, UnspacedReading

_MONTH, _DAY = "(0?[1-9]|1[0-2])", r"([12]\d|3[01]|0?[1-9])"
_DATE = re.compile(rf"(\d{{4}})([-/.]){_MONTH}\2{_DAY}(?!\d|[-/.]\d)")
_MONTH_DAY = re.compile(rf"{_MONTH}/{_DAY}(?![\d/年月])")
_LEAST_DAY, _NEAR = 13, 12
"""Day that is rarely a denominator, and characters to each side that tell a fraction."""
_VERSE = re.compile(r"(\d{1,3}):(\d{1,3})(?:-(\d{1,3}))?(?![\d:])")
_DAY_OF_WEEK = re.compile(r"[(（](.)[)）]")
_TIME = re.compile(r"(\d{1,2}):([0-5]\d)(?::(\d{2}))?(?!:?\d)(?: ?([AaPp])\.?[Mm](?![A-Za-z])\.?)?")
_RATIO = re.compile(r"(\d{1,6})(?:\.(\d{1,6}))?(?=:\d)")
_MOST_PARTS = 3
_ENDS = ("", *"、。，；)）")


def date(scan: Scan, at: int) -> UnspacedReading | None:
    """A date of year, month and day, or of month and day before a weekday."""
    table, moments = scan.table, scan.table.moments
    found = _DATE.match(scan.text, at)
    year = found[1] if found is not None else ""
    if found is None and ((found := _MONTH_DAY.match(scan.text, at)) is None or not _is_day(scan, found)):
        return None
    month, day = map(int, found.groups()[-2:])
    first = moments.first_day if day == 1 else ""
    parts = [counted(month, moments.month, table), first or _say_part(day, moments.day, scan)]
    if year:
        digits = table.words.digits(year) + moments.year
        parts.insert(0, counted(int(year), moments.year, table) if table.words.kana else digits)
    said = (" " * table.words.kana).join(parts)
    return UnspacedReading.of(said, at, found.end())


def verse(scan: Scan, at: int) -> UnspacedReading | None:
    """ "马太福音5:3-12": chapter and verses after a book of the Bible."""
    table, found = scan.table, _VERSE.match(scan.text, at)
    if found is None or not scan.is_beside("verses", at, found.end()):
        return None
    words = table.words
    said = words.cardinal(int(found[2]))
    if found[3]:
        said = f"{said}{table.numbers.to}{words.cardinal(int(found[3]))}"
    said = table.numbers.verse.format(chapter=words.cardinal(int(found[1])), verse=said)
    return UnspacedReading.of(said, at, found.end())


def _is_day(scan: Scan, found: re.Match[str]) -> bool:
    """True if "12/5" is a day and no part of a whole: "周二 11/5", "12/25まで", "3/14 11:42"."""
    month, day, end = int(found[1]), int(found[2]), found.end()
    if scan.is_beside("days", *found.span()):
        return True
    late = month > 1 and day >= _LEAST_DAY
    scan.require(end + (_NEAR if late else len(" 入")))
    if scan.is_beside("no_days", *found.span()):
        return False
    if late and scan.is_beside("late_days", *found.span()):
        return True
    whole = (month > day or day >= _LEAST_DAY) and not scan.word_after(end)[0]
    ended = month > day > 1 and scan.text[end : end + 1] in _ENDS
    return whole and (ended or scan.is_beside("likely_days", *found.span()))


def weekday(scan: Scan, at: int) -> UnspacedReading | None:
    """The "(火)" of "12月3日(火)" and "12/3(火)"."""
    found, moments = _DAY_OF_WEEK.match(scan.text, at), scan.table.moments
    before = scan.before(at)[-1:]
    if found is None or not (before == moments.day or before.isdecimal()) or not moments.weekday_names:
        return None
    place = moments.weekdays.find(found[1])
    if place < 0:
        return None
    return UnspacedReading.of(moments.weekday_names[place], at, found.end())


def time(scan: Scan, at: int) -> UnspacedReading | None:
    """ "19:30", "9:05", "8:00", "7:30 PM", and the minutes and seconds of "5:39/km"."""
    table, moments = scan.table, scan.table.moments
    found = _TIME.match(scan.text, at)
    if found is None or int(found[1]) > (29 if scan.table.ruby else 24):
        return None
    hour, minutes, seconds = int(found[1]), int(found[2]), int(found[3] or 0)
    if hour <= _MOST_PARTS:
        scan.require(found.end() + len("で割り"))
    if scan.is_beside("ratios", *found.span()):
        return None
    parts = [counted(hour, moments.hour, table)]
    if minutes or seconds:
        zero = moments.zero_minutes if 0 < minutes < 10 else ""
        parts.append(_say_part(minutes, moments.minute, scan, zero))
    if seconds:
        parts.append(_say_part(seconds, moments.second, scan))
    half = moments.halves.get(f"{found[4].lower()}m", "") if found[4] else ""
    spoken = half + (" " * table.words.kana).join(filter(None, parts))
    return UnspacedReading.of(spoken, at, found.end())


def _say_part(number: int, counter: str, scan: Scan, zero: str = "") -> str:
    if scan.table.words.kana:
        return counted(number, counter, scan.table)
    return zero + scan.table.words.cardinal(number) + counter


def ratio(scan: Scan, at: int) -> UnspacedReading | None:
    """The first number of "3:2", and the word between both."""
    found = _RATIO.match(scan.text, at)
    if found is None:
        return None
    words = scan.table.words
    spoken = words.decimal(int(found[1]), found[2]) if found[2] else words.cardinal(int(found[1]))
    end = found.end()
    return UnspacedReading((Piece(spoken, at, end), Piece(scan.table.numbers.ratio, end, end + 1)), end + 1)
