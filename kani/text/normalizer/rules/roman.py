"""Roman numerals, where the tokens around them show that they are some."""

from __future__ import annotations

from itertools import pairwise

from kani.text.normalizer.rules.acronyms import common_words, is_initial, roman_value
from kani.text.normalizer.rules.units import in_full
from kani.text.normalizer.spoken import Piece, Verbalization
from kani.text.normalizer.tables.table import LanguageTable
from kani.text.normalizer.tokens import Token, TokenCursor

_SMALL_ROMAN = frozenset("ivx")
_ABBREVIATED = frozenset(("IV", "XX"))
"""Numerals that are as often letters."""
_LONGEST_NAME = 6
_OF_A_LAND, _LONGEST_REALM = frozenset("of de di do da d del du des von der".split()), 9
_LAST_CONGRESS = 39
_HIGHEST_GRADE = 12
_ORDINAL_GRADES = frozenset("es it pt".split())


def roman(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """A Roman numeral, where the tokens around it show that it is one."""
    token = cursor.token()
    rules = table.roman
    previous = cursor.previous()
    before = previous.core.lower() if previous.suffix in ("", ".") else ""
    joiners = (table.signs.get("&"), "&", table.numbers.to)
    joined = previous.core in joiners and not cursor.previous(2).suffix
    if joined and roman_value(cursor.previous(2).core):
        # "siglos IV y V"
        before = cursor.previous(3).core.lower()
    elif (
        cursor.previous(2).core in joiners
        and before in rules.articles
        and roman_value(cursor.previous(3).core)
    ):
        # "el siglo IV y el V"
        before = cursor.previous(4).core.lower()
    throne = _name_of_two_thrones(cursor, table)
    name = throne or previous.core
    small = token.core.islower() and may_be_small_roman(cursor, table)
    if small and name.islower():
        name = name.capitalize()
    if token.core.endswith(("'s", "’s")) and name in rules.names and (king := roman_value(token.core[:-2])):
        # "Louis XVI's"
        said = rules.named.format(ordinal=_place(king, rules.names[name], table))
        return Verbalization((Piece(f"{said}'s", token.core_start, token.core_end),), token.core_end)
    value = roman_value(token.core.upper() if small else token.core)
    if value is None or (len(token.core) == 1 and token.core.upper() not in "IVX"):
        return _marked_roman(token, table)
    listed = token.suffix in (".,", ".;") and name in rules.names
    if len(token.core) == 1 and previous.core[:1].isupper() and not listed and is_initial(cursor, table):
        # "James I. Robertson"
        return None
    spoken = None
    stop = False
    # "the part I like" is no first part.
    alone = token.core.lower() in table.acronyms.words and not previous.core[:1].isupper()
    if before in rules.cardinal and not alone:
        spoken = table.number_words.cardinal(value)
    elif before in rules.ordinal:
        form = table.agreement.gender(before, plural=False) or "m"
        spoken = _place(value, form, table)
    elif not previous.suffix and name in rules.names:
        spoken = rules.named.format(ordinal=_place(value, rules.names[name], table))
        spoken = spoken if throne else table.number_words.inflected_after(_before_name(cursor), spoken)
        stop = bool(table.ordinals_with_stop) and token.suffix.startswith(".")
    elif (
        rules.ordinal_before
        and cursor.is_adjacent(1)
        and cursor.token(1).core.lower() in rules.ordinal_before
    ):
        form = table.agreement.gender(in_full(cursor.token(1), table), plural=False) or "m"
        if form == "m" and "short" in rules.articles.values():
            # Spanish "tercer aniversario"
            form = "short"
        spoken = table.number_words.ordinal(value, form)
    elif (
        before in rules.articles
        and cursor.is_adjacent(1)
        and len(cursor.token(1).core) > 2
        and cursor.token(1).core[0].isupper()
        and value <= _LAST_CONGRESS
    ):
        spoken = table.number_words.ordinal(value, rules.articles[before])
    elif (
        previous.core == "" and rules.articles and cursor.is_adjacent(1) and cursor.token(1).core[0].isupper()
    ):
        gender = table.agreement.gender(cursor.token(1).core, plural=False)
        form = gender if gender == "f" else next(iter(rules.articles.values()))
        spoken = table.number_words.ordinal(value, form)
    elif len(token.core) == 1 and cursor.token(1).core in joiners and _is_numeral(cursor.token(2)):
        # "títulos I a IV"
        spoken = table.number_words.cardinal(value)
    elif len(token.core) > 1 and set(token.core) <= set("IVX") and not _is_spelled(cursor, table):
        spoken = table.number_words.cardinal(value)
    if spoken is None:
        return None
    if stop and token.suffix == ".":
        stop = cursor.token(1).core[:1].islower()
    end = token.core_end + stop
    return Verbalization((Piece(spoken, token.core_start, end),), end)


def _name_of_two_thrones(cursor: TokenCursor, table: LanguageTable) -> str:
    """The name that the "I" of "James VI of Scotland and I of England" belongs to; "" elsewhere."""
    names = table.roman.names
    if cursor.previous().core != table.signs.get("&") or cursor.token(1).core not in _OF_A_LAND:
        return ""
    if not (cursor.token(1).suffix or cursor.token(2).core[:1].isupper()):
        # "Henry VIII and I of course"
        return ""
    near = [cursor.previous(back).core for back in range(2, _LONGEST_REALM)]
    return next((name for numeral, name in pairwise(near) if _numbers_name(numeral) and name in names), "")


def _numbers_name(core: str) -> bool:
    return roman_value(core) is not None or core == "Ier"


def _is_numeral(token: Token) -> bool:
    return len(token.core) > 1 and set(token.core) <= set("IVX") and roman_value(token.core) is not None


def _is_spelled(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True for the letters of "the IV drip" and "an XX chromosome"."""
    token, before = cursor.token(), cursor.previous().core
    named = before[:1].isupper() and before.lower() not in common_words(table.language)
    if cursor.previous(2).core == table.signs.get("&") and roman_value(cursor.previous(3).core):
        # "el siglo XIX y el XX"
        return False
    return token.core in _ABBREVIATED and before != "" and not named and cursor.token(1).core.islower()


def may_be_small_roman(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True if a token in lower case may be a Roman numeral: "siglo xx", "luis vii".

    After a name it must not be a word of the language: "a luis vi ayer" is not.
    """
    core, before = cursor.token().core, cursor.previous().core
    if before.lower() in table.roman.small_after:
        return set(core) <= _SMALL_ROMAN
    if not (len(core) > 1 and set(core) <= _SMALL_ROMAN and before.capitalize() in table.roman.names):
        return False
    return core != "vi" or not cursor.is_adjacent(1)


def _before_name(cursor: TokenCursor) -> str:
    """The token before a name and its titles, in lower case."""
    back = 2
    while (
        back < _LONGEST_NAME and cursor.previous(back).core[:1].isupper() and not cursor.previous(back).suffix
    ):
        back += 1
    before = cursor.previous(back)
    if before.core == "" or before.suffix:
        # The sentence begins with it, so that it has a capital as the names have.
        before = cursor.previous(back - 1)
    return before.core.lower()


def _marked_roman(token: Token, table: LanguageTable) -> Verbalization | None:
    """ "XXe", "Ier": a Roman numeral with an ordinal's ending; "IV+", a climber's grade."""
    grade, sign = token.core[:-1], {"+": table.numbers.plus, "−": table.numbers.minus}.get(token.core[-1:])
    place = roman_value(grade) or 0
    if sign and (len(grade) > 1 or grade == "V") and 1 < place <= _HIGHEST_GRADE:
        words = table.number_words
        graded = words.ordinal(place, "m") if table.language in _ORDINAL_GRADES else words.cardinal(place)
        return Verbalization((Piece(f"{graded} {sign}", token.core_start, token.core_end),), token.core_end)
    for mark in table.roman.marks:
        number = token.core.removesuffix(mark)
        if number != token.core and set(number) <= set("IVX") and (value := roman_value(number)) is not None:
            spoken = table.number_words.ordinal(value, table.ordinals.get(mark, ""))
            return Verbalization((Piece(spoken, token.core_start, token.core_end),), token.core_end)
    return None


def _place(value: int, form: str, table: LanguageTable) -> str:
    """An ordinal up to the language's last for Roman numerals, then a cardinal."""
    words = table.number_words
    return words.ordinal(value, form) if value <= table.roman.last_ordinal else words.cardinal(value)
