"""Durations and how often: "1h30m", "90'", doses ("500 mg/8 h"), the pace of a run."""

from __future__ import annotations

import re

from kani.text.normalizer.rules.before_nouns import describes
from kani.text.normalizer.rules.moments.dotted_times import half_behind
from kani.text.normalizer.rules.numerals import DASHES, Numeral, parse_numeral, say_digits
from kani.text.normalizer.rules.ordinals import form
from kani.text.normalizer.rules.trades import words_near
from kani.text.normalizer.rules.units import gender_of_forms, of_trade, say_counted, unit_end
from kani.text.normalizer.spoken import Piece, Verbalization
from kani.text.normalizer.tables.table import LanguageTable
from kani.text.normalizer.tokens import TokenCursor

_DURATION = re.compile(
    r"(?:(?P<hours>\d{1,3})(?:h|hrs?|H))?(?:(?P<minutes>\d{1,3})(?:m|min|mn|mins|['’′]))?"
    r"(?:(?P<seconds>\d{1,2})(?:s|sec|seg))?"
)
_TIMED = (
    # 1h20
    re.compile(r"(?P<hours>[1-4])h(?P<rest>[0-5]\d)(?P<minutes>)(?P<seconds>)(?P<mark>)"),
    # 1'42"15, 3h45'30", 9"58, 2min30, 38s21
    re.compile(
        r"(?:(?P<hours>\d{1,2})h)?(?:(?P<minutes>\d{1,2})(?:['’′]|mi?n))?"
        r"(?:(?P<seconds>\d{1,2})(?:(?P<mark>[\"”″s])(?P<rest>\d{1,3})?)?)?"
    ),
    # 2:45:30 and 1:23.456, which are no times of day
    re.compile(
        r"(?:(?P<hours>0?0|\d):)?(?P<minutes>[0-5]?\d):(?P<seconds>[0-5]\d(?P<mark>[.,](?!\d?00)\d{2,3}|(?:(?<=[2-9]:\d\d)|(?<=\d:\d\d:\d\d))[.,]\d)?)(?P<rest>)"
    ),
)
_JOINERS = {"ar": " و"}
_HOURS, _SECONDS = re.compile(r"\d{1,3}(?:h|hrs?|H)"), re.compile(r"\d{1,2}(?:s|sec|seg)")
HOUR_MARKS = frozenset(("h", "hs", "hrs", "hr", "H", "Std", "horas", "hours", "heures", "ore", "Stunden"))
_EVERY = re.compile(r"(?P<what>c?)/(?P<number>\d{1,2})(?P<h>hs?|H)?")
_OFTEN_EACH = re.compile(r"[qQ](\d{1,2})(?:[-–](\d{1,2}))?[hH]")
_MINUTES = re.compile(r"(\d{1,2}):([0-5]\d)")
_PACED = re.compile(rf"{_MINUTES.pattern}(?P<unit>min\.?)?/(?P<per>km|mi|k)")
_DISTANCE, _IN = re.compile(r"(?:\d+-?)?[Kk]m?"), frozenset(("en", "in", "em"))
"""What is run, and the word before how long it took: "5K in 18:38"."""
_PACE = re.compile(r"(?P<minutes>\d{1,2})['’′](?P<seconds>[0-5]\d)[\"”″]?/(?P<per>\w{1,3})")
_AGAIN = re.compile(r"(\d{1,2})/(\d{1,2})(hs?)?")
_FEET, _INCHES = "'’′", '"”″'
_PRIMES = re.compile(
    rf"(?P<sign>\+)?(?:(?P<low>\d{{1,3}})(?:(?P<both>[{_FEET}{_INCHES}])(?=[{DASHES}]\d+(?P=both)))?[{DASHES}])?(?P<number>\d{{1,4}}(?:[.,]\d{{1,3}})?)(?P<mark>[{_FEET}{_INCHES}])"
)
_IN_INCHES = re.compile(rf"\d{{1,2}}(?:[{_INCHES}]|['’]{{2}})")
_FEET_AND_INCHES = re.compile(rf"(\d{{1,2}})[{_FEET}](\d{{1,2}})(?:[{_INCHES}]|['’]{{2}})")
_LONGEST_QUOTATION = 40
_DOUBLED = ("''", "’’", "′′")
_MINUTE = re.compile(rf"\d{{1,3}}[{_FEET}]")
_MINUTES_SECONDS = re.compile(rf"\d{{1,2}}[{_FEET}](\d\d)[{_INCHES}]?")
_SECOND = re.compile(rf"(?:\d{{1,2}}h)?(?:\d{{1,2}}[{_FEET}])?\d{{1,2}}[{_FEET}{_INCHES}]")
_LAST_INCH, _FEET_OF_PEOPLE = 11, tuple("34567")
_FEW_INCHES = re.compile(r"[1-9]|1[01]")
_LATER = frozenset(("a", "à", "+"))
_NEAR = 8
_SOME_DAYS = re.compile(r"\d{1,3}(?:d|j|gg|h|sem)")
_ADDED = re.compile(r"(\d{1,3})(['’′.])?\+(\d{1,2})(['’′])?")
_CONTROL = re.compile(rf"(\d{{1,3}})[{_FEET}]\+(\d{{1,2}})(?:[{_INCHES}]|[{_FEET}]{{2}})")
_OFTEN = re.compile(r"(?P<number>\d{1,2})/(?P<per>[^\W\d_]{1,6})")
ABOUT = frozenset("~≈")
_DAYS = frozenset(
    """days weeks months hours día días semanas meses horas jours semaines mois heures giorni settimane mesi
    ore dias Tage Wochen Monate Stunden tage wochen monate stunden दिन हफ़्ते हफ्ते महीने घंटे""".split()
)


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
        part_of = part_of or before.core in HOUR_MARKS or _SECONDS.fullmatch(after.core) is not None
        if not minutes or not (part_of or after.core.lower() in table.times.minutes_before):
            return None
    elif hours and not minutes and not seconds:
        return None
    pieces = _parts(match, token.core_start, table)
    return Verbalization(tuple(pieces), token.core_end + (closed and "h" in token.core)) if pieces else None


def every(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """The "/8 h" of a dose ("500 mg/8 h"), and "c/8h": how often."""
    token = cursor.token()
    if (again := _AGAIN.fullmatch(token.core)) and again[1] == again[2] and table.times.again:
        end = token.core_end if again[3] else unit_end(cursor, 1, table)
        if again[3] or _is_hour(cursor, 1):
            number = table.number_words.cardinal(int(again[1]), table.times.gender)
            said = table.times.again.format(number=number)
            said = said.removeprefix(f"{cursor.previous().core} ")
            return Verbalization((Piece(said, token.core_start, end),), end)
    if table.language == "en" and (often := _OFTEN_EACH.fullmatch(token.core)) is not None:
        # "q4-6h"
        hours = table.number_words.cardinal(int(often[1]))
        more = f" {table.numbers.to} {table.number_words.cardinal(int(often[2]))}" if often[2] else ""
        said = table.times.every.format(time=f"{hours}{more} hours")
        return Verbalization((Piece(said, token.core_start, token.core_end),), token.core_end)
    match = _EVERY.fullmatch(token.core)
    if match is None or not table.times.every or (match["what"] and not (match["h"] or _is_hour(cursor, 1))):
        return None
    end = token.core_end
    if not match["h"]:
        if not _is_hour(cursor, 1):
            return None
        end = unit_end(cursor, 1, table)
    unit = table.units["h"]
    gender = unit.gender or gender_of_forms(unit.forms, table)
    time_said = say_counted(Numeral(match["number"], ""), unit.forms, gender, table)
    apart = "" if token.text[token.core_start - 1 : token.core_start].isspace() else " "
    spoken = apart + table.times.every.format(time=time_said)
    return Verbalization((Piece(spoken, token.core_start, end),), end)


def during(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """The "x" of a dose: "x 7 days" is how long, "x 3/day" how often."""
    token = cursor.token()
    if token.core not in ("x", "×") or not cursor.is_adjacent(1) or cursor.previous().core[-1:].isdecimal():
        return None
    number = cursor.token(1)
    often = _OFTEN.fullmatch(number.core)
    times_said = table.units.get("x")
    if often is not None and often["per"] in table.units and times_said is not None:
        under = table.units[often["per"]].forms
        gender = gender_of_forms(times_said.forms, table)
        said = say_counted(Numeral(often["number"], ""), times_said.forms, gender, table)
        spoken = f"{said} {table.per} {under.get('one', under['other'])}"
        return Verbalization((Piece(spoken, token.core_start, number.core_end),), number.core_end)
    if _SOME_DAYS.fullmatch(number.core) and table.times.during:
        # "x 5d"
        spoken = table.times.during.partition(" {")[0]
        return Verbalization((Piece(spoken, token.core_start, token.core_end),), token.core_end)
    if not number.core.isdecimal() or number.suffix or not table.times.during:
        return None
    unit = cursor.token(2).core
    if of_trade(unit, cursor, table) or cursor.token(3).core == "=":
        # "22 p. x 30 h.", of a knitter; "7 days × 24 h = 168 h"
        return None
    known = table.units.get(unit) or table.units.get(unit.removesuffix("s"))
    days = [
        table.units[symbol].forms for symbol in ("h", "min", "d", "day", "j", "gg") if symbol in table.units
    ]
    if unit.lower() not in _DAYS and (known is None or known.forms not in days):
        return None
    spoken = table.times.during.partition(" {")[0]
    return Verbalization((Piece(spoken, token.core_start, token.core_end),), token.core_end)


def _is_hour(cursor: TokenCursor, ahead: int) -> bool:
    return cursor.is_adjacent(ahead) and cursor.token(ahead).core in HOUR_MARKS


def added(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "90'+4'", "90+3'", "90.+3": a minute of a match, and those added to it."""
    token = cursor.token()
    if control := _CONTROL.fullmatch(token.text[token.core_start : token.end].rstrip(",;.)")):
        # 15'+10'', of chess
        parts = [
            say_counted(Numeral(figures, ""), table.units[unit].forms, "", table)
            for figures, unit in zip(control.groups(), ("min", "s"), strict=True)
        ]
        end = token.core_start + control.end()
        return Verbalization((Piece(f" {table.numbers.plus} ".join(parts), token.core_start, end),), end)
    match = _ADDED.fullmatch(token.core + token.suffix[:1]) or _ADDED.fullmatch(token.core)
    if match is None or not any(match.group(2, 4)) or (match[2] == "." and not table.ordinals_with_stop):
        return None
    words = table.number_words
    asked = form(cursor, table, "f") if match[2] == "." else ""
    first = words.ordinal(int(match[1]), asked) if asked else words.cardinal(int(match[1]))
    at = token.core_start + match.end(1)
    end = token.core_start + match.end()
    last = f" {table.numbers.plus} {words.cardinal(int(match[3]))}"
    return Verbalization((Piece(first, token.core_start, at), Piece(last, at, end)), end)


def prime(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "6' 2″" and "12″": feet and inches; "90'": a minute, but in English."""
    token = cursor.token()
    # Two single marks are a double one.
    doubled = token.suffix[:2] in _DOUBLED and not token.core.endswith(tuple(_FEET))
    match = _PRIMES.fullmatch(token.core + (_INCHES[0] if doubled else token.suffix[:1]))
    match = match or _PRIMES.fullmatch(token.core)
    if (tall := _FEET_AND_INCHES.fullmatch(token.core + token.suffix[:1])) and table.language in ("en", "hi"):
        foot = "foot" if table.language == "en" else table.units["ft"].forms["other"]
        said = f" {foot} ".join(table.number_words.cardinal(int(one)) for one in tall.groups())
        end = token.core_start + tall.end()
        return Verbalization((Piece(said, token.core_start, end),), end)
    if match is None or token.prefix.strip("("):
        return None
    number, mark = match["number"], match["mark"]
    numeral = parse_numeral(number, table)
    inches = mark in _INCHES
    if numeral is None or (mark in "\"'’" and _is_quoted(cursor, mark)):
        return None
    behind = cursor.token(1)
    short = behind.suffix[:2] in _DOUBLED and _FEW_INCHES.fullmatch(behind.core)
    timed = mark in _FEET and of_trade("'", cursor, table) is not None
    feet = (
        (table.language in ("en", "hi") and not timed)
        or short
        or _IN_INCHES.fullmatch(behind.core + behind.suffix[:1])
    )
    end = token.core_end + (len(match.group()) > len(token.core)) + doubled
    english = table.language == "en"
    timed = inches and _is_timed(cursor, doubled and not english, _LATER - {"a"} if english else _LATER)
    if timed or (inches and _is_rest(cursor, table)):
        unit = table.units["s"]
    elif mark in _FEET and not feet:
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
    forms = unit.forms
    if "one" in forms and describes(cursor, end, forms["one"], table):
        # "a 10″ sponge"
        forms = {"other": forms["one"]}
    spoken = say_counted(numeral, forms, gender, table)
    if match["sign"]:
        spoken = f"{table.numbers.plus} {spoken}"
    if match["low"]:
        spoken = f"{table.number_words.cardinal(int(match['low']))} {table.numbers.to} {spoken}"
    return Verbalization((Piece(spoken, token.core_start, end),), end)


def _is_timed(cursor: TokenCursor, doubled: bool, later: frozenset[str]) -> bool:
    """True for the seconds of "4h 12' 35″" and "a 14″"; doubled: after minutes too, as no inches are."""
    near = [one.core + one.suffix[:1] for one in map(cursor.previous, range(1, _NEAR + 1))]
    minutes = doubled and _MINUTE.fullmatch(near[0]) and not _FEW_INCHES.fullmatch(cursor.token().core)
    # How much later somebody arrived, after another time
    gap = near[0] in later and any(map(_SECOND.fullmatch, near))
    # "1'30" on, 30" off"
    longer = any((one := _MINUTES_SECONDS.fullmatch(core)) and int(one[1]) > _LAST_INCH for core in near)
    return bool(minutes or gap or longer or any(map(_HOURS.fullmatch, near[:2])))


def _is_rest(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True among exercises, where 90″ are seconds: by the words before and the two after."""
    near = {word for trade in table.trades if "″" in trade.lines for word in trade.near}
    return not near.isdisjoint(word.lower() for word in words_near(cursor, table, 2))


def _is_quoted(cursor: TokenCursor, mark: str) -> bool:
    """True if a quotation mark before is still open, so that one after figures closes it; "’" opens none."""
    before = [cursor.previous(back) for back in range(_LONGEST_QUOTATION, 0, -1)]
    left_open = 0
    for token in before:
        left_open = max(0, left_open + token.prefix.count(mark) - token.suffix.count(mark))
    return mark != "’" and left_open + cursor.token().prefix.count(mark) > 0


def elapsed(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "41:37", more minutes than a day has hours, and the pace of 5'20": minutes and seconds."""
    token = cursor.token()
    at, end = token.core_start, token.core_end
    if (token.core[0] == "+" and "'" in token.core) or token.core[0] in ABOUT:
        # "+3'10", after the first; "~1h30"
        with cursor.without_prefix(1):
            gap = elapsed(cursor, table)
        sign = Piece(f"{table.numbers.plus if token.core[0] == '+' else table.numbers.about} ", at, at + 1)
        return Verbalization((sign, *gap.pieces), gap.end) if gap else None
    match = _MINUTES.fullmatch(token.core)
    if match is not None and _names_minutes(cursor, table):
        minutes, seconds = map(int, match.groups())
        unit = table.units["min"]
        gender = unit.gender or gender_of_forms(unit.forms, table)
        said = say_counted(Numeral(str(minutes), ""), unit.forms, gender, table)
        more = table.number_words.cardinal(seconds, table.times.minutes_gender)
        said += _JOINERS.get(table.language, " ") + more if seconds else ""
        end, (number, _, rest) = unit_end(cursor, 1, table), said.partition(" ")
        parts = (Piece(number, at, at + match.end(1)), Piece(f" {rest}", at + match.end(1), end))
        return Verbalization(parts if rest else parts[:1], end)
    if match is not None and (
        24 < int(match[1]) < 60
        or (_DISTANCE.fullmatch(cursor.previous(2).core) and cursor.previous().core in _IN)
    ):
        words = table.number_words
        first = Piece(words.cardinal(int(match[1])), at, at + match.end(1))
        rest = say_digits(match[2], table) if match[2][0] == "0" else words.cardinal(int(match[2]))
        return Verbalization((first, Piece(f" {rest}", at + match.end(1), end)), end)
    if (pace := _pace(cursor, table)) is not None:
        return pace
    if (match := _PACE.fullmatch(token.core)) is None:
        return _timed(cursor, table)
    pieces = _parts(match, at, table)
    if (under := table.units.get(match["per"])) is not None:
        one = under.forms.get("one", under.forms["other"])
        pieces.append(Piece(f" {table.per} {one}", at + match.start("per"), end))
    return Verbalization(tuple(pieces), end)


def _names_minutes(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True before minutes, as a unit or in full: "3:21 min"."""
    name = cursor.token(1).core if cursor.is_adjacent(1) else ""
    return name in ("min", "Min", "mn") or (name != "" and name in table.units["min"].forms.values())


def _timed(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "1'42\"15", "2:45:30", "1:23.456" and "1h20": how long it took, with the part of a second."""
    token, before, behind = cursor.token(), cursor.previous(), cursor.token(1)
    written = token.core + (token.suffix[:1] if token.suffix.startswith(tuple(_FEET + _INCHES)) else "")
    match = next(filter(None, (one.fullmatch(written) for one in _TIMED)), None)
    if match is None or token.prefix.strip("(") or "s" not in table.units:
        return None
    clock = before.core in table.times.after or (cursor.is_adjacent(1) and behind.core in table.times.marks)
    if match.re is _TIMED[1]:
        # English 5'10" is a height, 1'07" is none.
        short = match["seconds"] and int(match["seconds"]) <= _LAST_INCH and not match["rest"]
        short = short and (match["seconds"][0] != "0" or (match["minutes"] or "") in _FEET_OF_PEOPLE)
        feet = table.language in ("en", "hi") and short and not match["hours"] and "min" not in written
        if not match["seconds"] or not (match["minutes"] or (match["mark"] and match["rest"])) or feet:
            return None
    elif match.re is _TIMED[2]:
        clock = (clock and behind.core != "h") or behind.core.startswith(("UTC", "GMT"))
        dated = before.end == 0 or before.core[-1:].isdecimal() or half_behind(cursor, table) is not None
        if not (match["hours"] or match["mark"]) or dated:
            return None
    elif table.times.hours and table.times.hours.get("one") == table.units["h"].forms.get("one"):
        return None
    end = token.core_start + match.end()
    unit = table.units.get(behind.core) if match.re is _TIMED[2] and cursor.is_adjacent(1) else None
    named = unit is not None and unit.forms in [table.units[one].forms for one in ("h", "min", "s")]
    named = named or (match.re is _TIMED[2] and cursor.is_adjacent(1) and behind.core in HOUR_MARKS)
    if named or (match.re is _TIMED[2] and _names_minutes(cursor, table)):
        end = unit_end(cursor, 1, table)
    return None if clock else Verbalization(tuple(_parts(match, token.core_start, table)), end)


def _parts(match: re.Match[str], at: int, table: LanguageTable) -> list[Piece]:
    """Hours, minutes and seconds with their names, and what rests as a number."""
    pieces: list[Piece] = []
    groups = match.groupdict()
    for group, symbol in (("hours", "h"), ("minutes", "min"), ("seconds", "s")):
        whole, _, decimals = (groups.get(group) or "0").replace(",", ".").partition(".")
        if (unit := table.units.get(symbol)) is None or not (int(whole) or decimals):
            continue
        gender = unit.gender or gender_of_forms(unit.forms, table)
        said = say_counted(Numeral(str(int(whole)), decimals), unit.forms, gender, table)
        pieces.append(
            Piece(
                _JOINERS.get(table.language, " ") + said if pieces else said,
                at + match.start(group),
                at + match.end(group),
            )
        )
    if rest := groups.get("rest"):
        number = say_digits(rest, table) if rest[0] == "0" else table.number_words.cardinal(int(rest))
        pieces.append(Piece(f" {number}", at + match.start("rest"), at + match.end("rest")))
    return pieces


def _pace(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "5:12/km", "5:12 min/km": minutes and seconds, and what they are run in."""
    token = cursor.token()
    behind = int(_MINUTES.fullmatch(token.core) is not None and cursor.is_adjacent(1))
    match = _PACED.fullmatch(token.core + cursor.token(1).core if behind else token.core)
    if match is None or (unit := table.units.get(match["per"])) is None:
        return None
    words, at, end = table.number_words, token.core_start, cursor.token(behind).core_end
    counted = f" {table.units['min'].forms['other']}" if match["unit"] else ""
    one = unit.forms.get("one", unit.forms["other"])
    first = Piece(words.cardinal(int(match[1])), at, at + match.end(1))
    said = f" {words.cardinal(int(match[2]))}{counted} {table.per} {one}"
    return Verbalization((first, Piece(said, at + match.end(1), end)), end)
