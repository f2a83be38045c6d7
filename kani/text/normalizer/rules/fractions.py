"""Fractions, by themselves and after a whole number."""

from __future__ import annotations

import re

from kani.text.normalizer.rules import pairs
from kani.text.normalizer.rules.acronyms import common_words
from kani.text.normalizer.rules.moments.day_and_month import is_before_time, is_loose
from kani.text.normalizer.rules.numerals import VULGAR_FRACTIONS, Numeral, say_numeral
from kani.text.normalizer.rules.units import (
    PhraseBuilder,
    gender_of,
    gender_of_forms,
    in_full,
    resolve_unit,
    sign_name,
    unit_end,
)
from kani.text.normalizer.spoken import Piece, Verbalization
from kani.text.normalizer.tables.table import LanguageTable
from kani.text.normalizer.tokens import TokenCursor

_FRACTION = re.compile(r"(?P<sign>[-+−±~≈])?(?P<numerator>\d{1,6})[/⁄](?P<denominator>\d{1,6})")
_COMPOUND = re.compile(
    r"(?P<numerator>\d{1,3})/(?P<denominator>\d{1,3})-(?P<word>[^\W\d_]{2,}(?:-[^\W\d_]+)*)"
)
_MIXED = re.compile(r"(\d{1,3})-([1-9]\d?)/(2|3|4|5|8|16|32)")


def fraction(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "3/4", with its sign."""
    token = cursor.token()
    match = _FRACTION.fullmatch(token.core)
    if (mixed := _MIXED.fullmatch(token.core)) is not None and int(mixed[2]) < int(mixed[3]):
        # 1-1/4"
        phrase = PhraseBuilder()
        whole, part = Numeral(mixed[1], ""), (int(mixed[2]), int(mixed[3]))
        phrase.add(say_mixed(whole, part, table), token.core_start, token.core_end)
        inches = token.suffix.startswith(('"', "″", "”")) and "in" in table.units and not token.prefix
        if inches:
            phrase.add(table.units["in"].forms["other"], token.core_end, token.core_end + 1)
        return phrase.build(token.core_end + inches)
    if match is None:
        return pairs.rating(cursor, table) or _compound(cursor, table) or pairs.law(cursor, table)
    if int(match["denominator"]) == 0 or is_before_time(cursor):
        return None
    phrase = PhraseBuilder()
    at = token.core_start + match.start("numerator")
    if match["sign"]:
        phrase.add(sign_name(match["sign"], table), token.core_start, at)
    part = int(match["numerator"]), int(match["denominator"])
    if (numbered := pairs.numbered(cursor, match["numerator"], match["denominator"], table)) is not None:
        phrase.add(numbered, at, token.core_end)
        return phrase.build(token.core_end)
    if (paired := pairs.paired(cursor, match["numerator"], match["denominator"], table)) is not None:
        phrase.add(paired, at, token.core_end)
        measure = (
            resolve_unit(cursor.token(1).core, table, attached=False)[0] if cursor.is_adjacent(1) else None
        )
        if measure is None:
            return phrase.build(token.core_end)
        # "50/60 Hz", "120/80 mmHg"
        end = unit_end(cursor, 1, table)
        phrase.add(measure.forms["other"], cursor.token(1).core_start, end)
        return phrase.build(end)
    if (law := pairs.of_year(cursor, *part, table)) is not None:
        phrase.add(law, at, token.core_end)
        return phrase.build(token.core_end)
    if token.suffix.startswith(('"', "″", "”")) and not token.prefix and "in" in table.units:
        # 3/8"
        inch = table.units["in"].forms
        name = inch.get("one", inch["other"])
        half = table.fractions.halves.get(gender_of(name, table) or "m") if part == (1, 2) else None
        said = f"{half} {name}" if half else _of(say_fraction(*part, table), name, table)
        phrase.add(said, at, token.core_end + 1)
        return phrase.build(token.core_end + 1)
    article = f"{cursor.previous().core.lower()} "
    if (measured := of_unit(cursor, part, table)) is not None:
        # "a 1/2 hour"
        phrase.add(measured[0].removeprefix(article), at, measured[1])
        return phrase.build(measured[1])
    if not match["sign"] and is_loose(token.core, table):
        return None
    gender = gender_of_following(cursor, table) if part == (1, 2) else ""
    if part == (1, 2) and not gender and table.fractions.halves and _follows_and(cursor, table):
        # "1 ora e 1/2"
        noun = re.split("['’]", cursor.previous(2).core)[-1]
        unit = table.units.get(noun)
        gender = gender_of_forms(unit.forms, table) if unit else table.agreement.gender(noun, plural=False)
    if part == (1, 2) and cursor.previous(3).core in table.times.after:
        # "a las 8 y 1/2"
        gender = gender or table.times.gender
    after = table.fractions.half_after_noun
    before = cursor.previous()
    unit = table.units.get(before.core) if cursor.previous(2).core.isdecimal() and not before.suffix else None
    if part == (1, 2) and after and (unit or _follows_and(cursor, table)):
        # "une heure et 1/2": its "and" is said already; "1 h 1/2"
        half = after.get(gender_of_forms(unit.forms, table) if unit else gender[:1]) or after["m"]
        phrase.add(half if unit else half.partition(" ")[2], at, token.core_end)
        return phrase.build(token.core_end)
    phrase.add(say_mixed(None, part, table, gender).removeprefix(article), at, token.core_end)
    return phrase.build(token.core_end)


def _follows_and(cursor: TokenCursor, table: LanguageTable) -> bool:
    return cursor.previous().core == table.signs.get("&") and not cursor.previous().suffix


def _compound(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "3/8-inch": a fraction that is a part of a word."""
    token = cursor.token()
    match = _COMPOUND.fullmatch(token.core)
    if match is None or int(match["denominator"]) == 0:
        return None
    at = token.core_start + match.start("word")
    part = say_fraction(int(match["numerator"]), int(match["denominator"]), table)
    pieces = Piece(part, token.core_start, at - 1), Piece(f" {match['word']}", at - 1, token.core_end)
    return Verbalization(pieces, token.core_end)


def of_unit(cursor: TokenCursor, part: tuple[int, int], table: LanguageTable) -> tuple[str, int] | None:
    """The spoken form of "½ kg", "5/4 kg" or "16/9 in", and its end; None where no unit follows."""
    if not cursor.is_adjacent(1):
        return None
    unit = cursor.token(1)
    in_full = any(unit.core == known.forms.get("one") for known in table.units.values())
    if in_full and part != (1, 2) and table.fractions.of_unit.startswith("{part} d"):
        # Spanish "1/4 taza"
        return _of(say_fraction(*part, table), unit.core, table), unit.core_end
    measure, _ = resolve_unit(unit.core, table, attached=unit.suffix[:1] in tuple(".,;)"))
    if measure is None:
        return None
    forms, end = measure.forms, unit_end(cursor, 1, table)
    if _part_name(*part, table) is None:
        # Two figures ("16/9 in") are no part of one unit: each counts units.
        counts = table.form_includes_number(forms, part[1])
        counted = forms["other"] if counts else table.form(forms, part[1])
        return f"{say_fraction(*part, table)} {counted}", end
    name = forms["other"] if table.numbers.counted_alone else forms.get("one", forms["other"])
    half = table.fractions.halves.get(measure.gender or gender_of(name, table) or "m")
    if part == (1, 2) and half is not None:
        return f"{half} {name}", end
    return _of(say_fraction(*part, table), name, table), end


def _of(part: str, unit: str, table: LanguageTable) -> str:
    """A part of a unit: "a quarter of an ounce", "trois quarts d'heure"."""
    said = table.fractions.of_unit.format(part=part, unit=unit)
    vowel = unit[:1] in "aeiouhé" and not unit.startswith(("hect", "hertz"))
    if table.language == "en" and (unit[:1] in "aeiou" or unit == "hour"):
        return said.replace(f" a {unit}", f" an {unit}")
    elided = (table.language == "fr" and vowel) or (table.language == "it" and unit == "ora")
    return re.sub(rf" d[ei] {unit}\Z", f" d'{unit}", said) if elided else said


def say_vulgar(character: str, table: LanguageTable) -> str:
    """The spoken form of a character that is a fraction."""
    return say_fraction(*VULGAR_FRACTIONS[character], table)


def say_mixed(whole: Numeral | None, part: tuple[int, int], table: LanguageTable, gender: str = "") -> str:
    """A number with a fraction, or just the fraction; gender: of the noun after it."""
    few = whole is not None and len(whole.digits) == 1 and not whole.decimals
    if part == (1, 2) and whole is not None and few and int(whole.digits) in table.fractions.mixed_halves:
        return table.fractions.mixed_halves[int(whole.digits)]
    if part == (1, 2) and whole is not None and table.fractions.mixed_half:
        return table.fractions.mixed_half.format(whole=say_numeral(whole, table, "m"))
    spoken = say_fraction(*part, table)
    halves = table.fractions.halves
    if part == (1, 2):
        spoken = halves.get(gender or "m", spoken) if gender or whole is not None else spoken
    return (
        spoken
        if whole is None
        else table.fractions.mixed.format(whole=say_numeral(whole, table, gender), part=spoken)
    )


def half_after_noun(
    cursor: TokenCursor, whole: Numeral, gender: str, table: LanguageTable
) -> tuple[str, str, int] | None:
    """The number of "1½ tasse", the noun with its half ("tasse et demie"), and the noun's end.

    None where the language says the half before its noun, or the noun is not known.
    """
    after = table.fractions.half_after_noun
    if not after or not cursor.is_adjacent(1) or whole.decimals or whole.is_long:
        return None
    token, one = cursor.token(1), whole.digits == "1"
    measure, _ = resolve_unit(token.core, table, attached=False)
    if measure is not None:
        noun, end = table.form(measure.forms, int(whole.digits)), unit_end(cursor, 1, table)
        gender = measure.gender or gender_of(noun, table)
    elif gender and token.core.islower() and token.core.isalpha() and token.suffix != ".":
        if token.core in common_words(table.language) and not table.names_unit(token.core):
            # "3½ et plus", but "2½ heures"
            return None
        noun, end = token.core, token.core_end
        noun = noun.removesuffix("s") if one and len(noun) > len("mois") else noun
    else:
        return None
    half = after.get(gender[:1]) or after["m"]
    return table.number_words.cardinal(int(whole.digits), gender), f"{noun} {half}", end


def gender_of_following(cursor: TokenCursor, table: LanguageTable, ahead: int = 1) -> str:
    """The gender of the noun after a fraction ("½ taza")."""
    if not table.fractions.halves or not cursor.is_adjacent(ahead):
        return ""
    return table.agreement.gender(in_full(cursor.token(ahead), table), plural=False)


def say_fraction(numerator: int, denominator: int, table: LanguageTable) -> str:
    """A fraction in words."""
    words = table.number_words
    name = _part_name(numerator, denominator, table)
    if name is None:
        over = table.fractions.over
        return over.format(numerator=words.cardinal(numerator), denominator=words.cardinal(denominator))
    forms = table.fractions.names.get(denominator)
    if forms and table.form_includes_number(forms, numerator):
        return name
    return f"{words.cardinal(numerator, gender_of(name, table) or 'm')} {name}"


def _part_name(numerator: int, denominator: int, table: LanguageTable) -> str | None:
    """The name of one of the parts, such as "quarters"; None where the figures are spoken as a pair."""
    if numerator == 0 or numerator >= denominator > 4:
        return None
    forms = table.fractions.names.get(denominator)
    return table.form(forms, numerator) if forms else table.number_words.denominator(denominator, numerator)
