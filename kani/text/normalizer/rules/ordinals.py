"""Ordinals: with a mark after their digits ("21st"), or with a full stop, as in "am 3. Oktober"."""

from __future__ import annotations

import re

from kani.text.normalizer.rules.abbreviations import is_numbered_part
from kani.text.normalizer.rules.acronyms import roman_value, spelled_pieces
from kani.text.normalizer.rules.trades import is_of_a_trade, senses
from kani.text.normalizer.rules.units import gender_of_counted, in_full, unit_end
from kani.text.normalizer.spoken import Piece, Verbalization
from kani.text.normalizer.tables.table import LanguageTable
from kani.text.normalizer.tokens import Token, TokenCursor

_ORDINAL = re.compile(r"(\d{1,6}|\d{1,3}(?:[.,]\d{3}){1,3})(\.?\D{1,4})")
_GROUPED_ORDINAL = re.compile(r"(\d{1,3}(?:\d{3}){1,3})(\.?\D{1,4})")
_NEXT_GROUP = re.compile(r"\d{3}(?!\d)")
_FIRST_GROUP = re.compile(r"[1-9]\d{0,2}")
_JOINED = re.compile(r"(\d{1,6})([^\W\d_]{1,3}|[ºª])-([^\W\d_]+(?:-[^\W\d_]+)*)")
_CLASS = re.compile(r"(\d{1,2})(\.?[ªº°])-?([A-H])(?<!°[CF])(?<!\d\dº[CF])")
_ADDED = re.compile(r"(\d{1,3})([^\W\d_]{1,3}|[º°])\+(\d{1,2})")
_LONGEST_ORDINAL = 16
_SHORT = "short"
"""The form of an ordinal before a masculine noun, where the language has one."""
_MOST_PLACES = 35
_NEAR = 6
_LIMITS = frozenset("max min máx mín máxima mínima massima minima temperatura t".split())
_IN = frozenset(("em", "en", "in"))
_BEFORE_DEGREES = frozenset("a até hasta con com da di".split())
_LAST_LOOSE = 12
"""The last number that "°" makes an ordinal of without an article before it."""
_STOPPED = re.compile(r"(\d{1,3})(?:\.(/|[-–])(\d{1,3}))?")
_AS_BEFORE = "same"
"""The form of a number after "and": that of the ordinal before it."""
_OTHERWISE = "other"
_MOST_JOINED = 4


def marked(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "1.º", "21st"."""
    token = cursor.token()
    written, ahead = token.core, 0
    if _FIRST_GROUP.fullmatch(written):
        while len(written) < _LONGEST_ORDINAL and cursor.is_adjacent(ahead + 1):
            ahead += 1
            written += cursor.token(ahead).core
            if not _NEXT_GROUP.match(cursor.token(ahead).core):
                # "350 5th Ave."
                written, ahead = token.core, 0
                break
            if not cursor.token(ahead).core.isdecimal():
                break
    if (compound := _JOINED.fullmatch(token.core)) is not None and compound[2] in table.ordinals:
        # "19th-century"
        spoken = table.number_words.ordinal(int(compound[1]), table.ordinals[compound[2]])
        at = token.core_start + compound.start(3)
        pieces = Piece(spoken, token.core_start, at - 1), Piece(f" {compound[3]}", at - 1, token.core_end)
        return Verbalization(pieces, token.core_end)
    if (
        (group := _CLASS.fullmatch(token.core)) is not None
        and group[2].lstrip(".") in table.ordinals
        and table.letters
    ):
        # "3ªB", a class at school
        at = token.core_start + group.start(3)
        spoken = table.number_words.ordinal(int(group[1]), table.ordinals[group[2].lstrip(".")])
        letter = spelled_pieces(group[3], at, table)
        return Verbalization((Piece(f"{spoken} ", token.core_start, at), *letter), token.core_end)
    if (more := _ADDED.fullmatch(token.core)) is not None and more[2] in table.ordinals:
        # "90e+4", of a match
        spoken = table.number_words.ordinal(int(more[1]), table.ordinals[more[2]])
        spoken = f"{spoken} {table.numbers.plus} {table.number_words.cardinal(int(more[3]))}"
        return Verbalization((Piece(spoken, token.core_start, token.core_end),), token.core_end)
    match = (_ORDINAL if ahead == 0 else _GROUPED_ORDINAL).fullmatch(written)
    if match is None:
        return None
    form = table.ordinals.get(match[2], table.ordinals.get(match[2].removeprefix(".")))
    if form is None or (match[2] == "a" and is_numbered_part(cursor.previous().core, table)):
        # "ejercicio 5a"
        return None
    number = int(re.sub(r"\D", "", match[1]))
    # "11st 4lb", but "the 2st" is a slip
    stones = match[2] == "st" and (number % 10 != 1 or number == 11)
    stones = stones and not (number < _LEAST_STONES and cursor.previous().core.lower() == "the")
    if stones or _is_degrees(cursor, match[2], number, table):
        return None
    spoken = table.number_words.ordinal(number, _SHORT if _is_shortened(cursor, form, table) else form)
    # "1er. piso"
    end = unit_end(cursor, ahead, table) if match[2].isalpha() else cursor.token(ahead).core_end
    return Verbalization((Piece(spoken, token.core_start, end),), end)


_MINUTES = re.compile(r"\d{1,2}['’′]")
_INFINITIVE = re.compile(r"\w{2,}[aeií]r(?:se|l[aeo]s?)?")
_PLACED = re.compile(
    r"(?:qued[aéó]|acab|termin|(?:ch|ll)eg|fi(?:c|qu)|(?:final|clas|class)i[zfs]|arriv|sono|finit)\w*$"
)
_WARMEST, _LEAST_STONES = 60, 5
_ONE_OF_MARKS = frozenset("eine keine 'ne ne".split())
_NOUNS_LIKE_VERBS = frozenset(
    "lugar taller alquiler azar hogar pilar altar collar titular ejemplar militar auxiliar lunar".split()
)


def _is_degrees(cursor: TokenCursor, mark: str, number: int, table: LanguageTable) -> bool:
    """True if "°" means degrees, as in "90°"; many write it for "º" too ("el 3° piso")."""
    if cursor.is_adjacent(1) and cursor.token(1).core.lower() in table.roman.ordinal_before:
        # "100° anniversario"
        return False
    if (
        mark in ("°", "º")
        and mark in table.units
        and (_is_warm(cursor) or f"°{cursor.token(1).core}" in ("°C", "°F"))
    ):
        return True
    before = cursor.previous().core.lower()
    letters = table.compass.names.keys()
    beside = cursor.previous(1 + (cursor.previous().core == table.signs.get("&"))).core in letters
    if (
        mark == "°"
        and (number > _LAST_LOOSE or beside)
        and cursor.is_adjacent(1)
        and cursor.token(1).core in letters
    ):
        # "a 22° S", "45° N, 12° E", but "il 3° E"
        return True
    if mark == "º" and number > _MOST_PLACES:
        # "quedó 204º", "fiquei em 204º"
        inside = before in _IN and number > _WARMEST
        if _PLACED.match(cursor.previous(1 + inside).core.lower()):
            return False
    following = cursor.token(1).core if cursor.is_adjacent(1) else ""
    noun = following.islower() and len(following) > len("ou")
    set_to = before in _IN and not _PLACED.match(cursor.previous(2).core.lower())
    if mark in ("°", "º") and number > _LAST_LOOSE and (before in _BEFORE_DEGREES or set_to) and not noun:
        # "lavar a 30º.", "l'aria è a 21°", "deixei em 21º"
        return mark in table.units
    if mark in ("°", "º") and mark in table.units and number > _MOST_PLACES:
        counted = cursor.is_adjacent(1) and table.agreement.gender(cursor.token(1).core, plural=False)
        return mark == "°" or not counted
    if mark != "°" or mark not in table.units or not table.roman.articles:
        return False
    if cursor.previous().core.lower() in table.roman.articles:
        return False
    known = cursor.is_adjacent(1) and table.agreement.gender(cursor.token(1).core, plural=False)
    return number > _LAST_LOOSE or not known


def _is_warm(cursor: TokenCursor) -> bool:
    """True among temperatures: after "max" or "°C" a few words before, or before minutes of degrees."""
    near = [cursor.previous(back).core for back in range(1, _NEAR + 1)]
    limits = near[0].lower().rstrip(".") in _LIMITS
    following = cursor.token(1)
    minutes = _MINUTES.match(following.text, following.core_start) is not None
    return limits or minutes or any(one.endswith(("°C", "ºC", "°F")) or one in ("°C", "ºC") for one in near)


def _is_shortened(cursor: TokenCursor, form: str, table: LanguageTable) -> bool:
    """True if "1.º" stands right before its noun, as in "el 1.º paso"; "quedó 1.º ayer" does not."""
    if form != "m" or _SHORT not in table.ordinals.values() or not cursor.is_adjacent(1):
        return False
    previous, noun = cursor.previous(), cursor.token(1)
    if previous.core and not previous.suffix and previous.core.lower() not in table.roman.articles:
        return False
    if _INFINITIVE.fullmatch(noun.core) and noun.core not in _NOUNS_LIKE_VERBS:
        # "1.º lavar"
        return False
    whole = not noun.suffix.startswith(".") or f"{noun.core}." not in table.abbreviations
    return whole and noun.core.islower() and table.agreement.gender(noun.core, plural=False) == "m"


def with_stop(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "der 2. Stock", "3.–5. Mai": digits with a full stop, where their neighbours show an ordinal.

    They do with a word before them that sets the form, or with a word in lower case, or a month, after them.
    """
    token = cursor.token()
    if not table.ordinals_with_stop or not token.suffix.startswith("."):
        return None
    if cursor.previous().core in ("+", "=", "−"):
        return None
    numerals = _STOPPED.fullmatch(token.core)
    value = int(numerals[1]) if numerals else _roman(token)
    if value is None:
        return None
    known = is_known(cursor, table)
    ahead = _after_list(cursor, table)
    following = cursor.token(ahead) if token.suffix == "." or ahead > 1 else None
    goes_on = (
        following is not None
        and following.core != ""
        and following.start == following.core_start
        and (
            following.core[0].islower()
            or following.core.lower() not in table.agreement.not_nouns
            or (following.suffix.startswith(".") and following.core in table.dates.short_weekdays)
        )
    )
    ordered = False
    if following is not None and goes_on:
        small = following.core[0].islower() or following.core.lower() in table.dates.months
        listed = cursor.previous().suffix in (",", ";")
        ordered = ahead == 1 and _is_ordered(cursor, following, table)
        several = ahead > 1 or (numerals is not None and numerals[2] is not None)
        goes_on = small or known or listed or ordered or several
    # "in Sport eine 1.": a mark at school
    mark = following is not None and not goes_on and cursor.previous().core.lower() in _ONE_OF_MARKS
    if mark or not (known or goes_on) or (numerals is None and not (known or ordered)):
        return None
    gender = gender_of_counted(cursor, table, ahead, plural=False) if goes_on else "m"
    if ordered and following is not None:
        # "Beethovens 9. Sinfonie", a knitter's "1. R"
        short = _short_of_trade(cursor, table)
        noun = short or in_full(following, table)
        gender = ("" if short else gender) or table.agreement.gender(noun, plural=False)
    chosen = form(cursor, table, gender)
    start, end = token.core_start, token.core_end + (goes_on or token.suffix == ".,")
    spoken = table.number_words.ordinal(value, chosen)
    if numerals is None or numerals[3] is None:
        return Verbalization((Piece(spoken, start, end),), end)
    joined = table.numbers.to if numerals[2] != "/" else table.signs.get("&", "")
    dash, other = start + numerals.start(2), start + numerals.start(3)
    last = table.number_words.ordinal(int(numerals[3]), chosen)
    return Verbalization(
        (Piece(f"{spoken} ", start, dash), Piece(f"{joined} ", dash, other), Piece(last, other, end)), end
    )


def _after_list(cursor: TokenCursor, table: LanguageTable) -> int:
    """The place of the noun that the figures belong to: after "und 84." and after "5. und 7."."""
    ahead = 0
    for _ in range(_MOST_JOINED):
        joins = cursor.token(ahead).suffix != ".,"
        forms = table.ordinals_with_stop.get(cursor.token(ahead + 1).core, {})
        if joins and forms.get("other") != _AS_BEFORE:
            break
        other = cursor.token(ahead + 1 + joins)
        if not other.core.isdecimal() or not other.suffix.startswith("."):
            break
        ahead += 1 + joins
    return ahead + 1


def _is_ordered(cursor: TokenCursor, noun: Token, table: LanguageTable) -> bool:
    """True if the noun after figures shows an ordinal: "3. Dorffest", a knitter's "1. R", "jew. 1. Di."."""
    word = in_full(noun, table)
    named = bool(table.numbers.ordered_endings) and word.lower().endswith(table.numbers.ordered_endings)
    # "1. Markt besuchen" is of a list.
    after = cursor.token(2).core if named and cursor.begins_clause() else "en"
    if word in table.numbers.ordered or not (after.islower() and after.endswith("en")):
        return True
    weekday = noun.core in table.dates.short_weekdays or noun.core.lower() in table.dates.days
    return (weekday and _before(cursor, table) != "") or _short_of_trade(cursor, table) != ""


def _short_of_trade(cursor: TokenCursor, table: LanguageTable) -> str:
    """The noun after figures that a short form of a trade stands for (a knitter's "1. R"), or ""."""
    if not is_of_a_trade(cursor.token(1).core, table):
        return ""
    cursor.at += 1
    try:
        lines = senses(cursor, cursor.token().core, table)
    finally:
        cursor.at -= 1
    return next((one.said["ordinal"] for one in lines if "ordinal" in one.said), "")


def is_known(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True if the token before digits with a full stop shows that they are an ordinal."""
    before = _before(cursor, table)
    return before != "" and before not in table.unsure_of_ordinal


def form(cursor: TokenCursor, table: LanguageTable, gender: str) -> str:
    """The form of an ordinal by the token before it and the gender of the noun after it."""
    forms = table.ordinals_with_stop[_before(cursor, table) or _OTHERWISE]
    return forms.get(gender, forms["other"])


def _before(cursor: TokenCursor, table: LanguageTable) -> str:
    """The word that sets the form of the ordinal, or ""."""
    back = 1
    if cursor.previous().core.lower() in table.dates.days and cursor.previous().suffix in ("", ",", ".,"):
        # "am Di., 14.10."
        back = 2
    for _ in range(_MOST_JOINED):
        previous = cursor.previous(back)
        if previous.core.isdecimal() and previous.suffix == ".,":
            back += 1
            continue
        # "v. 3.11."
        short = previous.suffix == "." and f"{previous.core}." in table.abbreviations
        before = previous.core.lower() if short or not previous.suffix else ""
        if before == _OTHERWISE or before not in table.ordinals_with_stop:
            return ""
        if table.ordinals_with_stop[before]["other"] != _AS_BEFORE:
            return before
        if not cursor.previous(back + 1).core.isdecimal():
            return ""
        back += 2
    return ""


def _roman(token: Token) -> int | None:
    return roman_value(token.core) if set(token.core) <= set("IVX") else None
