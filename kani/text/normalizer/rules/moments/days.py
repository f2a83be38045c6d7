"""The day and the year beside a month's name, and short names of months in full."""

from __future__ import annotations

import re

from kani.text.normalizer.rules.numerals import DASHES
from kani.text.normalizer.rules.ordinals import form
from kani.text.normalizer.spoken import Piece, Verbalization
from kani.text.normalizer.tables.table import LanguageTable
from kani.text.normalizer.tokens import Token, TokenCursor

DAY = re.compile(r"(\d{1,2})(\.?[^\W\d_]{1,2}|[ºª]|\.[ºª])?")
_NUMBER = re.compile(r"\d+")
_YEAR = re.compile(r"1(?:0[1-9]|[1-9]\d)\d|20\d\d")


def say_day(day: int, cursor: TokenCursor, table: LanguageTable) -> str:
    """The day of a month, as a cardinal or an ordinal."""
    if day == 1 and table.dates.first_day:
        return table.dates.first_day
    kind, _, asked = table.dates.day.partition(" ")
    if kind == "ordinal" and table.ordinals_with_stop:
        asked = form(cursor, table, "m")
    return table.number_words.ordinal(day, asked) if kind == "ordinal" else table.number_words.cardinal(day)


def day_of_month(
    cursor: TokenCursor, table: LanguageTable, token: Token, day: int, mark: str
) -> Verbalization | None:
    """A day before or after its month's name."""
    dates = table.dates
    if not 1 <= day <= 31 or (mark and mark not in table.ordinals):
        return None
    if token.prefix[-1:] in ("'", "’"):
        # "Sept. '23"
        return None
    piece = Piece(say_day(day, cursor, table), token.core_start, token.core_end)
    previous = cursor.previous()
    dash = cursor.token(1)
    apart = dash.end > dash.start and dash.text[dash.start : dash.end] in DASHES
    apart = apart or (dash.core in (table.numbers.to, table.signs.get("&")) and cursor.is_adjacent(1))
    if apart and cursor.token(2).core.isdecimal():
        # "12 – 14 June", "من 12 إلى 14 يونيو"
        dated = dates.day.startswith("ordinal") and cursor.token(3).core.lower() in dates.months
        said = dates.before_month.format(day=piece.text).removesuffix(" of").removesuffix(" من")
        end = token.core_end + (token.suffix == ".")
        return Verbalization((Piece(said, piece.start, piece.end),), end) if dated else None
    if dates.order == "mdy" and previous.core.lower() in dates.months and previous.suffix in ("", "."):
        return None if mark else Verbalization((piece,), token.core_end)
    stops = ("", ".") if table.ordinals_with_stop else ("",)
    if not dates.before_month or token.suffix not in stops or not follows(cursor, 1):
        return None
    joined = cursor.token(1).core.lower() in dates.joiners
    month = cursor.token(2 if joined else 1)
    name = month.core.lower()
    if (name not in dates.months and name not in dates.other_months) or (joined and not follows(cursor, 2)):
        return None
    text = piece.text if joined else dates.before_month.format(day=piece.text)
    if previous.core.lower() == text.split(" ")[0]:
        text = text.partition(" ")[2]
    return Verbalization((Piece(text, piece.start, piece.end),), token.core_end + (token.suffix == "."))


def year_of_date(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """The year of "3 abr. 2024", with the word that the language has before it."""
    token, month = cursor.token(), cursor.previous()
    between = table.dates.date.partition("{month}")[2].lstrip()
    if not between[:1].isalpha() or not _YEAR.fullmatch(token.core) or token.prefix:
        return None
    if month.core.lower() not in table.dates.months or month.suffix not in ("", "."):
        return None
    day = cursor.previous(3 if cursor.previous(2).core.lower() in table.dates.joiners else 2)
    if not DAY.fullmatch(day.core):
        return None
    said = between.format(year=table.number_words.year(int(token.core)))
    return Verbalization((Piece(said, token.core_start, token.core_end),), token.core_end)


def days_of_month(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "17/18" and "17-18-19" before a month's name; "17-18" by itself is a range."""
    token = cursor.token()
    found = list(_NUMBER.finditer(token.core))
    joined = cursor.is_adjacent(1) and cursor.token(1).core.lower() in table.dates.joiners
    ahead = 2 if joined else 1
    before = cursor.previous()
    first = (
        table.dates.order == "mdy"
        and before.core.lower() in table.dates.months
        and before.suffix in ("", ".")
    )
    if not first and (
        not cursor.is_adjacent(ahead) or cursor.token(ahead).core.lower() not in table.dates.months
    ):
        return None
    ranged = len(found) == 2 and "/" not in token.core
    if (ranged and (table.ordinals_with_stop or not table.dates.day.startswith("ordinal"))) or not all(
        1 <= int(day.group()) <= 31 for day in found
    ):
        return None
    pieces = []
    for day in found:
        start, end = token.core_start + day.start(), token.core_start + day.end()
        spoken = say_day(int(day.group()), cursor, table)
        if ranged:
            # "3-5 May": "the third to the fifth of May"
            whole = spoken if first else table.dates.before_month.format(day=spoken)
            spoken = whole if end == token.core_end else f"{whole.removesuffix(' of')} {table.numbers.to}"
            pieces.append(Piece(spoken if end == token.core_end else f"{spoken} ", start, end))
        else:
            pieces.append(Piece(spoken if end == token.core_end else f"{spoken}, ", start, end))
    return Verbalization(tuple(pieces), token.core_end)


def follows(cursor: TokenCursor, ahead: int) -> bool:
    """True if the token ``ahead`` has no marks before it and no lexicon entry."""
    token = cursor.token(ahead)
    return token.core != "" and token.start == token.core_start and token.entry is None


def month(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """A month's abbreviated name beside a day or a year, in full."""
    token = cursor.token()
    number = table.dates.months[token.core.lower()]
    name = table.dates.names[number - 1]
    of_tennis = token.core.lower() == "set" and not token.suffix.startswith(".")
    if token.core.lower() == name.lower() or (of_tennis and not _YEAR.fullmatch(cursor.token(1).core)):
        return None
    # "NE 5 a 6, mar de fondo": after a mark another phrase begins.
    before = cursor.previous()
    joined = before.suffix == "" or (before.suffix == "." and bool(table.ordinals_with_stop))
    beside = joined and (
        (before.core[:1].isdigit() and before.core[-1].isalnum())
        or (before.core.lower() in table.dates.joiners and cursor.previous(2).core[:1].isdigit())
    )
    if not beside:
        beside = token.suffix in ("", ".") and cursor.token(1).core[:1].isdigit()
    if not beside:
        return None
    stop = token.suffix.startswith(".") and (len(token.suffix) > 1 or not _ends_phrase(cursor))
    return Verbalization((Piece(name, token.core_start, token.core_end),), token.core_end + stop)


def _ends_phrase(cursor: TokenCursor) -> bool:
    following = cursor.token(1)
    return following.end == following.start or following.core[:1].isupper()
