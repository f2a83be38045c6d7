"""Dates and times in figures: "2024-04-03", "4/3(水)", "19:30"."""

from __future__ import annotations

import re

from kani.text.normalizer.number_words.ja import JapaneseNumbers
from kani.text.normalizer.spoken import Piece
from kani.text.normalizer.unspaced.numbers import counted
from kani.text.normalizer.unspaced.scan import Scan, UnspacedReading

_DATE = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})(?!\d|[-/.]\d)")
_EVENT = re.compile(
    r"(\d{1,2})/(\d{1,2})(?=(?:之|以)?[前后](?!面)|止|起|截止|[-~至到](\d{1,2})/(\d{1,2})(?![\d/]))"
)
_SINCE = re.compile(r"\d/(\d{1,2})[-~至到]\Z")
_LAST_PART = 10
_SCRIPTURE = re.compile(r"读经|经文|经课|经句|金句|圣经")
_MONTH_DAY = re.compile(r"(\d{1,2})/(\d{1,2})(?![\d/])")
_LOOSE = re.compile(r"(1[0-2]|[1-9])/([12]\d|3[01]|[1-9])(?![\d/年月])")
"""A day, where a time or a word follows and it is no part of a whole: "3/14 11:42", "12/5 入金"."""
_HOUR = re.compile(r"\s?\d{1,2}(?::\d\d|[点时時])")
_HAPPENS = re.compile(r"\s?(?![的の之倍是为量カはがをとも概确確几比左以])[\u3041-\u9fff]{2}")
_GOES_ON = re.compile(
    r"\s?(?:[にがはもとを是和与到]|の(?=[おご])|[、，](?=[1-3]?\d[日号]?[はにと]|\d{1,2}/)|支出|入账|扣款|交易)"
)
"""Particles after a day, and what a bank says of one."""
_OF_PARTS = re.compile(
    r"分数|約分|通分|约分|計算|计算|答え|答案|確率|概率|几率|割合|比例|等于|インチ|英寸|薄め|に(?:減|薄|縮|低)"
)
"""Words near a fraction that could be a day."""
_AFTER_DAY = re.compile(r"\d/(?:1[3-9]|2\d|3[01])[和与とや、]\Z")
_ENDS = re.compile(r"[、。，；)）]|$")
_NO_DAY = re.compile(r"[=＝+×÷*/.\d约占大中小率A-Za-z]\s?\Z|(?:ETA|ETD) ?\Z")
_ARRIVES = re.compile(r"(?:ETA|ETD|DDL|ddl)[:：]? ?\Z")
_LEAST_DAY, _NEAR = 13, 12
"""Day that is rarely a denominator, and characters to each side that tell a fraction."""
_VERSE = re.compile(r"(\d{1,3}):(\d{1,3})(?:-(\d{1,3}))?(?![\d:])")
_DAY_OF_WEEK = re.compile(r"[(（](.)[)）]")
_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?(?!:?\d)(?: ?([AaPp])\.?[Mm](?![A-Za-z])\.?)?")
_RATIO = re.compile(r"(\d{1,6}(?:\.\d+)?)(?=:\d)")
_COMPARED = re.compile(r"(?:比分|比例尺?|比率|比为|比是|スコア|倍率|比|縮尺)[是为為は]?[:：]?\s?\Z")
_MIXED = re.compile(
    r"\s?(?:的?(?:比例|比率|稀释|混合|勾兑|兑|模型)"
    r"|の(?:割合|比率|模型|縮尺)|[でに](?:薄め|希釈|割っ|割り|混ぜ|混合|配合))"
)
"""After figures that are parts of a mixture, or a scale."""
_MOST_PARTS = 3


def date(scan: Scan, at: int) -> UnspacedReading | None:
    """A date of year, month and day, or of month and day before a weekday."""
    table, moments = scan.table, scan.table.moments
    if found := _DATE.match(scan.text, at):
        year, month, day = int(found[1]), int(found[3]), int(found[4])
    elif (found := _month_and_day(scan, at)) is not None:
        year, month, day = 0, int(found[1]), int(found[2])
    else:
        return None
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    japanese = isinstance(table.words, JapaneseNumbers)
    parts = [counted(month, moments.month, table), _say_day(day, scan)]
    if year:
        digits = table.words.digits(found[1]) + moments.year
        parts.insert(0, counted(year, moments.year, table) if japanese else digits)
    said = (" " if japanese else "").join(parts)
    return UnspacedReading((Piece(said, at, found.end()),), found.end())


def verse(scan: Scan, at: int) -> UnspacedReading | None:
    """ "马太福音5:3-12": chapter and verses after a book of the Bible."""
    table = scan.table
    after = table.numbers.verse_after
    before = scan.before(at)
    short = table.numbers.verse_short
    cited = short is not None and short.search(before) and _SCRIPTURE.search(before)
    if after is None or not (cited or after.search(before)):
        return None
    found = _VERSE.match(scan.text, at)
    if found is None:
        return None
    words = table.words
    said = words.cardinal(int(found[2]))
    if found[3]:
        said = f"{said}{table.numbers.to}{words.cardinal(int(found[3]))}"
    said = table.numbers.verse.format(chapter=words.cardinal(int(found[1])), verse=said)
    return UnspacedReading((Piece(said, at, found.end()),), found.end())


def _month_and_day(scan: Scan, at: int) -> re.Match[str] | None:
    """ "4/3(水)", "周二 11/5", "12/25まで"."""
    since = _SINCE.search(scan.before(at))
    found = _EVENT.match(scan.text, at) or (_MONTH_DAY.match(scan.text, at) if since else None)
    if found is not None:
        days = int(found[2]), int(since[1]) if since else 0, int((found.lastindex or 0) > 3 and found[4])
        if max(days) > _LAST_PART or int(found[1]) > int(found[2]):
            # "6/30前", "6/1-6/30"; "1/3前" is as often a fraction.
            return found
    return _loose_day(scan, at)


def _loose_day(scan: Scan, at: int) -> re.Match[str] | None:
    """ "3/14 11:42", "12/5 入金", "ETA 10/12"."""
    found, before = _LOOSE.match(scan.text, at), scan.before(at)
    if found is None or _ARRIVES.search(before):
        return found
    if _NO_DAY.search(before):
        return None
    timed = scan.text[found.end() : found.end() + 2].strip()[:1].isdecimal()
    scan.require(found.end() + (len(" 11:4") if timed else len(" 入")))
    if _HOUR.match(scan.text, found.end()):
        return found
    month, day = int(found[1]), int(found[2])
    if month > 1 and day >= _LEAST_DAY:
        scan.require(found.end() + _NEAR)
        if _OF_PARTS.search(scan.text, max(0, at - _NEAR), found.end() + _NEAR):
            return None
        if _GOES_ON.match(scan.text, found.end()) or _AFTER_DAY.search(before):
            return found
    whole = (month > day or day >= _LEAST_DAY) and not scan.word_behind(found.end())[0]
    ends = month > day > 1 and _ENDS.match(scan.text, found.end())
    return found if whole and (ends or _HAPPENS.match(scan.text, found.end())) else None


def _say_day(day: int, scan: Scan) -> str:
    first = day == 1 and isinstance(scan.table.words, JapaneseNumbers)
    return "ツイタチ" if first else _say_part(day, scan.table.moments.day, scan, "")


def weekday(scan: Scan, at: int) -> UnspacedReading | None:
    """The "(火)" of "12月3日(火)" and "12/3(火)"."""
    found, moments = _DAY_OF_WEEK.match(scan.text, at), scan.table.moments
    before = scan.before(at)[-1:]
    if found is None or not (before == moments.day or before.isdecimal()) or not moments.weekday_names:
        return None
    place = moments.weekdays.find(found[1])
    if place < 0:
        return None
    return UnspacedReading((Piece(moments.weekday_names[place], at, found.end()),), found.end())


def time(scan: Scan, at: int) -> UnspacedReading | None:
    """ "19:30", "9:05", "8:00", "7:30 PM", and the minutes and seconds of "5:39/km"."""
    table, moments = scan.table, scan.table.moments
    found = _TIME.match(scan.text, at)
    if (
        found is None
        or int(found[1]) > (29 if scan.table.ruby else 24)
        or int(found[2]) > 59
        or _COMPARED.search(scan.before(at))
    ):
        return None
    hour, minutes, seconds = int(found[1]), int(found[2]), int(found[3] or 0)
    if hour <= _MOST_PARTS:
        scan.require(found.end() + len("で割り"))
        if _MIXED.match(scan.text, found.end()):
            return None
    parts = [counted(hour, moments.hour, table)]
    if minutes or seconds:
        zero = moments.zero_minutes if 0 < minutes < 10 else ""
        parts.append(_say_part(minutes, moments.minute, scan, zero))
    if seconds:
        parts.append(_say_part(seconds, moments.second, scan, ""))
    half = moments.halves.get(f"{found[4].lower()}m", "") if found[4] else ""
    joined = " " if isinstance(table.words, JapaneseNumbers) else ""
    spoken = half + joined.join(part for part in parts if part)
    return UnspacedReading((Piece(spoken, at, found.end()),), found.end())


def _say_part(number: int, counter: str, scan: Scan, zero: str) -> str:
    if isinstance(scan.table.words, JapaneseNumbers):
        return counted(number, counter, scan.table)
    return zero + scan.table.words.cardinal(number) + counter


def ratio(scan: Scan, at: int) -> UnspacedReading | None:
    """The first number of "3:2", and the word between both."""
    found = _RATIO.match(scan.text, at)
    if found is None or len(found[1]) > 9:
        return None
    whole, _, decimals = found[1].partition(".")
    words = scan.table.words
    spoken = words.decimal(int(whole), decimals) if decimals else words.cardinal(int(whole))
    end = found.end()
    return UnspacedReading((Piece(spoken, at, end), Piece(scan.table.numbers.ratio, end, end + 1)), end + 1)
