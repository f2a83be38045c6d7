"""Roman numerals, where the tokens around them show that they are some."""

from itertools import pairwise

from kani_text.normalizer.kinds import Rows
from kani_text.normalizer.rules.acronyms import is_initial
from kani_text.normalizer.rules.units import in_full
from kani_text.normalizer.spoken import Verbalization
from kani_text.normalizer.tables.table import LanguageTable
from kani_text.normalizer.tokens import Token, TokenCursor
from kani_text.writing import roman_value

_SMALL_ROMAN, _NUMERAL = frozenset("ivx"), frozenset("IVX")
_ABBREVIATED = frozenset(("IV", "XX"))
"""Numerals that are as often letters."""
_LONGEST_NAME, _LONGEST_REALM = 6, 9
_LAST_CONGRESS, _HIGHEST_GRADE = 39, 12
_JOINED = Rows("roman and|to @", "roman '&' @")
"""The "V" of "siglos IV y V"."""
_JOINED_AGAIN = Rows("roman~ and|to~ roman_article~ @")
"""The "V" of "el siglo IV y el V"."""
_BEFORE_NAME = Rows("@ capital")
_FIRST_OF_RANGE = Rows("@ and|to~ roman", "@ '&'~ roman")
_OF_A_LAND = Rows("and~ @~ partitive~ capital", "and~ @~ partitive{[^\\w]+}")
"""The "I" of "James VI of Scotland and I of England", but not that of "Henry VIII and I of course"."""


def roman(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """A Roman numeral, where the tokens around it show that it is one."""
    token, previous = cursor.token(), cursor.previous()
    small = token.core.islower() and may_be_small_roman(cursor, table)
    throne = _name_of_two_thrones(cursor, table)
    name = throne or (previous.core.capitalize() if small else previous.core)
    named = name in table.roman.names
    owner = token.core.removesuffix("'s").removesuffix("’s") if named else token.core
    value = _value(owner.upper() if small else owner)
    if value is None:
        return _marked_roman(token, table)
    if owner != token.core:
        # "Louis XVI's"
        return token.said(f"{_named(value, name, table)}'s")
    if _is_letter_of_name(cursor, named, table):
        return None
    spoken = _after_noun(cursor, value, table)
    if not spoken and named and not previous.suffix:
        before = "" if throne else _before_name(cursor)
        spoken = table.number_words.inflected_after(before, _named(value, name, table))
        return token.said(spoken, token.core_end + _has_stop(cursor, table))
    spoken = spoken or _without_name(cursor, value, table)
    return token.said(spoken) if spoken else None


def _value(written: str) -> int | None:
    """The value of a numeral; None for a "C", "D", "L" or "M" by itself."""
    return roman_value(written) if len(written) > 1 or written in _NUMERAL else None


def _has_stop(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True for a full stop that is the ordinal's and ends no sentence: "Ludwig XIV. war"."""
    stop = cursor.token().suffix if table.ordinals_with_stop else ""
    return stop.startswith(".") and (stop != "." or cursor.token(1).core[:1].islower())


def _without_name(cursor: TokenCursor, value: int, table: LanguageTable) -> str:
    """The numeral before a noun ("XX aniversario"), and one that its letters show."""
    if (spoken := _before_noun(cursor, value, table)) is not None:
        return spoken
    # "títulos I a IV", and several letters that are neither a word nor spelled
    core = cursor.token().core
    numeral = not _is_spelled(cursor, table) if len(core) > 1 else _FIRST_OF_RANGE.hold(cursor, table)
    return table.number_words.cardinal(value) if numeral and _NUMERAL.issuperset(core) else ""


def _is_letter_of_name(cursor: TokenCursor, named: bool, table: LanguageTable) -> bool:
    """True for the letter of "James I. Robertson"."""
    letter = len(cursor.token().core) == 1 and not (named and cursor.token().suffix in (".,", ".;"))
    return letter and cursor.previous().core[:1].isupper() and is_initial(cursor, table)


def _noun_before(cursor: TokenCursor, table: LanguageTable) -> str:
    """The noun that a numeral belongs to, before another one and "and", too."""
    previous = cursor.previous()
    if _JOINED.hold(cursor, table):
        return cursor.previous(3).core.lower()
    if _JOINED_AGAIN.hold(cursor, table) and not _BEFORE_NAME.hold(cursor, table):
        return cursor.previous(4).core.lower()
    return previous.core.lower() if previous.suffix in ("", ".") else ""


def _after_noun(cursor: TokenCursor, value: int, table: LanguageTable) -> str:
    """The numeral of "Chapter IV", "capitolo IV"."""
    noun = _noun_before(cursor, table)
    if noun in table.roman.ordinal_after:
        return _place(value, table.agreement.gender(noun, plural=False) or "m", table)
    # "the part I like" is no first part.
    word = cursor.token().core.lower() in table.acronyms.words and not cursor.previous().core[:1].isupper()
    return table.number_words.cardinal(value) if noun in table.roman.cardinal_after and not word else ""


def _before_noun(cursor: TokenCursor, value: int, table: LanguageTable) -> str | None:
    """The ordinal of "XX aniversario", "el XX Congreso"."""
    rules, article = table.roman, cursor.previous()
    if not (rules.ordinal_before or rules.articles) or not cursor.is_adjacent(1):
        return None
    noun = cursor.token(1).core
    form = rules.articles.get(article.core.lower()) if article.suffix in ("", ".") else None
    if noun.lower() in rules.ordinal_before and form is None:
        return table.number_words.ordinal(value, _form_before(cursor.token(1), table))
    # "los II Juegos", but "los X Games"
    letter = len(cursor.token().core) == 1 and form in ("mp", "fp")
    named = noun[0].isupper() and value <= _LAST_CONGRESS and not letter
    if form is None or len(noun) <= 2 or not (named or noun.lower() in rules.ordinal_before):
        return None
    return table.number_words.ordinal(value, form)


def _form_before(noun: Token, table: LanguageTable) -> str:
    """The form of an ordinal that its noun asks for: Spanish "tercer aniversario"."""
    gender = table.agreement.gender(in_full(noun, table), plural=False) or "m"
    return "short" if gender == "m" and "short" in table.roman.articles.values() else gender


def _named(value: int, name: str, table: LanguageTable) -> str:
    return table.roman.name.format(ordinal=_place(value, table.roman.names[name], table))


def _name_of_two_thrones(cursor: TokenCursor, table: LanguageTable) -> str:
    """The name that the "I" of "James VI of Scotland and I of England" belongs to; "" elsewhere."""
    if not _OF_A_LAND.hold(cursor, table):
        return ""
    near = [cursor.previous(back).core for back in range(2, _LONGEST_REALM)]
    numbers = (name for numeral, name in pairwise(near) if roman_value(numeral) or _with_mark(numeral, table))
    return next((name for name in numbers if name in table.roman.names), "")


def _is_spelled(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True for the letters of "the IV drip" and "an XX chromosome"."""
    token, before = cursor.token(), cursor.previous().core
    named = before[:1].isupper() and before.lower() not in table.common_words
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
    named = before.capitalize() in table.roman.names
    if not named or len(core) < 2 or not _SMALL_ROMAN.issuperset(core):
        return False
    return core != "vi" or not cursor.is_adjacent(1)


def _before_name(cursor: TokenCursor) -> str:
    """The token before a name and its titles, in lower case."""
    back = 2
    while back < _LONGEST_NAME and (name := cursor.previous(back)).core[:1].isupper() and not name.suffix:
        back += 1
    before = cursor.previous(back)
    if before.core == "" or before.suffix:
        # The sentence begins with it, so that it has a capital as the names have.
        before = cursor.previous(back - 1)
    return before.core.lower()


def _marked_roman(token: Token, table: LanguageTable) -> Verbalization | None:
    """ "XXe", "Ier": a Roman numeral with an ordinal's ending; "IV+", a climber's grade."""
    words = table.number_words
    grade, sign = token.core[:-1], {"+": table.numbers.plus, "−": table.numbers.minus}.get(token.core[-1:])
    place = roman_value(grade) or 0
    if sign and (len(grade) > 1 or grade == "V") and 1 < place <= _HIGHEST_GRADE:
        graded = _place(place, "m", table) if table.ordinals.get("º") == "m" else words.cardinal(place)
        return token.said(f"{graded} {sign}")
    if (marked := _with_mark(token.core, table)) is None:
        return None
    return token.said(words.ordinal(marked[0], table.ordinals.get(marked[1], "")))


def _with_mark(core: str, table: LanguageTable) -> tuple[int, str] | None:
    """The value and the mark of a Roman numeral with an ordinal's ending."""
    for mark in table.roman.marks:
        number = core.removesuffix(mark)
        value = roman_value(number) if number != core and _NUMERAL.issuperset(number) else None
        if value is not None:
            return value, mark
    return None


def _place(value: int, form: str, table: LanguageTable) -> str:
    """An ordinal up to the language's last for Roman numerals, then a cardinal."""
    words = table.number_words
    return words.ordinal(value, form) if value <= table.roman.last_ordinal else words.cardinal(value)
