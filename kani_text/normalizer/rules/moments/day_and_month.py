"""Two figures: a day and its month, or a fraction ("14/3", "3.10.", "22-12")."""

import re
from collections.abc import Callable, Mapping

from kani_text.normalizer.kinds import Rows, is_kind
from kani_text.normalizer.rules.numerals import follows_number_sign
from kani_text.normalizer.tables.table import LanguageTable
from kani_text.normalizer.tokens import NO_TOKEN, TokenCursor

DAY_MONTH = re.compile(r"(\d{1,2})(?:er|[ºª])?([/.-])(\d{1,2})")
MONTHS, LONGEST_MONTH = 12, 31
COMMON_FRACTIONS = frozenset(("1/2", "1/3", "2/3", "1/4", "3/4", "1/5", "1/10"))
DATED = Rows("dated_after~ @")
"""After a word that dates follow."""

_PADDED = re.compile(r"0[1-9][/.]\d\d|\d\d[/.]0[1-9]")
_FIRST = re.compile("º|er/")
_CLOCK = re.compile(r"[0-2]?\d[:h][0-5]\d")
_SIGN = re.compile(r"[\d+=×÷*<>%]")
_SCREENS = frozenset(("16/9", "21/9", "24/7", "13/8"))
"""Ratios of screens, and "24/7"."""
_BEATS, _SIXTEENTHS = frozenset((2, 4, 8, 16)), 16
_MOST_GAMES, _LONGEST_PREPOSITION = 8, 3

_WEEKDAY = Rows("weekday~ @")
_PART = Rows("@ partitive|unit")
_MEASURED = Rows("@ unit")
_RATIO = Rows("before_ratio~ @", "@ unit")
_HOUR = Rows("@ hours")
_AFTER_CAPITAL = Rows("capital @")
_BESIDE = Rows(
    # "de 3 a 7/8", "a partir de 1/9", "28/6 h 19.30", "7/11 को"
    "joiner|short_word number to|until @", "onward short_word @", "@ hours|time_after figure", "@ dated_by",
)  # fmt: skip


def _is_slashed(first: int, last: int, cursor: TokenCursor, table: LanguageTable) -> bool:
    """True if the words around "14/03" show that it is no fraction."""
    written, dated = cursor.token().core, DATED.hold(cursor, table)
    common = written in COMMON_FRACTIONS
    if dated and common and not _WEEKDAY.hold(cursor, table):
        return not _is_part(cursor, table)
    if dated or _FIRST.search(written) or (_BESIDE.hold(cursor, table) and not common):
        return True
    if _is_one_of_two(cursor, table) or _is_whole(first, last, cursor, table):
        return True
    if follows_number_sign(cursor, table) or _AFTER_CAPITAL.hold(cursor, table):
        # "Page 02/10"
        return False
    return _PADDED.fullmatch(written) is not None or _is_odd(first, last, cursor, table)


def _is_part(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True for a fraction of what follows: "the 2/3 majority", "le 1/4 des crédits", "em 1/2 h"."""
    following = cursor.token(1).core
    noun = following.islower() and len(following) > 3 and following not in table.common_words
    return cursor.is_adjacent(1) and (noun or _PART.hold(cursor, table))


def _is_one_of_two(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True beside another date: "30/9 a 4/10", "01/02 & 28/02"."""
    following = cursor.token(2) if cursor.is_adjacent(1) else NO_TOKEN
    sides = (cursor.previous(), cursor.previous(2)), (cursor.token(1), following)
    return any(
        (joiner.core == "&" or (joiner.core.isalpha() and len(joiner.core) <= _LONGEST_PREPOSITION))
        and is_loose(other.core, table)
        for joiner, other in sides
    )


def _is_whole(day: int, month: int, cursor: TokenCursor, table: LanguageTable) -> bool:
    """True for "mail 12/2": a whole number such as 6 is written as a fraction only in calculations."""
    before = cursor.previous().core
    if table.dates.order != "dmy" or not before.islower() or cursor.token(1).core[:1].islower():
        return False
    # "6/3" may be a set of tennis, and "12/2" after a short word a part of a list.
    games = day <= _MOST_GAMES or len(before) <= _LONGEST_PREPOSITION
    return not games and 1 < month < day <= LONGEST_MONTH and day % month == 0


def _is_odd(first: int, last: int, cursor: TokenCursor, table: LanguageTable) -> bool:
    """True for what is no usual fraction: "thru 11/3", "my 3/5 email"; "7/4" is a measure of music."""
    if is_kind(cursor.token(1), "dated_noun", table):
        return True
    following = cursor.adjacent().core[:1]
    if _SIGN.fullmatch(cursor.previous().core[-1:]) or _SIGN.fullmatch(following):
        return False
    # A fraction above one is a date, unless a word for ratios is there and the language has such words.
    odd = "before_ratio" in table.kinds and first > last not in _BEATS
    return odd and cursor.token().core not in _SCREENS and not _RATIO.hold(cursor, table)


def _is_hyphened(day: int, month: int, cursor: TokenCursor, table: LanguageTable) -> bool:
    """True for "del 22-12": a range does not fall."""
    return table.dates.order == "dmy" and month <= MONTHS < day <= LONGEST_MONTH and DATED.hold(cursor, table)


def _is_dotted(_day: int, month: int, cursor: TokenCursor, table: LanguageTable) -> bool:
    """True for "am 3.10." and "bis 30.6.", and "le 03.04" where a stop makes no ordinal."""
    token, dated = cursor.token(), DATED.hold(cursor, table)
    if not table.ordinals_with_stop:
        padded = table.dates.order == "dmy" and _PADDED.fullmatch(token.core) is not None
        return padded and dated and not _MEASURED.hold(cursor, table)
    if month > MONTHS or _HOUR.hold(cursor, table):
        # "ab 7.30 Uhr", "So., 9.30"
        return False
    if dated or not token.suffix.startswith("."):
        return dated
    # "bis 30.6.", at a sentence's end too
    return token.suffix != "." or cursor.previous().core.islower() or cursor.token(1).core[:1].islower()


IS_DATE: Mapping[str, Callable[[int, int, TokenCursor, LanguageTable], bool]] = {
    "/": _is_slashed,
    "-": _is_hyphened,
    ".": _is_dotted,
}
"""Tests that figures of ``DAY_MONTH`` are a date, by the mark between them."""


def is_before_time(cursor: TokenCursor) -> bool:
    """True for the "7/10" of "7/10 9:30" and "7/10 @ 9:30"."""
    core = cursor.token().core
    if "/" not in core or not DAY_MONTH.fullmatch(core) or not cursor.is_adjacent(1):
        return False
    return _CLOCK.fullmatch(cursor.token(1 + (cursor.token(1).core == "@")).core) is not None


def is_loose(written: str, table: LanguageTable) -> bool:
    """True for figures that are a day and a month rather than a fraction."""
    if (found := DAY_MONTH.fullmatch(written)) is None or found[2] != "/" or written in _SCREENS:
        return False
    first, last = int(found[1]), int(found[3])
    if _PADDED.fullmatch(written):
        # "05/11", which no fraction is
        return max(first, last) <= LONGEST_MONTH
    if table.dates.order == "mdy" and first <= MONTHS < last <= LONGEST_MONTH:
        return last != _SIXTEENTHS and first > 1
    return last <= MONTHS < first <= LONGEST_MONTH
