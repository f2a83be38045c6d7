"""Durations and how often: "1h30m", "90'", doses ("500 mg/8 h"), the pace of a run."""

import re

from kani_text.normalizer.kinds import Rows, matching
from kani_text.normalizer.rules import units
from kani_text.normalizer.rules.amounts import describes
from kani_text.normalizer.rules.moments.day_and_month import DATED
from kani_text.normalizer.rules.moments.times import half_after
from kani_text.normalizer.rules.numerals import DASHES, FEET, INCHES, Numeral, parse_numeral, say_group
from kani_text.normalizer.rules.trades import words_near
from kani_text.normalizer.spoken import Piece, Verbalization
from kani_text.normalizer.tables.table import LanguageTable, Unit
from kani_text.normalizer.tokens import Token, TokenCursor

_DURATION = re.compile(
    rf"(?:(?P<hours>\d{{1,3}})(?:h|hrs?|H))?(?:(?P<minutes>\d{{1,3}})(?:m|min|mn|mins|[{FEET}]))?"
    r"(?:(?P<seconds>\d{1,2})(?:s|sec|seg))?"
)
_PART_OF_DURATION = Rows("clock|hours @", "@ seconds", "@~ minutes_before")
"""Around minutes that might be metres: "1h 20m", "20m 30s", "5m left"."""
_HOUR_AND_MINUTES = re.compile(r"(?P<hours>[1-4])h(?P<rest>[0-5]\d)")
_WITH_PRIMES = re.compile(
    rf"(?:(?P<hours>\d{{1,2}})h)?(?:(?P<minutes>\d{{1,2}})(?:(?P<feet>[{FEET}])|mi?n))?"
    rf"(?P<seconds>\d{{1,2}})(?:(?P<mark>[{INCHES}s])(?P<rest>\d{{1,3}})?)?"
)
"""1'42"15, 3h45'30", 9"58, 2min30, 38s21"""
_WITH_COLONS = re.compile(
    r"(?:(?P<hours>0?0|\d):)?(?P<minutes>[0-5]?\d):"
    r"(?P<seconds>[0-5]\d(?P<mark>[.,](?!\d?00)\d{2,3}|(?:(?<=[2-9]:\d\d)|(?<=\d:\d\d:\d\d))[.,]\d)?)"
)
"""2:45:30 and 1:23.456, which are no times of day"""
_TIMED = (_WITH_COLONS, _HOUR_AND_MINUTES, _WITH_PRIMES)
_MINUTES = re.compile(r"(\d{1,2}):([0-5]\d)")
_MANY_MINUTES = range(25, 60)
_CLOCK, _OF_HOURS, _ZONE = Rows("time_after~ @", "@ hours"), Rows("@~ 'h'"), ("UTC", "GMT")
_HOUR, _MINUTE, _NAMED = Rows("@ hour_name"), Rows("@ minute_name"), Rows("@ hour_name|minute_name")
_RUN = Rows("distance~ 'in'~ @", "distance~ 'en'~ @", "distance~ 'em'~ @")
"""Before how long a run took: "5K in 18:38"."""
_PRIMES = re.compile(
    rf"(?P<sign>\+)?(?:(?P<low>\d{{1,3}})(?:(?P<both>[{FEET}{INCHES}])(?=[{DASHES}]\d+(?P=both)))?[{DASHES}])?"
    rf"(?P<number>\d{{1,4}}(?:[.,]\d{{1,3}})?)(?P<mark>[{FEET}{INCHES}])"
)
_FEET_AND_INCHES = re.compile(rf"(\d{{1,2}})[{FEET}](\d{{1,2}})([{INCHES}]?)")
_IN_INCHES = re.compile(rf"\d{{1,2}}[{INCHES}]")
_INCHES_OF_FOOT, _FEET_OF_PERSON = 12, frozenset("34567")
_LONGEST_QUOTATION, _NEAR = 40, 8


def duration(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "1h30m", the "20m" of "1h 20m" and of "20m 30s", "5m left": hours, minutes and seconds."""
    token = cursor.token()
    closed = "h" in token.core and token.suffix.startswith(tuple(FEET))
    match = _DURATION.fullmatch(token.core + FEET[0] * closed)
    if match is None:
        return None
    several = len(list(filter(None, match.groups()))) > 1
    if not several and not (match["minutes"] and _PART_OF_DURATION.hold(cursor, table)):
        return None
    return Verbalization(tuple(_parts(match, token.core_start, table)), token.core_end + closed)


@matching(r"c?/(?P<number>\d{1,2})(?P<h>hs?|H)?")
def every(match: re.Match[str], cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """The "/8 h" of a dose ("500 mg/8 h"), and "c/8h": how often."""
    token = cursor.token()
    if not table.times.every or not (match["h"] or _HOUR.hold(cursor, table)):
        return None
    end = token.core_end if match["h"] else units.unit_end(cursor, 1, table)
    spoken = " " + table.times.every.format(time=_say(match["number"], table.units["h"], table))
    return token.said(spoken, end)


def _fullmatch(pattern: re.Pattern[str], token: Token) -> re.Match[str] | None:
    """The match of a token, with the mark after its core or without."""
    return pattern.fullmatch(token.core + token.suffix[:1]) or pattern.fullmatch(token.core)


def _has_feet(table: LanguageTable) -> bool:
    """True if a single mark after a figure is a foot in the language, rather than a minute."""
    return FEET[0] in table.kinds.get("feet", ())


def prime(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "6' 2″" and "12″": feet and inches; "90'": a minute, but in English."""
    token = cursor.token()
    if _has_feet(table) and (tall := _fullmatch(_FEET_AND_INCHES, token)) and tall[3]:
        foot = table.units["ft"].forms
        first, last = (table.number_words.cardinal(int(one)) for one in tall.group(1, 2))
        end = token.core_start + tall.end()
        return token.said(f"{first} {units.singular(foot, table)} {last}", end)
    match = _fullmatch(_PRIMES, token)
    numeral = parse_numeral(match["number"], table) if match else None
    if match is None or numeral is None or token.prefix.strip("(") or _is_quoted(cursor, match["mark"]):
        return None
    symbol = _unit_of_prime(match["mark"], cursor, table)
    end = token.core_start + match.end()
    spoken = _of_match(numeral, cursor, table) if symbol == "min" else ""
    if not spoken:
        unit = table.units[symbol]
        one = units.singular(unit.forms, table)
        # "a 10″ sponge"
        forms = {"other": one} if describes(cursor, end, one, table) else unit.forms
        spoken = units.say_counted(numeral, forms, table, unit.gender)
    if match["sign"]:
        spoken = f"{table.numbers.plus} {spoken}"
    if match["low"]:
        spoken = f"{table.number_words.cardinal(int(match['low']))} {table.numbers.to} {spoken}"
    return token.said(spoken, end)


def _of_match(numeral: Numeral, cursor: TokenCursor, table: LanguageTable) -> str:
    """The minute of a match, where the language names it after an article: "el 90'"; else ""."""
    if numeral.decimals or not DATED.hold(cursor, table):
        return ""
    minute, words = int(numeral.digits), table.number_words
    ordinal = words.ordinal(minute, units.gender_of(units.singular(table.units["min"].forms, table), table))
    return table.times.prime.format(number=words.cardinal(minute), ordinal=ordinal)


def _unit_of_prime(mark: str, cursor: TokenCursor, table: LanguageTable) -> str:
    """The symbol of what a mark after a figure counts: "min", "s", "ft" or "in"."""
    if mark in INCHES:
        # "1'30" on, 30" off"
        before = map(cursor.previous, range(1, _NEAR + 1))
        found = (_FEET_AND_INCHES.fullmatch(one.core + one.suffix[:1]) for one in before)
        # More seconds than a foot has inches
        timed = any(one is not None and int(one[2]) >= _INCHES_OF_FOOT for one in found)
        # Among exercises, by the words before and the two after, 90″ are seconds.
        near = {word for trade in table.trades if "″" in trade.lines for word in trade.near}
        rest = timed or not near.isdisjoint(word.lower() for word in words_near(cursor, table, 2))
        return "s" if rest else "in"
    feet = _has_feet(table) and units.of_trade("'", cursor, table) is None
    # "5' 10\"", but "20', 45\""
    apart = len(cursor.token().suffix) > 1
    return "ft" if feet or (not apart and _fullmatch(_IN_INCHES, cursor.token(1))) else "min"


def _is_quoted(cursor: TokenCursor, mark: str) -> bool:
    """True if a quotation mark before is still open, so that one after figures closes it; "’" opens none."""
    if cursor.token().suffix.startswith("''"):
        # "1996''": two marks after a measure are spelled as one.
        return True
    left_open = 0
    for token in map(cursor.previous, range(_LONGEST_QUOTATION if mark in "\"'" else 0, 0, -1)):
        left_open = max(0, left_open + token.prefix.count(mark) - token.suffix.count(mark))
    return mark != "’" and left_open + cursor.token().prefix.count(mark) > 0


def elapsed(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "41:37", more minutes than a day has hours, "3:21 min", "5K in 18:38": minutes and seconds."""
    token = cursor.token()
    at, end = token.core_start, token.core_end
    if token.core[0] in "+~≈":
        return units.after_sign(elapsed, cursor, table)
    match = _MINUTES.fullmatch(token.core)
    if match is not None and _MINUTE.hold(cursor, table):
        # "3:21 min"
        number, _, rest = _say(str(int(match[1])), table.units["min"], table).partition(" ")
        more = table.number_words.cardinal(int(match[2]), table.times.minutes_gender)
        rest += _join(more, table) if int(match[2]) else ""
        middle, end = at + match.end(1), units.unit_end(cursor, 1, table)
        return Verbalization((Piece(number, at, middle), Piece(f" {rest}", middle, end)), end)
    if match is not None and (int(match[1]) in _MANY_MINUTES or _RUN.hold(cursor, table)):
        first = table.number_words.cardinal(int(match[1]))
        return token.parted(first, match.end(1), f" {say_group(match[2], table)}")
    return _timed(cursor, table)


def _timed(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "1'42\"15", "2:45:30", "1:23.456" and "1h20": how long it took, with the part of a second."""
    token = cursor.token()
    marked = token.suffix.startswith(tuple(FEET + INCHES))
    written = token.core + token.suffix[:1] * marked
    match = next(filter(None, (one.fullmatch(written) for one in _TIMED)), None)
    if match is None or token.prefix.strip("(") or _is_no_duration(match, cursor, table):
        return None
    end = token.core_start + match.end()
    if match.re is _WITH_COLONS and _NAMED.hold(cursor, table):
        # "2:45:30 h"
        end = units.unit_end(cursor, 1, table)
    return Verbalization(tuple(_parts(match, token.core_start, table)), end)


def _is_no_duration(match: re.Match[str], cursor: TokenCursor, table: LanguageTable) -> bool:
    """True for a time of day and for the height of a person."""
    if match.re is _WITH_COLONS:
        return not (match["hours"] or match["mark"]) or _is_of_day(cursor, table)
    if match.re is _HOUR_AND_MINUTES:
        # French 1h20 is said so at any time.
        return table.times.hours is not None or _CLOCK.hold(cursor, table)
    if not (match["minutes"] or (match["mark"] and match["rest"])) or _CLOCK.hold(cursor, table):
        return True
    height = _FEET_AND_INCHES.fullmatch(match.group()) if _has_feet(table) else None
    if height is None:
        return False
    return height[1] in _FEET_OF_PERSON if height[2][0] == "0" else int(height[2]) < _INCHES_OF_FOOT


def _is_of_day(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True if 2:45:30 is a time of day: first in the text, after a date, before "PM" or a time zone."""
    before = cursor.previous()
    if before.end == 0 or before.core[-1:].isdecimal() or half_after(cursor, table) is not None:
        return True
    if cursor.token(1).core.startswith(_ZONE):
        return True
    return _CLOCK.hold(cursor, table) and not _OF_HOURS.hold(cursor, table)


def _say(number: str, unit: Unit, table: LanguageTable) -> str:
    """A number of hours, minutes or seconds ("05", "30.5") with their name."""
    whole, _, decimals = number.replace(",", ".").partition(".")
    return units.say_counted(Numeral(str(int(whole)), decimals), unit.forms, table, unit.gender)


def _join(following: str, table: LanguageTable) -> str:
    """A part of a duration after another, joined as seconds are to a time where these are named, too."""
    template = table.times.seconds if table.times.minute else "{time} {seconds}"
    return template.format(time="", seconds=following)


def _parts(match: re.Match[str], at: int, table: LanguageTable) -> list[Piece]:
    """Hours, minutes and seconds with their names, and what rests as a number."""
    pieces: list[Piece] = []
    groups = match.groupdict()
    for group, symbol in (("hours", "h"), ("minutes", "min"), ("seconds", "s")):
        if not (number := groups.get(group)) or not float(number.replace(",", ".")):
            continue
        said = _say(number, table.units[symbol], table)
        start, end = at + match.start(group), at + match.end(group)
        pieces.append(Piece(_join(said, table) if pieces else said, start, end))
    if rest := groups.get("rest"):
        pieces.append(Piece(f" {say_group(rest, table)}", at + match.start("rest"), at + match.end("rest")))
    return pieces
