"""Ordinals: with a mark after their digits ("21st"), or with a full stop, as in "am 3. Oktober"."""

import re

from kani_text.normalizer.kinds import Rows, is_kind
from kani_text.normalizer.rules.acronyms import letter_name
from kani_text.normalizer.rules.numerals import is_numbered_part
from kani_text.normalizer.rules.trades import senses
from kani_text.normalizer.rules.units import gender_of_counted, in_full, unit_end
from kani_text.normalizer.spoken import Piece, Verbalization
from kani_text.normalizer.tables.table import LanguageTable
from kani_text.normalizer.tokens import Token, TokenCursor
from kani_text.writing import roman_value

_ORDINAL = re.compile(r"(\d{1,6}|\d{1,3}(?:[.,]\d{3}){1,3})(\.?\D{1,4})")
_GROUPED_ORDINAL = re.compile(r"(\d{1,3}(?:\d{3}){1,3})(\.?\D{1,4})")
_NEXT_GROUP, _FIRST_GROUP = re.compile(r"\d{3}(?!\d)"), re.compile(r"[1-9]\d{0,2}")
_JOINED = re.compile(
    r"(?P<number>\d{1,6})\.?(?P<mark>[^\W\d_]{1,3}|[ºª°])"
    r"(?:(?<=[ªº°])-?(?P<class>[A-H])(?<!°[CF])(?<!\d\dº[CF])|-(?P<word>[^\W\d_]+(?:-[^\W\d_]+)*)"
    r"|\+(?P<more>\d{1,2}))"
)
_STOPPED = re.compile(r"(\d{1,3})(?:\.(/|[-–])(\d{1,3}))?")
_MINUTES = re.compile(r"\d{1,2}['’′]")
_SHORT = "short"
"""The form of an ordinal before a masculine noun, where the language has one."""
_MOST_PLACES, _NEAR, _MOST_GROUPS = 35, 6, 3
_LAST_LOOSE = 12
"""The last number that is an ordinal with "°" and no article."""
_LEAST_STONES = 5
_AS_BEFORE = "same"
"""The form of a number after "and": that of the ordinal before it."""
_OTHERWISE = "other"
_MOST_JOINED = 4
_PLACED = Rows("placed within? @")
"""After a verb of results: "quedó 204º", "fiquei em 204º"."""
_SET_TO = Rows("before_degrees|within @")
_BEARING, _AFTER_BEARING = Rows("@ compass"), Rows("compass~ and? @")
_MARK = Rows(r"one_of_marks @{\.}")
_LIMIT = Rows(r"limit{\.?} @", r"@~ 'C'", "@~ 'F'")


def marked(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "1.º", "21st"."""
    token = cursor.token()
    if (compound := _compound(token, table)) is not None:
        return compound
    written, ahead = _grouped(cursor)
    match = (_GROUPED_ORDINAL if ahead else _ORDINAL).fullmatch(written)
    if match is None:
        return None
    number, mark = int(re.sub(r"\D", "", match[1])), match[2]
    asked = table.ordinals.get(mark, table.ordinals.get(mark.removeprefix(".")))
    if asked is None or (mark == "a" and is_numbered_part(cursor.previous().core, table)):
        # "ejercicio 5a"
        return None
    # "11st 4lb" are stones; "the 2st" is a slip.
    slip = number < _LEAST_STONES and is_kind(cursor.previous(), "masculine_article", table)
    stones = mark == "st" and (number % 10 != 1 or number == 11) and not slip
    if stones or _is_degrees(cursor, mark, number, table):
        return None
    spoken = table.number_words.ordinal(number, _SHORT if _is_shortened(cursor, asked, table) else asked)
    # "1er. piso"
    end = unit_end(cursor, ahead, table) if mark.isalpha() else cursor.token(ahead).core_end
    return token.said(spoken, end)


def _compound(token: Token, table: LanguageTable) -> Verbalization | None:
    """ "19th-century"; "3ªB", a class at school; "90e+4", of a match."""
    match = _JOINED.fullmatch(token.core)
    asked = table.ordinals.get(match["mark"]) if match else None
    if match is None or asked is None:
        return None
    spoken = table.number_words.ordinal(int(match["number"]), asked)
    rest = match["word"] or (letter_name(match["class"], table) if match["class"] else "")
    if match["more"]:
        rest = f"{table.numbers.plus} {table.number_words.cardinal(int(match['more']))}"
    return token.parted(spoken, match.end("mark"), f" {rest}")


def _grouped(cursor: TokenCursor) -> tuple[str, int]:
    """The figures of "1 000e" and the place of the last ones; only the token where they are no groups."""
    written = cursor.token().core
    if _FIRST_GROUP.fullmatch(written):
        for ahead in range(1, _MOST_GROUPS + 1):
            # "350 5th Ave."
            if not _NEXT_GROUP.match(cursor.adjacent(ahead).core):
                break
            written += cursor.token(ahead).core
            if not written.isdecimal():
                return written, ahead
    return cursor.token().core, 0


def _is_degrees(cursor: TokenCursor, mark: str, number: int, table: LanguageTable) -> bool:
    """True if "°" means degrees, as in "90°"; many write it for "º" too ("el 3° piso")."""
    following = cursor.adjacent().core
    if mark not in ("°", "º") or mark not in table.units or following.lower() in table.roman.ordinal_before:
        # "100° anniversario"
        return False
    # "a 22° S", "45° N, 12° E", but "il 3° E"
    bearing = mark == "°" and _BEARING.hold(cursor, table)
    if _is_warm(cursor, table) or (bearing and (number > _LAST_LOOSE or _AFTER_BEARING.hold(cursor, table))):
        return True
    if _PLACED.hold(cursor, table):
        return False
    # "lavar a 30º.", "l'aria è a 21°", before no noun
    noun = following.islower() and len(following) > len("ou")
    set_to = number > _LAST_LOOSE and not noun and _SET_TO.hold(cursor, table)
    return set_to or _is_no_place(cursor, mark, number, following, table)


def _is_no_place(cursor: TokenCursor, mark: str, number: int, following: str, table: LanguageTable) -> bool:
    """True for a number higher than places have, or with "°" and without an article or a noun."""
    counted = following != "" and table.agreement.gender(following, plural=False) != ""
    if number > _MOST_PLACES:
        return mark == "°" or not counted
    articles = table.roman.articles
    if mark == "º" or not articles or cursor.previous().core.lower() in articles:
        return False
    return number > _LAST_LOOSE or not counted


def _is_warm(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True among temperatures: after "max" or "°C" a few words before, or before minutes of degrees."""
    following = cursor.token(1)
    if _LIMIT.hold(cursor, table) or _MINUTES.match(following.text, following.core_start):
        return True
    return any(cursor.previous(back).core.endswith(("°C", "ºC", "°F")) for back in range(1, _NEAR + 1))


def _is_shortened(cursor: TokenCursor, form: str, table: LanguageTable) -> bool:
    """True if "1.º" stands right before its noun, as in "el 1.º paso"; "quedó 1.º ayer" does not."""
    if form != "m" or _SHORT not in table.ordinals.values() or not cursor.is_adjacent(1):
        return False
    previous, noun = cursor.previous(), cursor.token(1)
    if previous.core and not previous.suffix and previous.core.lower() not in table.roman.articles:
        return False
    infinitive = noun.core.endswith(tuple(table.kinds.get("infinitive", ())))
    if infinitive and not is_kind(noun, "noun_like_verb", table):
        # "1.º lavar"
        return False
    whole = not noun.suffix.startswith(".") or f"{noun.core}." not in table.abbreviations
    return whole and noun.core.islower() and table.agreement.gender(noun.core, plural=False) == "m"


def with_stop(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "der 2. Stock", "3.–5. Mai": digits with a full stop, where their neighbours show an ordinal.

    They do with a word before them that sets the form, or with a word in lower case, or a month, after them.
    """
    token = cursor.token()
    if not table.ordinals_with_stop or cursor.previous().core in ("+", "=", "−"):
        return None
    numerals = _STOPPED.fullmatch(token.core)
    value = int(numerals[1]) if numerals else roman_value(token.core)
    if value is None or not (numerals or set(token.core) <= set("IVX")):
        return None
    ahead, ordered = _noun(cursor, table)
    if not ahead and _MARK.hold(cursor, table):
        # "in Sport eine 1.": a mark at school
        return None
    if not (ordered or (ahead and numerals) or is_known(cursor, table)):
        return None
    chosen = form(cursor, table, _gender(cursor, ahead, ordered, table))
    start, end = token.core_start, token.core_end + (ahead > 0 or token.suffix == ".,")
    spoken = table.number_words.ordinal(value, chosen)
    if numerals is not None and numerals[3] is not None:
        # "3.–5. Mai", "1./2. Klasse"
        last = table.number_words.ordinal(int(numerals[3]), chosen)
        joined = table.numbers.to if numerals[2] != "/" else table.signs.get("&", "")
        dash, other = start + numerals.start(2), start + numerals.start(3)
        to = Piece(f"{joined} ", dash, other)
        return Verbalization((Piece(f"{spoken} ", start, dash), to, Piece(last, other, end)), end)
    return token.said(spoken, end)


def _noun(cursor: TokenCursor, table: LanguageTable) -> tuple[int, bool]:
    """The place of the word that figures go on with (0: none), and True where it shows an ordinal."""
    ahead = _after_list(cursor, table)
    following = _following(cursor, ahead, table)
    if following is None:
        return 0, False
    ordered = ahead == 1 and _is_ordered(cursor, following, table)
    several = ahead > 1 or "." in cursor.token().core
    # A word in lower case or a month, and a list
    shown = following.core[0].islower() or following.core.lower() in table.dates.months
    shown = shown or cursor.previous().suffix in (",", ";")
    return ahead if ordered or several or shown or is_known(cursor, table) else 0, ordered


def _gender(cursor: TokenCursor, ahead: int, ordered: bool, table: LanguageTable) -> str:
    if not ahead:
        return "m"
    gender = gender_of_counted(cursor, table, ahead, plural=False)
    if not ordered:
        return gender
    # "Beethovens 9. Sinfonie", a knitter's "1. R"
    short = _short_of_trade(cursor, table)
    noun = short or in_full(cursor.token(ahead), table)
    return ("" if short else gender) or table.agreement.gender(noun, plural=False)


def _following(cursor: TokenCursor, ahead: int, table: LanguageTable) -> Token | None:
    """The word after the figures, if it may go on with what they begin."""
    if cursor.token().suffix != "." and ahead == 1:
        return None
    word = cursor.token(ahead)
    if word.core == "" or word.start != word.core_start:
        return None
    weekday = word.suffix.startswith(".") and word.core in table.dates.short_weekdays
    noun = weekday or word.core.lower() not in table.agreement.not_nouns
    return word if noun or word.core[0].islower() else None


def _after_list(cursor: TokenCursor, table: LanguageTable) -> int:
    """The place of the noun that the figures belong to: after "und 84." and after "5. und 7."."""
    ahead = 0
    for _ in range(_MOST_JOINED):
        joins = cursor.token(ahead).suffix != ".,"
        forms = table.ordinals_with_stop.get(cursor.token(ahead + 1).core, {})
        if joins and forms.get("other") != _AS_BEFORE:
            break
        other = cursor.token(ahead + 1 + joins)
        if not other.core.isdecimal():
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
    return noun.core in table.dates.short_weekdays or _short_of_trade(cursor, table) != ""


def _short_of_trade(cursor: TokenCursor, table: LanguageTable) -> str:
    """The noun after figures that a short form of a trade stands for (a knitter's "1. R"), or ""."""
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
        if before not in table.ordinals_with_stop:
            return ""
        if table.ordinals_with_stop[before]["other"] != _AS_BEFORE:
            return before
        if not cursor.previous(back + 1).core.isdecimal():
            return ""
        back += 2
    return ""
