"""Short names of weekdays, where their neighbours show that they are no other word ("Vie 7/11")."""

from __future__ import annotations

import re

from kani.text.normalizer.rules.numerals import DASHES
from kani.text.normalizer.spoken import Piece, Verbalization
from kani.text.normalizer.tables.table import LanguageTable
from kani.text.normalizer.tokens import Token, TokenCursor
from kani.text.writing import LETTER

_NAME = rf"{LETTER}+"
_JOINED = re.compile(
    rf"(?P<first>{_NAME})\.?(?P<mark>[{DASHES}/])(?P<last>{_NAME})(?:\.?/(?P<third>{_NAME}))?"
)
_DATE = re.compile(r"\d{1,2}([./-])(?:\d{1,2}|[^\W\d_]{3,9})(?:\1\d{2,4})?")
_DAY = re.compile(r"\d{1,2}(?:\.?[^\W\d_]{2}|[ºª])?")
_TIME = re.compile(
    rf"\d{{1,2}}(?:[:.h]\d{{2}}|h)\S{{0,4}}|\d{{1,2}}(?:[:.h]\d{{2}}|h)?\S{{0,3}}[{DASHES}]\d{{1,2}}\S{{0,5}}",
    re.IGNORECASE,
)
_ORDINAL = re.compile(r"[1-5]\.?(?:[ºª°]|er?|re|[oa])")
_MARKS = ("", ".", ",", ";", ".,", ".:", ".;", ".)", ".!", ".?", ":", "..", "?", "!")
_HOURS, _LAST_DAY = 24, 31
_LETTERS = re.compile(rf"[^\W\d_][{DASHES}][^\W\d_]")
_ALWAYS = frozenset("mié jue sáb gio sab Thu Thurs Tue Tues Fri".split())
"""Short names that are no other word."""
_SURE = frozenset("lun ven sam qua".split())
"""Short names that are no other word before a day."""
_OTHER_WORDS = frozenset("mar dom sun sat ter sol sex do so".split())
_OF = frozenset("de du del di do da el il le o au ce este esta".split())
_UNTIL = frozenset("até hasta entro desde dès avant jusqu'au".split())
_ENDS, _OF_MONTH = tuple(".?!"), frozenset(("im", "des"))
_LONGEST_JOINER = 7
_AFTER_SO = frozenset("zu offen früh ab bis von seit außer".split())


def weekday(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """A weekday in full, before a date or a time, or with another weekday ("lun-ven", "Mon to Fri")."""
    token = cursor.token()
    if not table.dates.short_weekdays:
        return None
    if (letter := _letter(cursor, table)) is not None:
        return letter
    if (joined := _JOINED.fullmatch(token.core)) is not None:
        return _joined(joined, cursor, table)
    name = _month_of_two(cursor, table) or _in_full(token.core, table)
    if name is None or (token.suffix not in _MARKS and token.core not in _ALWAYS) or _is_month(cursor, table):
        return None
    stopped = token.suffix.startswith(".")
    before = cursor.previous()
    first = not before.core or before.suffix != ""
    listed = name[0].isupper() and (
        (len(token.suffix) > 1 and stopped)
        or (token.suffix == ":" and first)
        or (token.core[0].isupper() and _TIME.fullmatch(before.core) is not None and not before.suffix)
    )
    month = name in table.dates.names
    if not (
        listed
        or _heads_times(cursor, table)
        or month
        or _is_dated(cursor, name, table)
        or _is_one_of_two(cursor, table)
        or _is_after(cursor, name, table)
        or _is_stopped(cursor, name, table)
        or _is_closed(cursor, table)
        or _goes_on(cursor, name, table)
    ):
        return None
    end = token.core_end + (stopped and (token.suffix != "." or not _ends_sentence(cursor, table)))
    return Verbalization((Piece(name, token.core_start, end),), end)


def _in_full(core: str, table: LanguageTable) -> str | None:
    """The weekday that a word may be; those that begin with a small letter are written either way."""
    names, small = table.dates.short_weekdays, core[:1].lower() + core[1:]
    capitals = core.isupper() and len(core) > len("Mo")
    core = core.capitalize() if capitals else core
    return names.get(core) or names.get(core.lower() if capitals else small)


def _letter(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """A weekday's letter in a list in their order: "L, X y V de 7 a 9", "mañanas M y J"."""
    token, letters, joiner = cursor.token(), table.dates.weekday_letters, table.signs.get("&", "")
    if not token.core or token.core not in letters or len(token.core) > 1:
        return None
    run, back, ahead = token.core, 1, 1
    listed = {joiner, *letters} - {""}
    while cursor.previous(back).core in listed and len(run) <= len(letters):
        run, back = cursor.previous(back).core.removeprefix(joiner) + run, back + 1
    last = token
    while last.suffix in ("", ",") and (last := cursor.token(ahead)).core in listed:
        run, ahead = run + last.core.removeprefix(joiner), ahead + 1
        if len(run) > len(letters):
            return None
    places = [letters.index(one) for one in run]
    near = {one.core.lower() for one in (cursor.previous(back), cursor.token(ahead), cursor.token(ahead + 1))}
    sure = len(run) > 2 or (len(run) > 1 and bool(near & {*table.times.after, *table.dates.after}))
    # "L-V 8-15 h; S 9-13 h"
    ranged = any(_LETTERS.fullmatch(cursor.previous(step).core) for step in range(1, len(letters)))
    timed = token.suffix in ("", ":") and _TIME.fullmatch(cursor.token(1).core) is not None
    # "D y festivos"
    beside = {cursor.token(step).core.lower() for step in (1, ahead)}
    sure = sure or (ranged and (timed or bool(beside & table.dates.beside_weekdays)))
    if not sure or places != sorted(set(places)) or near & table.numbers.labels:
        return None
    name = tuple(dict.fromkeys(table.dates.short_weekdays.values()))[letters.index(token.core)]
    return Verbalization((Piece(name, token.core_start, token.core_end),), token.core_end)


def _is_month(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True for the Spanish "mar" of "5 mar – 21 abr", but not of "lun 2 mar 3"."""
    before, core = cursor.previous(), cursor.token().core.lower()
    listed = cursor.is_adjacent(1) and _DAY.fullmatch(cursor.token(1).core) is not None
    return (
        core in table.dates.months
        and _DAY.fullmatch(before.core) is not None
        and not (before.suffix or listed)
    )


def _month_of_two(cursor: TokenCursor, table: LanguageTable) -> str | None:
    """A short month in full, with its stop and beside another one: "de feb. a mar."."""
    months, core = table.dates.months, cursor.token().core.lower()
    if core not in months or core == table.dates.names[months[core] - 1] or "." not in cursor.token().suffix:
        return None
    if _in_full(cursor.token().core, table) and _DAY.fullmatch(cursor.token(1).core):
        # "jeu. 5 mars – mar. 21 avr."
        return None
    sides = (cursor.token(1), cursor.token(2)), (cursor.previous(), cursor.previous(2))
    beside = any(_is_joiner(joiner) and other.core.lower() in months for joiner, other in sides)
    return table.dates.names[months[core] - 1] if beside else None


def _joined(match: re.Match[str], cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "lun-ven", "Sa/So", and two months: "ene-mar"."""
    token, dates = cursor.token(), table.dates
    written = match["first"], match["last"]
    first, last = (_in_full(one, table) or dates.short_weekdays.get(one.capitalize()) for one in written)
    if first is None or last is None:
        numbers = [dates.months.get(one.lower(), 0) for one in written]
        if 0 in numbers:
            return None
        first, last = (dates.names[number - 1] for number in numbers)
    between = table.signs.get("&", "") if match["mark"] == "/" else table.numbers.to
    third = _in_full(match["third"] or "", table)
    if match["third"] and (match["mark"] != "/" or third is None):
        return None
    at = token.core_start
    dash, rest = at + match.start("mark"), at + match.end("mark")
    stop = token.suffix.startswith(".") and (len(token.suffix) > 1 or not _ends_sentence(cursor, table))
    end = token.core_end + stop
    if third is not None:
        # "Mo./Mi./Fr."
        again = at + match.start("third")
        pieces = (
            Piece(f"{first}, ", at, rest),
            Piece(f"{last} {between} ", rest, again),
            Piece(third, again, end),
        )
        return Verbalization(pieces, end)
    return Verbalization(
        (Piece(first, at, dash), Piece(f" {between} ", dash, rest), Piece(last, rest, end)), end
    )


def _is_dated(cursor: TokenCursor, name: str, table: LanguageTable) -> bool:
    """True before a date or a time. Just a day is enough with the name's stop or its capital."""
    following = cursor.token(1)
    if following.start != following.core_start or not following.core:
        # "am Mi (5.2.)"
        return following.prefix == "(" and _DATE.fullmatch(following.core) is not None
    if _DATE.fullmatch(following.core) or _TIME.fullmatch(following.core):
        return True
    if following.core == "the" and cursor.token(2).core[:1].isdecimal():
        return True
    if re.match(r"-?\d{1,2}[°º](?!\w)", following.core) or cursor.token(2).core == "°C":
        # "sam. 13°/5°"
        return True
    dates = table.dates
    stopped = cursor.token().suffix.startswith(".") or name[0].isupper()
    said_times = table.times.after | table.times.dotted_after
    numbered = cursor.token(2).core[:1].isdecimal() or cursor.token().suffix.startswith(".")
    if stopped and following.core in said_times and numbered:
        # "Do. um 17 h", "dom. a las 20"
        return True
    if cursor.token().suffix == "" and _is_joiner(following):
        # "sáb de 10 a 14", "dom às 18h"
        ranged = cursor.token(2).core.isdecimal() and cursor.token(4).core[:1].isdecimal()
        if _TIME.fullmatch(cursor.token(2).core) or (ranged and _is_joiner(cursor.token(3))):
            return True
    if cursor.token().suffix == "." and _is_joiner(following):
        # "jeu. à 17h30", "sáb. a las 10"
        hour = cursor.token(3 if cursor.token(2).core in table.times.after else 2).core
        return bool(_TIME.fullmatch(hour)) or (hour.isdecimal() and int(hour) <= _HOURS)
    if _DAY.fullmatch(following.core):
        ahead = 3 if cursor.token(2).core.lower() in dates.joiners else 2
        if cursor.token(ahead).core.lower() in dates.months and following.suffix in ("", "."):
            return True
        if cursor.token(2).core in table.times.marks or cursor.token(2).core.lower() in table.times.halves:
            return True
        half = re.sub(r"[\d.]", "", following.core.lower())
        sure = cursor.token().suffix.startswith(".") or name[0].isupper()
        dated = following.core.isdecimal() or half in table.ordinals
        # "Lun 3" of a table
        headed = following.suffix.startswith(":") or not cursor.token(2).core[:1].isalpha()
        sure = sure or (cursor.token().core[0].isupper() and headed)
        return half in table.times.halves or (sure and dated and int(re.sub(r"\D", "", following.core)) < 32)
    return following.core.lower() in dates.months and cursor.token(2).core[:1].isdecimal()


def _heads_times(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True before a colon and times: "Sam : 10h-17h", "Dom: chiuso"."""
    token, following = cursor.token(), cursor.token(1)
    spaced = following.text[following.start : following.end] == ":"
    if not token.core[0].isupper() or not (spaced or token.suffix.endswith(":")):
        return False
    times = cursor.token(1 + spaced).core
    return _TIME.fullmatch(times) is not None or times.lower() in table.dates.beside_weekdays


def _is_one_of_two(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True beside another weekday: "lun. a vie.", "Mon thru Fri", "Sa. und So."."""
    token, before = cursor.token(), cursor.previous()
    if token.suffix in (",", ".,") and _in_full(cursor.token(1).core, table):
        # "seg., qua. e sex.", "Mo, Mi und Fr", "Mo, Di, Do 8–12"
        third, listed = cursor.token(2), before.core if before.suffix in (",", ".,") else ""
        near = (listed, third.core, cursor.token(2 + _is_joiner(third)).core)
        stopped = token.suffix == ".," and cursor.token(1).suffix.startswith(".")
        if stopped or any(_in_full(core, table) for core in near):
            return True
    if cursor.token().suffix in ("", "."):
        joiner, other = cursor.token(1), cursor.token(2)
        if (
            _is_joiner(joiner)
            and _in_full(other.core, table)
            and _is_sure(cursor.token(), other, joiner, table)
        ):
            return True
    joiner, other = cursor.previous(), cursor.previous(2)
    return bool(
        _is_joiner(joiner)
        and _in_full(other.core, table)
        and other.suffix in ("", ".")
        and _is_sure(cursor.token(), other, joiner, table)
    )


def _is_joiner(token: Token) -> bool:
    core = token.text[token.start : token.end].rstrip(".")
    return core in (*DASHES, "—", "/", "&", "+", "से") or (
        core.isalpha() and (core.islower() or core.isupper()) and len(core) <= _LONGEST_JOINER
    )


def _is_sure(first: Token, last: Token, joiner: Token, table: LanguageTable) -> bool:
    """True if two names with a word between them are weekdays; in small letters both may be other words."""
    marked = all(one.suffix.startswith(".") or one.core[0].isupper() for one in (first, last))
    words = (table.numbers.to, table.signs.get("&"), *table.dates.after)
    return marked or not joiner.core.isalpha() or joiner.core in words


def _is_after(cursor: TokenCursor, name: str, table: LanguageTable) -> bool:
    """True after a word that dates follow, where weekdays have a capital: "am Fr?", "jeden 2. Mi."."""
    token, before, dates = cursor.token(), cursor.previous(), table.dates
    numbered = before.core.isdecimal() and before.suffix == "."
    # "jeden 1. Sa im Monat"
    closed = token.suffix[:1] in _ENDS or (
        numbered and not token.suffix and cursor.token(1).core in _OF_MONTH
    )
    if not (name[0].isupper() and token.core[0].isupper() and closed):
        return False
    # "bei Fr. Dr. Roth" is a woman.
    titled = cursor.token(1).core[:1].isupper() and f"{token.core}." in table.abbreviations
    titled = titled and "name" in table.abbreviations[f"{token.core}."][0].said
    word = before.core.lower()
    after = word in dates.after or word in table.times.after or word in dates.beside_weekdays
    return not titled and (numbered or (after and not before.suffix))


def _is_stopped(cursor: TokenCursor, name: str, table: LanguageTable) -> bool:
    """True for a small name with a stop before another mark, or after "until": "até sex."."""
    token, following, before = cursor.token(), cursor.token(1), cursor.previous().core.lower()
    if (
        not (name.islower() and token.core.islower() and token.suffix.startswith("."))
        or cursor.previous().suffix
    ):
        return False
    if f"{token.core}." in table.abbreviations and token.core not in table.also_words:
        return False
    if following.text[following.start : following.end] == ":" or token.suffix == ".:":
        return before in _OF or _TIME.fullmatch(cursor.token(2).core) is not None
    # "dalle ore 6:00 di ven.", "à partir de 6h vend."
    timed = _TIME.fullmatch(cursor.previous(1 + (before in _OF)).core) is not None
    timed = timed and token.core not in table.dates.months
    return token.suffix in (".,", ".;", ".)") or ((timed or before in _UNTIL) and token.suffix == ".")


def _is_closed(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True beside a word for closed or open, or after an ordinal: "fermé le dim.", "1er sam. du mois"."""
    token, before = cursor.token(), cursor.previous()
    words = table.dates.beside_weekdays
    if not (token.suffix.startswith(".") or token.core[0].isupper()):
        return False
    ahead = 2 if _is_joiner(cursor.token(1)) and cursor.token(1).core.lower() not in words else 1
    if token.core == "So" and not token.suffix and cursor.token(1).core.lower() in _AFTER_SO:
        # "So zu tun", "So früh kam er nie"
        return False
    if token.suffix in ("", ".") and cursor.token(ahead).core.lower() in words:
        return True
    if before.suffix:
        return False
    article = before.core.islower() and len(before.core) <= len("the")
    ordinal = _ORDINAL.fullmatch(before.core) is not None and cursor.token(1).core[:1].islower()
    return ordinal or before.core.lower() in words or (article and cursor.previous(2).core.lower() in words)


def _goes_on(cursor: TokenCursor, name: str, table: LanguageTable) -> bool:
    """True for the stop of "nos vemos el vie. o ya" and "ok pour sam. ?", which ends no sentence."""
    token, following = cursor.token(), cursor.token(1)
    core = token.core
    stopped = table.agreement.capitals and token.suffix == "." and name[0].isupper() and core[0].isupper()
    if core in _ALWAYS or (stopped and following.core[:1].islower() and following.core not in ("u", "und")):
        # "Do. wieder", but "So. u. Feiert."
        return True
    if core.lower() in _OTHER_WORDS or len(core) < len("lun") or (name[0].isupper() and core[0].islower()):
        return False
    asked = following.text[following.start : following.end] in ("?", "!")
    if token.suffix == "." and f"{core}." not in table.abbreviations:
        return asked or following.core[:1].islower()
    numbered = following.core.isdecimal() and 0 < int(following.core) <= _LAST_DAY and not following.prefix
    return core in _SURE and not token.suffix and numbered


def _ends_sentence(cursor: TokenCursor, table: LanguageTable) -> bool:
    following = cursor.token(1)
    if following.text[following.start : following.end] in ("?", "!", ":"):
        # French "sam. ?"
        return False
    if following.core.lower() in table.dates.months:
        # "Sat. Aug. 16"
        return False
    noun = table.agreement.capitals and following.core.lower() not in table.agreement.not_nouns
    return following.core == "" or (following.core[0].isupper() and not noun)
