"""Short names of weekdays, where their neighbours show that they are no other word ("Vie 7/11")."""

import re

from kani_text.normalizer.kinds import Rows, is_kind
from kani_text.normalizer.rules.numerals import DASHES
from kani_text.normalizer.spoken import Piece, Verbalization
from kani_text.normalizer.tables.table import LanguageTable
from kani_text.normalizer.tokens import TokenCursor
from kani_text.writing import LETTER

_JOINED = re.compile(rf"{LETTER}+\.?(?:[{DASHES}/]{LETTER}+|/{LETTER}+\.?/{LETTER}+)")
_PART = re.compile(rf"(?P<name>{LETTER}+)(?P<mark>\.?.?)")

_DATED = Rows(
    # "Vie 7/11", "Do, 5.3.", "Sun 10.30-4", "am Mi (5.2.)"
    r"@{[.,:;]*} date|times", r"@{\.?} (date",
    # "sáb 3 de mayo", "Fr. 20 Uhr", "Sat. Aug. 16"
    r"@{[.,]*} day{\.?} joiner? month", r"@{[.,:]*} day hours|half", r"@{[.,]*} month{\.?} figure",
    # "sam. 13°/5°", "ven 15 °C"
    r"@{\.?} degrees", r"@{\.?} number '°C'",
    # "sáb de 10 a 14", "dom às 18h"
    r"@ short_word number short_word figure", r"@ short_word times",
    # "lun. a vie.", "Mo, Mi und Fr", "seg., qua. e sex."
    r"@{\.?} and|to|dash|sign|dated_after short_weekday",
    r"short_weekday{\.?} and|to|dash|sign|dated_after @",
    r"@{\.,} short_weekday{\..*}", r"@{\.?,} short_weekday{\.?,?} short_weekday",
    r"short_weekday{\.?,} @{\.?,} short_weekday",
    r"@{\.?,} short_weekday{\.?,?} short_word{\.?} short_weekday",
)  # fmt: skip
"""For any name of a weekday, also one in small letters."""
_MARKED = Rows(
    # "Wed at 7", "Sat. the 26th", "bis Do. ab Mittag"
    r"@{[.,]*} dated_after|time_after|dotted_after figure", r"@{\.,?} time_after|dotted_after",
    # "jeu. à 17h30", "sáb. a las 10"
    r"@{\.} short_word time_after|dotted_after? times|day",
    # "jeu. 4 au", "Gio 12: pioggia", "Sam : 10h", "Dom: chiuso"
    r"@{\.} day", r"@ day{:.*}", r"@ day nothing|figure|dash",
    r"@{\.?} ':'~ times", r"@{\.?:} beside_weekday",
    # "closed Sun", "fermé le dim.", "lun. et mar. fermés", "1er sam. du mois"
    r"@{\.?} beside_weekday", r"@{\.?} short_word beside_weekday",
    r"beside_weekday short_word? @", r"ordinal @{\.?} small",
)  # fmt: skip
"""For a name with a capital or a full stop."""
_CAPITAL = Rows(
    # "Mon.;", "Sat: run", "Mon 3 – Fri 7"
    r"@{\..+}", r"nothing @{:}", r"word|figure{.+} @{:}", r"@{[.,]*} day",
    # "Mon thru Fri", "Sat, or Sun."
    r"@{[.,]*} short_word{\.?} short_weekday", r"short_weekday{[.,]*} short_word{\.?} @",
    # "am Fr?", "jeden 2. Mi.", "jeden 1. Sa im Monat", "Do. wieder"
    r"dated_after|time_after|dotted_after @{[.?!].*}", r"day{\.} @{[.?!].*}",
    r"day{\.} @ monthly", r"@{\.} small",
)  # fmt: skip
"""For a name with a capital, where all weekdays have one."""
_STOPPED = Rows(
    # "los miérc., los jue.", "hasta sáb.", "Météo de jeu. : sec"
    r"@{\.[,;)]}", r"until @{\.}", r"short_word @{\.} ':'~",
)  # fmt: skip
"""For a name with a small letter and a full stop that is no abbreviation of another word."""
_SMALL = Rows(
    # "ok pour sam. ?", "nos vemos el vie. o ya", "lun 3"
    r"@{\.} '?'~", r"@{\.} '!'~", r"@{\.} small", r"@ day",
)  # fmt: skip
"""For a name with a small letter that is no other word."""
_OF_A_DAY = Rows("day @")
_AFTER_TIMES = Rows(r"times short_word? @{\.}")
"""For one that is no month, either: "à partir de 6h vend.", but "5–9 de mar."."""
_OTHER_WORD = Rows("@ after_weekday_or_word word", "@ after_weekday_or_word nothing")
"""German "So zu tun"."""


def weekday(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """A weekday in full, before a date or a time, or with another weekday ("lun-ven", "Mon to Fri")."""
    token = cursor.token()
    if _JOINED.fullmatch(token.core):
        return _joined(cursor, table)
    name = table.dates.weekday(token.core)
    if name is None or not _is_weekday(name, cursor, table):
        return None
    return token.said(name, token.core_end + _has_own_stop(cursor, table))


def _is_weekday(name: str, cursor: TokenCursor, table: LanguageTable) -> bool:
    """True if the words around a short name make it the weekday."""
    token = cursor.token()
    if is_kind(token, "month", table) and _OF_A_DAY.hold(cursor, table):
        # "5 mar – 21 abr"
        return False
    same_case = token.core[0].isupper() == name[0].isupper()
    if (same_case and is_kind(token, "only_weekday", table)) or _DATED.hold(cursor, table):
        return True
    stopped, unsure = token.suffix.startswith("."), is_kind(token, "weekday_or_word", table)
    if unsure and not stopped and _OTHER_WORD.hold(cursor, table):
        return False
    if (stopped or token.core[0].isupper()) and _MARKED.hold(cursor, table):
        return True
    if name[0].isupper():
        return _CAPITAL.hold(cursor, table)
    return _is_small_weekday(cursor, table)


def _is_small_weekday(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True for the weekdays of languages that write them small, where their stop or a day shows them."""
    token = cursor.token()
    stopped = token.suffix.startswith(".")
    if stopped and f"{token.core}." in table.abbreviations and token.core not in table.also_words:
        return False
    if stopped and _STOPPED.hold(cursor, table):
        return True
    if stopped and not is_kind(token, "month", table) and _AFTER_TIMES.hold(cursor, table):
        return True
    return not is_kind(token, "weekday_or_word", table) and _SMALL.hold(cursor, table)


def _has_own_stop(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True if the first full stop after a short name does not end a sentence."""
    token = cursor.token()
    if token.suffix != ".":
        return token.suffix.startswith(".")
    following = cursor.token(1)
    if not following.core:
        # French "sam. ?"
        return following.suffix in ("?", "!", ":")
    noun = table.agreement.capitals and not is_kind(following, "not_noun", table)
    return noun or not following.core[0].isupper() or is_kind(following, "month", table)


def _joined(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "lun-ven", "Sa/So", "Mo./Mi./Fr.", and months: "ene-mar"."""
    token = cursor.token()
    parts = [*_PART.finditer(token.core)]
    names = _names_of([part["name"] for part in parts], table)
    if not names:
        return None
    last = table.signs.get("&", "") if "/" in token.core else table.numbers.to
    between = [*[", "] * (len(parts) - 2), f" {last} "]
    pieces: list[Piece] = []
    start = token.core_start
    for part, name, joiner in zip(parts, names, between, strict=False):
        mark = start + part.end("name")
        pieces += Piece(name, start + part.start(), mark), Piece(joiner, mark, start + part.end())
    end = token.core_end + _has_own_stop(cursor, table)
    return Verbalization((*pieces, Piece(names[-1], start + parts[-1].start(), end)), end)


def _names_of(written: list[str], table: LanguageTable) -> list[str]:
    """The names of weekdays, or of months; none if one of the words is neither."""
    dates = table.dates
    weekdays = [*filter(None, (dates.weekday(one) or dates.weekday(one.capitalize()) for one in written))]
    if len(weekdays) == len(written):
        return weekdays
    months = [*filter(None, (dates.months.get(one.lower()) for one in written))]
    return [dates.names[number - 1] for number in months] if len(months) == len(written) else []
