"""Fractions, by themselves and after a whole number."""

import re

from kani_text.normalizer.kinds import Rows, matching
from kani_text.normalizer.rules import pairs, units
from kani_text.normalizer.rules.moments.day_and_month import is_before_time, is_loose
from kani_text.normalizer.rules.numerals import INCHES, Numeral, say_numeral
from kani_text.normalizer.spoken import Verbalization
from kani_text.normalizer.tables.table import LanguageTable, Unit
from kani_text.normalizer.tokens import Token, TokenCursor

_FRACTION = re.compile(r"(?P<sign>[-+−±~≈])?(?P<first>\d{1,6})[/⁄](?P<last>(?!0+$)\d{1,6})")
HALF = 1, 2
_AND_HALF = Rows("and @")
_UNIT_AND_HALF = Rows("number unit @")


def fraction(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "3/4", also of a unit; two figures that are no fraction as what they are."""
    token = cursor.token()
    match = _FRACTION.fullmatch(token.core)
    if match is None:
        mixed = _mixed(cursor, table) or _compound(cursor, table)
        return mixed or pairs.mark(cursor, table) or pairs.law(cursor, table)
    if match["sign"]:
        return units.after_sign(fraction, cursor, table)
    if is_before_time(cursor):
        return None
    first, last = match["first"], match["last"]
    if (pair := pairs.pair(cursor, first, last, table)) is not None:
        return pair
    part, inch = (int(first), int(last)), _inch_mark(token, table)
    measured = (_part_of(part, inch, table), token.core_end + 1) if inch else of_unit(cursor, part, table)
    said, end = measured or ("", token.core_end)
    if not said:
        if is_loose(token.core, table):
            return None
        said = half(cursor, table) if part == HALF else say_fraction(*part, table)
    # "a 1/2 hour"
    said = said.removeprefix(f"{cursor.previous().core.lower()} ")
    return token.said(said, end)


def half(cursor: TokenCursor, table: LanguageTable) -> str:
    """The half of "1/2 taza", "1 h 1/2", "une heure et 1/2", "a las 8 y 1/2"."""
    after = table.fractions.half_after_noun
    if after and _UNIT_AND_HALF.hold(cursor, table):
        of = units.gender_of(units.singular(table.units[cursor.previous().core].forms, table), table)
        return after.get(of) or after["m"]
    following = gender_of_following(cursor, table)
    gender = table.times.gender if cursor.previous(3).core in table.times.after else following
    # Not the half of "du sel et 1/2 radis"
    if not following and _AND_HALF.hold(cursor, table):
        noun = re.split("['’]", cursor.previous(2).core)[-1]
        forms = table.units[noun].forms if noun in table.units else {"other": noun}
        gender = gender or units.gender_of(units.singular(forms, table), table)
        if after:
            # Its "and" is said already.
            return (after.get(gender[:1]) or after["m"]).partition(" ")[2]
    return say_mixed(None, HALF, table, gender)


def _inch_mark(token: Token, table: LanguageTable) -> Unit | None:
    """The unit of 3/8", if no quote begins before it."""
    return table.units.get("in") if token.suffix.startswith(tuple(INCHES)) and not token.prefix else None


@matching(r"(\d{1,3})-([1-9]\d?)/(2|3|4|5|8|16|32)")
def _mixed(match: re.Match[str], cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "1-1/4", and with a mark of inches after it."""
    token = cursor.token()
    if int(match[2]) >= int(match[3]):
        return None
    phrase, inch = units.PhraseBuilder(), _inch_mark(token, table)
    said = say_mixed(Numeral(match[1], ""), (int(match[2]), int(match[3])), table)
    phrase.add(said, token.core_start, token.core_end)
    if inch is not None:
        phrase.add(inch.forms["other"], token.core_end, token.core_end + 1)
    return phrase.build(phrase.pieces[-1].end)


@matching(r"(\d{1,3})/([1-9]\d{0,2})-(?P<word>[^\W\d_]{2,}(?:-[^\W\d_]+)*)")
def _compound(match: re.Match[str], cursor: TokenCursor, table: LanguageTable) -> Verbalization:
    """ "3/8-inch": a fraction that is a part of a word."""
    part = say_fraction(int(match[1]), int(match[2]), table)
    return cursor.token().parted(part, match.start("word") - 1, f" {match['word']}")


def of_unit(cursor: TokenCursor, part: tuple[int, int], table: LanguageTable) -> tuple[str, int] | None:
    """The spoken form of "½ kg", "5/4 kg" or "16/9 in", and its end; None where no unit follows."""
    if not cursor.is_adjacent(1):
        return None
    unit = cursor.token(1)
    named = any(unit.core == known.forms.get("one") for known in table.units.values())
    if named and part != HALF and table.fractions.of_unit.startswith("{part} d"):
        # Spanish "1/4 taza"
        return _of(say_fraction(*part, table), unit.core, table), unit.core_end
    measure, _ = units.resolve_unit(unit.core, table, attached=unit.suffix[:1] in tuple(".,;)"))
    if measure is None:
        return None
    end = units.unit_end(cursor, 1, table)
    if _part_name(*part, table) is None:
        # Two figures ("16/9 in") are no part of one unit: each counts units.
        return f"{say_fraction(*part, table)} {table.form(measure.forms, part[1])}", end
    return _part_of(part, measure, table), end


def _part_of(part: tuple[int, int], measure: units.Measure, table: LanguageTable) -> str:
    name = units.singular(measure.forms, table)
    half = table.fractions.half_before_noun.get(measure.gender or units.gender_of(name, table) or "m")
    return f"{half} {name}" if part == HALF and half else _of(say_fraction(*part, table), name, table)


def _of(part: str, unit: str, table: LanguageTable) -> str:
    """A part of a unit: "a quarter of an ounce", "trois quarts d'heure"."""
    elided = unit in table.kinds.get("elided", ())
    template = table.fractions.of_elided if elided else table.fractions.of_unit
    return template.format(part=part, unit=unit)


def say_mixed(whole: Numeral | None, part: tuple[int, int], table: LanguageTable, gender: str = "") -> str:
    """A number with a fraction, or just the fraction; gender: of the noun after it."""
    few = whole is not None and len(whole.digits) == 1 and not whole.decimals
    if part == HALF and whole is not None and few and int(whole.digits) in table.fractions.mixed_halves:
        return table.fractions.mixed_halves[int(whole.digits)]
    if part == HALF and whole is not None and table.fractions.mixed_half:
        return table.fractions.mixed_half.format(whole=say_numeral(whole, table, "m"))
    spoken = say_fraction(*part, table)
    if part == HALF and (gender or whole is not None):
        spoken = table.fractions.half_before_noun.get(gender or "m", spoken)
    if whole is None:
        return spoken
    return table.fractions.mixed.format(whole=say_numeral(whole, table, gender), part=spoken)


def half_after_noun(
    cursor: TokenCursor, whole: Numeral, gender: str, table: LanguageTable
) -> tuple[str, str, int] | None:
    """The number of "1½ tasse", the noun with its half ("tasse et demie"), and the noun's end.

    None where the language says the half before its noun, or the noun is not known.
    """
    after = table.fractions.half_after_noun
    if not after or not cursor.is_adjacent(1) or whole.decimals or whole.is_long:
        return None
    noun, end = cursor.token(1).core, cursor.token(1).core_end
    measure, _ = units.resolve_unit(noun, table, attached=False)
    if measure is not None:
        noun, end = table.form(measure.forms, int(whole.digits)), units.unit_end(cursor, 1, table)
        gender = measure.gender or units.gender_of(noun, table)
    elif not gender:
        return None
    elif whole.digits == "1":
        noun = noun.removesuffix("s")
    half = after.get(gender[:1]) or after["m"]
    return table.number_words.cardinal(int(whole.digits), gender), f"{noun} {half}", end


def gender_of_following(cursor: TokenCursor, table: LanguageTable) -> str:
    """The gender of the noun after a fraction ("½ taza")."""
    if not table.fractions.half_before_noun or not cursor.is_adjacent(1):
        return ""
    return table.agreement.gender(units.in_full(cursor.token(1), table), plural=False)


def say_fraction(numerator: int, denominator: int, table: LanguageTable) -> str:
    """A fraction in words."""
    if (numerator, denominator) == HALF and 0 in table.fractions.mixed_halves:
        return table.fractions.mixed_halves[0]
    words = table.number_words
    name = _part_name(numerator, denominator, table)
    if name is None:
        over = table.fractions.over
        return over.format(numerator=words.cardinal(numerator), denominator=words.cardinal(denominator))
    if table.form_includes_number(table.fractions.names.get(denominator, {}), numerator):
        return name
    return f"{words.cardinal(numerator, units.gender_of(name, table) or 'm')} {name}"


def _part_name(numerator: int, denominator: int, table: LanguageTable) -> str | None:
    """The name of one of the parts, such as "quarters"; None where the figures are spoken as a pair."""
    if numerator == 0 or numerator >= denominator > 4:
        return None
    forms = table.fractions.names.get(denominator)
    return table.form(forms, numerator) if forms else table.number_words.denominator(denominator, numerator)
