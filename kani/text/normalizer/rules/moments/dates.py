"""Dates in digits, and years of other calendars."""

from __future__ import annotations

import re

from kani.text.normalizer.rules.abbreviations import follows_number_sign
from kani.text.normalizer.rules.acronyms import common_words, roman_value
from kani.text.normalizer.rules.moments.days import DAY, day_of_month, days_of_month, follows, say_day
from kani.text.normalizer.rules.numerals import DASHES
from kani.text.normalizer.rules.units import unit_end
from kani.text.normalizer.spoken import Piece, Verbalization
from kani.text.normalizer.tables.table import LanguageTable, OtherCalendar
from kani.text.normalizer.tokens import TokenCursor
from kani.text.writing import ends_sentence, is_day_before_noun

_ISO = re.compile(r"(\d{4})(?:([-/])(\d{1,2})\2(\d{1,2})|\.(\d{2})\.(\d{2}))")
_NUMERALS = re.compile(r"(\d{1,2})(?:er|º|ª|°)?([/.-])(\d{1,2})\2(\d{4}|\d{2})")
_CLOCK = re.compile(r"[0-2]?\d[:h][0-5]\d")
_DAY_MONTH = re.compile(r"(\d{1,2})(?:er|[ºª])?([/.-])(\d{1,2})")
_PADDED = re.compile(r"0[1-9]/\d\d|\d\d/0[1-9]")
_ROMAN_MONTH = re.compile(r"(\d{1,2})([/.-])([IVX]{1,4})(?:\2(\d{4}|\d{2}))?")
_NAMED = re.compile(rf"(\d{{1,2}})([{DASHES}/.])([^\W\d_]{{3,9}})\.?(?:[/.-](\d{{4}}|\d{{2}}))?")
_NAMED_YEAR = re.compile(rf"([^\W\d_]{{3,9}})\.?[{DASHES}/](\d{{4}}|\d{{1,2}})")
_FIRST = re.compile("º|er/")
_DAYS = re.compile(r"(?:[0-3]?\d[/–-]){1,4}[0-3]?\d")
_MONTH_YEAR = re.compile(r"(\d{1,2})/(\d{4})")
_EXPIRY = re.compile(r"(0?[1-9]|1[0-2])/(2\d|3\d)")
_EXPIRES = frozenset(
    """caducidad caduca cad vence validez scad scadenza scade échéance expire exp expires validade haltbar mhd
    hasta fino bis au até valid itv mot val venc vto vencimiento vencimento préf dluo dlc ddm best bef bb
    mfg fab antes entro geb ca ez erstzulassung bj miete gehalt lohn nk nebenkosten abschlag""".split()
)
_LAWS = frozenset(
    """ley leyes decreto orden resolución reglamento directiva sentencia law act regulation loi décret arrêté
    ordonnance directive règlement legge direttiva delibera lei portaria diretiva gesetz verordnung
    richtlinie""".split()
)
"""Words before a number and a year ("law 4/2023"), where they have no capital."""
_NUMBER = re.compile(r"\d+")
_CALENDAR_DATE = re.compile(r"\d{1,4}([/.-])\d{1,2}\1\d{1,4}")
_ERA = re.compile(r"(\d{1,4})(\D{0,6})")
_FROM, _UNTIL = frozenset("de del du dal da vom".split()), frozenset("a al au à até bis".split())
_ONWARD = frozenset("partir partire".split())
_FORMATS = frozenset(("16/9", "21/9", "24/7", "13/8"))
"""Screens and the like."""
_MONTHS, _LONGEST_MONTH = 12, 31
_USUAL_PARTS = frozenset((16,))
_BEFORE_RATIOS = frozenset("of is odds ratio are won lost beat a an equals times".split())
_DATED_NOUNS = frozenset(
    "email e-mail mtg meeting letter memo msg message game deadline invoice appt call show".split()
)
_LATEST_YEAR = 40
_FAR, _AHEAD, _AT = 30, 12, frozenset(("at", "@"))
_OF_BRITAIN = frozenset("nhs hmrc pcm vat gcse gcses mot dvla ofsted gp uk".split())
_DAY_FIRST, _LATE_CLOCK = (
    re.compile(r"(?:1[3-9]|2\d|3[01])/(?:0?[1-9]|1[0-2])(?:/\d+)?"),
    re.compile(r"1[3-9]:|2\d:"),
)
_OF_BEATS = frozenset((2, 4, 8, 16))
_PARTITIVE = frozenset("of de des du del della dei delle der von do da dos das".split())
_COMMON_FRACTIONS = frozenset(("1/2", "1/3", "2/3", "1/4", "3/4", "1/5", "1/10"))


def date(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """A date in digits, or the day beside a month's name."""
    token = cursor.token()
    core, calendar, end = _split_calendar(cursor, table)
    spoken = None
    if found := _ISO.fullmatch(core):
        day, month = int(found[4] or found[6]), int(found[3] or found[5])
        spoken = _date(day, month, found[1], cursor, table, calendar)
    elif table.ordinals_with_stop and (spaced := _spaced_date(cursor, table)) is not None:
        return spaced
    elif _DAYS.fullmatch(core) and (days := days_of_month(cursor, table)) is not None:
        return days
    elif (found := _NUMERALS.fullmatch(core)) and not (
        _is_version(found) and cursor.previous().core.lower() not in table.dates.after
    ):
        spoken = _date(*_in_order(found[1], found[3], cursor, table), found[4], cursor, table, calendar)
    elif (found := _ROMAN_MONTH.fullmatch(core)) and (month := roman_value(found[3]) or 0):
        # "3-V-2024", "antes del 3/XI"
        dated = (
            found[4]
            or len(found[3]) > 1 < len(found[1])
            or cursor.previous().core.lower() in table.dates.after
        )
        spoken = _date(int(found[1]), month, found[4] or "", cursor, table, calendar) if dated else None
    elif (found := _NAMED.fullmatch(core)) and (month := table.dates.months.get(found[3].lower(), 0)):
        before = cursor.previous()
        if before.core.lower() in table.dates.months and not before.suffix.strip(".") and found[2] != "/":
            # "Dec 24-Jan 2"
            spoken = (
                f"{say_day(int(found[1]), cursor, table)} {table.numbers.to} {table.dates.names[month - 1]}"
            )
            return Verbalization((Piece(spoken, token.core_start, end),), end)
        # "15-feb", "3/Mar/2024"
        spoken = _date(int(found[1]), month, found[4] or "", cursor, table, calendar)
    elif (found := _NAMED_YEAR.fullmatch(core)) and (month := table.dates.months.get(found[1].lower(), 0)):
        name, year = table.dates.names[month - 1], table.number_words.year(_full_year(found[2]))
        if table.dates.order == "mdy" and int(found[2]) <= _LONGEST_MONTH:
            # "Mar-10" is as often a day as "abr/24" is a year.
            year = table.number_words.cardinal(int(found[2]))
        spoken = table.dates.month_year.format(month=name, year=year)
        last = table.dates.months.get(cursor.token(1).core.lower()) if cursor.is_adjacent(1) else None
        if last and "/" not in core:
            # "24 dic-12 ene"
            spoken = f"{name} {table.numbers.to} {_date(int(found[2]), last, '', cursor, table, None)}"
            end = unit_end(cursor, 1, table)
        elif len(found[2]) == 1:
            return None
    elif found := _MONTH_YEAR.fullmatch(core):
        month = int(found[1])
        before = cursor.previous()
        law = before.core[:1].isupper() and cursor.previous(2).core != "" and not before.suffix
        law = law and before.core.lower() not in table.dates.after
        stopped = before.suffix == "." and f"{before.core}." in table.abbreviations
        # The Spanish "exp. 12/2025" is a file.
        expires = before.core.lower() in _EXPIRES and not (table.language == "es" and before.core == "exp")
        law = law or stopped or follows_number_sign(cursor, table)
        law = (law and not expires) or before.core in _LAWS
        if 1 <= month <= 12 and not law and 1100 <= int(found[2]) < 2100:
            name, year = table.dates.names[month - 1], table.number_words.year(int(found[2]))
            spoken = table.dates.month_year.format(month=name, year=year)
    elif (found := _EXPIRY.fullmatch(core)) and _expires(found, cursor, table):
        # "caduca 05/26"
        name, year = table.dates.names[int(found[1]) - 1], table.number_words.year(2000 + int(found[2]))
        spoken = table.dates.month_year.format(month=name, year=year)
    elif (found := _DAY_MONTH.fullmatch(core)) and _is_day_and_month(found[2], cursor, table):
        spoken = _date(*_in_order(found[1], found[3], cursor, table), "", cursor, table, None)
        stopped = found[2] == "." and token.suffix.startswith(".")
        end += stopped and (token.suffix != "." or not _ends_sentence(cursor))
    elif found := DAY.fullmatch(core):
        return day_of_month(cursor, table, token, int(found[1]), found[2] or "")
    if spoken is None:
        return None
    return Verbalization((Piece(spoken, token.core_start, end),), end)


def _expires(found: re.Match[str], cursor: TokenCursor, table: LanguageTable) -> bool:
    """True for the month and year of "05/26", and of "12/25" after a word for how long something is good.

    Where months are written first, "05/26" is a day of May without such a word.
    """
    near = {cursor.previous(back).core.lower().rpartition("'")[2] for back in (1, 2)}
    if found[1][0] == "0" and table.dates.order == "dmy":
        return not follows_number_sign(cursor, table)
    return not near.isdisjoint(_EXPIRES)


def _is_day_and_month(mark: str, cursor: TokenCursor, table: LanguageTable) -> bool:
    """True if just two numbers are a date: the token before shows it, or the stop of "3.10."."""
    previous = cursor.previous().core.lower()
    known = previous in table.dates.after
    if mark == "/":
        if known and previous not in table.dates.days and cursor.token().core in _COMMON_FRACTIONS:
            # "the 2/3 majority", "le 1/4 des crédits"
            following, after = cursor.token(1).core, cursor.token(2).core
            noun = (
                following.islower() and len(following) > 3 and following not in common_words(table.language)
            )
            # "em 1/2 h"
            unit = following in table.units and following not in table.agreement.not_nouns
            counted = noun or ((unit or following in _PARTITIVE) and not after[:1].isdecimal())
            return not (cursor.is_adjacent(1) and counted)
        # "14/03" is no fraction; in "Page 02/10" a count.
        token, before = cursor.token(), cursor.previous()
        counted = follows_number_sign(cursor, table) or (before.core[:1].isupper() and not before.suffix)
        # "30/9 a 4/10", "01/02 a 28/02", "7/11 को"
        behind = cursor.token(1).core if cursor.is_adjacent(1) else ""
        beside = (previous, cursor.previous(2).core), (behind, cursor.token(2).core)
        until = any(
            (word == "&" or (word.isalpha() and len(word) < 4)) and is_loose(other, table)
            for word, other in beside
        )
        # "de 3 a 7/8"
        since = cursor.previous(2).core
        opened = previous in _UNTIL and since.isdecimal() and cursor.previous(3).core.lower() in _FROM
        opened = opened and int(since) < int(token.core.split("/")[0])
        # "a partir de 1/9", "28/6 h 19.30"
        opened = opened or since in _ONWARD
        timed = behind in ("h", "ore", "alle", "às", "um") and cursor.token(2).core[:1].isdecimal()
        timed = timed and token.core not in _COMMON_FRACTIONS
        known = known or until or opened or timed or behind == "को" or previous.endswith("feira")
        known = known or _is_whole(token.core, cursor, table)
        padded = _PADDED.fullmatch(token.core) is not None and not counted
        part, whole = map(int, _NUMBER.findall(token.core))
        beside_figure = {before.core[-1:], behind[:1]} & {*"0123456789+=×÷*<>%"}
        headed = token.suffix == ":" and (
            before.end == 0 or ends_sentence(before.suffix) or not before.suffix
        )
        labelled = counted and not (headed and previous not in table.numbers.labels)
        if table.language == "en" and not labelled and not beside_figure and whole not in _OF_BEATS:
            # "thru 11/3", "11/5: vet", "my 3/5 email"; "7/4" is a measure of music.
            odd = (
                part > whole
                and not token.prefix.strip("(")
                and behind not in table.units
                and behind not in _PARTITIVE
            )
            odd = (
                odd
                and token.core not in _FORMATS
                and previous not in _BEFORE_RATIOS
                and not (behind.endswith("s") and len(behind) > 3)
            )
            known = known or odd or (headed and not counted and whole not in (5, 10))
        known = known or (behind in _DATED_NOUNS and not counted)
        return known or padded or _FIRST.search(token.core) is not None
    if mark == "-":
        # "del 22-12": a range does not fall, and the quarter of a game is followed by its name.
        first, last = map(int, _NUMBER.findall(cursor.token().core))
        following = cursor.token(1).core
        counted = following in table.units and following not in table.agreement.not_nouns
        dated = table.dates.order == "dmy" and last <= _MONTHS < first <= _LONGEST_MONTH
        return known and dated and not counted and following not in _PARTITIVE
    if mark != "." or not table.ordinals_with_stop:
        # "le 03.04"
        padded = _PADDED.fullmatch(cursor.token().core.replace(".", "/")) is not None
        measured = cursor.is_adjacent(1) and cursor.token(1).core in table.units
        return mark == "." and known and padded and not measured and table.dates.order == "dmy"
    following, month = cursor.token(1).core, int(cursor.token().core.partition(".")[2])
    timed = cursor.is_adjacent(1) and (following in table.times.marks or following in table.units)
    if timed or month > _MONTHS:
        # "ab 7.30 Uhr", "So., 9.30"
        return False
    close = cursor.token().suffix
    # "bis 30.6.", at a sentence's end too
    inside = close != "." or cursor.previous().core.islower() or cursor.token(1).core[:1].islower()
    padded = _PADDED.fullmatch(cursor.token().core.replace(".", "/")) is not None
    return known or (close.startswith(".") and (inside or padded))


def loose(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "30/5", "1/6-30/6", German "1.6.–30.6.": dates, as the figures are no usual fraction."""
    token = cursor.token()
    said: list[str | None] = []
    days = re.split(rf"[{DASHES}]|(?<=\.)/", token.core)
    stopped = bool(table.ordinals_with_stop) and len(days) > 1 and days[0].endswith(".")
    months = {day.split("/")[-int(table.dates.order == "dmy")] for day in days}
    ranged = len(days) == 2 > len(months) and "/" in days[0] and not _COMMON_FRACTIONS.issuperset(days)
    sure = stopped or ranged or any(is_loose(day, table) for day in days) or is_before_time(cursor)
    if len(days) > len(("1/6", "30/6")) or not sure:
        return None
    for day in days:
        part = _DAY_MONTH.fullmatch(day.removesuffix(".")) or _NUMERALS.fullmatch(day)
        year = part[4] if part and part.re is _NUMERALS else ""
        if stopped and day is days[0] and day[:-1].isdecimal() and DAY.fullmatch(day[:-1]):
            # "3.–5.5."
            said.append(say_day(int(day[:-1]), cursor, table))
            continue
        said.append(
            _date(*_in_order(part[1], part[3], cursor, table), year, cursor, table, None) if part else None
        )
    stop = stopped and token.suffix.startswith(".") and (token.suffix != "." or not _ends_sentence(cursor))
    end = token.core_end + stop
    # "24./25.12."
    joiner = table.signs.get("&", "") if "/" in token.core and stopped else table.numbers.to
    spoken = f" {joiner} ".join(filter(None, said))
    return Verbalization((Piece(spoken, token.core_start, end),), end) if all(said) else None


def _is_whole(written: str, cursor: TokenCursor, table: LanguageTable) -> bool:
    """True for "mail 12/2": a whole number such as 6 is written as a fraction only in calculations."""
    found = _DAY_MONTH.fullmatch(written)
    if found is None or found[2] != "/" or table.dates.order != "dmy" or not cursor.previous().core.islower():
        return False
    day, month = int(found[1]), int(found[3])
    plain = cursor.token(1).core[:1].isupper() or not cursor.is_adjacent(1)
    # "6/3" may be a set of tennis, and "12/2" after a short word a part of a list.
    games = day <= 8 or len(cursor.previous().core) <= 3
    return plain and not games and 1 < month < day <= _LONGEST_MONTH and day % month == 0


def is_before_time(cursor: TokenCursor) -> bool:
    """True for the "7/10" of "7/10 9:30" and "7/10 @ 9:30"."""
    core = cursor.token().core
    if "/" not in core or not _DAY_MONTH.fullmatch(core) or not cursor.is_adjacent(1):
        return False
    ahead = 1 + (cursor.token(1).core == "@")
    return cursor.is_adjacent(ahead) and _CLOCK.fullmatch(cursor.token(ahead).core) is not None


def is_loose(written: str, table: LanguageTable) -> bool:
    """True for figures that are a day and a month rather than a fraction."""
    if (found := _DAY_MONTH.fullmatch(written)) is None or found[2] != "/" or written in _FORMATS:
        return False
    first, last = int(found[1]), int(found[3])
    if _PADDED.fullmatch(written) and first and last:
        # "05/11", which no fraction is
        return min(first, last) <= _MONTHS and max(first, last) <= _LONGEST_MONTH
    if table.dates.order == "mdy" and first <= _MONTHS < last <= _LONGEST_MONTH:
        return last not in _USUAL_PARTS and first > 1
    return last <= _MONTHS < first <= _LONGEST_MONTH


def _ends_sentence(cursor: TokenCursor) -> bool:
    token, following = cursor.token(), cursor.token(1)
    if following.core and is_day_before_noun(token.text[: token.core_end + 1], following.core):
        return False
    return following.core == "" or (following.core[0].isupper() and not following.prefix.startswith("("))


def _spaced_date(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "3. 10. 2024"."""
    token = cursor.token()
    if not (token.core.isdecimal() and len(token.core) < 3 and token.suffix == "."):
        return None
    month = cursor.token(1)
    if not (month.core.isdecimal() and len(month.core) < 3 and month.suffix == "." and follows(cursor, 1)):
        return None
    year = cursor.token(2)
    with_year = len(year.core) == 4 and year.core.isdecimal() and follows(cursor, 2)
    spoken = _date(int(token.core), int(month.core), year.core if with_year else "", cursor, table, None)
    end = year.core_end if with_year else month.core_end + (year.core[:1].islower())
    return Verbalization((Piece(spoken, token.core_start, end),), end) if spoken is not None else None


def _is_version(numerals: re.Match[str]) -> bool:
    """True if it is as likely a version: "3.10.12" is no date, "03.10.12" and "3.10.2012" are."""
    return numerals[2] == "." and len(numerals[4]) == 2 and len(numerals[1]) + len(numerals[3]) < 4


def _in_order(first: str, second: str, cursor: TokenCursor, table: LanguageTable) -> tuple[int, int]:
    """Day and month."""
    day, month = int(first), int(second)
    if month > _MONTHS or (table.dates.order == "mdy" and day <= _MONTHS and not _is_british(cursor)):
        day, month = month, day
    return day, month


def _is_british(cursor: TokenCursor) -> bool:
    """True where an English date begins with the day: after pounds or "13/11", or before "@ 14:10"."""
    near = [cursor.previous(back).core for back in range(1, _FAR)]
    near += [token.core for token in map(cursor.token, range(1, _AHEAD)) if "/" in token.core]
    if any(
        core.startswith("£") or core.lower() in _OF_BRITAIN or _DAY_FIRST.fullmatch(core) for core in near
    ):
        return True
    return cursor.token(1).core in _AT and _LATE_CLOCK.match(cursor.token(2).core) is not None


def _date(
    day: int, month: int, year: str, cursor: TokenCursor, table: LanguageTable, calendar: OtherCalendar | None
) -> str | None:
    if not (1 <= day <= 31 and 1 <= month <= 12):
        return None
    dates = table.dates
    names = calendar.names if calendar is not None and calendar.names else dates.names
    name = names[month - 1]
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
        core = token.core.removesuffix(mark)
        if core == token.core and cursor.is_adjacent(1) and cursor.token(1).core == mark:
            end = cursor.token(1).core_end
        elif core != token.core:
            end = token.core_end
        else:
            continue
        if _CALENDAR_DATE.fullmatch(core):
            return core, calendar, end
    return token.core, None, token.core_end


def era(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "1445 هـ": a year, and its calendar."""
    token = cursor.token()
    match = _ERA.fullmatch(token.core) if table.dates.calendars else None
    if match is None:
        return None
    mark, end = match[2], token.core_end
    as_year = mark != "" and 1900 <= int(match[1]) < 2100
    if not mark and cursor.is_adjacent(1):
        mark, end = cursor.token(1).core, unit_end(cursor, 1, table)
    calendar = table.dates.calendars.get(mark)
    if calendar is None:
        return None
    if mark in table.units and not as_year and cursor.previous().core.lower() not in table.numbers.year_after:
        return None
    return Verbalization(
        (Piece(f"{table.number_words.year(int(match[1]))} {calendar.said}", token.core_start, end),), end
    )
