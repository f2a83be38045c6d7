"""Fractions, by themselves and after a whole number."""

from __future__ import annotations

import re

from kani.text.normalizer.rules.abbreviations import follows_number_sign
from kani.text.normalizer.rules.acronyms import common_words
from kani.text.normalizer.rules.moments.dates import is_loose
from kani.text.normalizer.rules.numerals import (
    DASHES,
    NUMBER,
    VULGAR_FRACTIONS,
    Numeral,
    parse_numeral,
    say_digits,
    say_numeral,
)
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
_LAW = re.compile(r"(\d{1,3}(?:[.,]\d{3})+)/(\d{4}|\d{2})")
_TYRE = re.compile(r"Z?R\d{2}")
_PRESSURES = frozenset(("TA", "PA", "BP", "RR"))
_LAWS = frozenset(
    """L Legge legge Ley ley Lei lei Loi loi Decreto decreto D.Lgs D.L RD Prot prot Exp exp Expte Proc Of Az Aktenzeichen
    Rif rif Réf réf Ref ref Dossier dossier""".split()
)
_DOZEN, _CENTURY, _THOUSAND = 12, 100, 1000
_USUAL = frozenset("16 24 25 32 48 64 72 100 128".split())
"""Denominators of fractions above a dozen, and 24/7."""
_STOPS = tuple(";.!?")
_PARTITIVE = re.compile(r"d[eiao]|d[ae][sl]|del\w+|d['’].+|o[fn]|von|der")
_BEFORE_MONTHS = frozenset("TÜV HU EZ MHD Erstzulassung MOT exp Exp expires".split())
_LEAST_PAIR = 50
_SPANS = frozenset(
    """days weeks months years días semanas meses años jours semaines mois ans giorni settimane mesi anni dias
    anos Tage Tagen Wochen Monate Monaten Jahre Jahren minutes minutos minuti Minuten horas heures ore Stunden
    personas personnes persone pessoas Personen""".split()
)
"""Nouns that two figures count one after the other: "2/3 días", "24/48 ore"."""
_EVEN = frozenset((20, 50))
"""Of "20/20" and "50/50"."""
_LEAST_SIZE, _LARGEST_SIZE = 30, 60
"""Of clothes, which come in pairs ("42/44")."""
_GAMES = re.compile(r"[0-7]/[0-7]")
_RATED_FOR = frozenset("for für pour per overall".split())
_LEAST_RATING = 5
"""From so many tenths on a figure is a rating, if it counts nothing."""

_MARK = re.compile(rf"(?P<points>{NUMBER})/(?P<of>\d{{1,3}})")


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
        return _rating(cursor, table) or _compound(cursor, table) or _law(cursor, table)
    if int(match["denominator"]) == 0:
        return None
    phrase = PhraseBuilder()
    at = token.core_start + match.start("numerator")
    if match["sign"]:
        phrase.add(sign_name(match["sign"], table), token.core_start, at)
    part = int(match["numerator"]), int(match["denominator"])
    if (numbered := _numbered(cursor, match["numerator"], match["denominator"], table)) is not None:
        phrase.add(numbered, at, token.core_end)
        return phrase.build(token.core_end)
    if (paired := _paired(cursor, match["numerator"], match["denominator"], table)) is not None:
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
    if (
        (part[0] > 1 or cursor.previous().core[:1].isupper())
        and len(match["denominator"]) == 4
        and 1900 <= part[1] < 2100
    ):
        # "Ley 39/2015"
        slash = table.web.signs.get("/", table.fractions.over.format(numerator="", denominator="").strip())
        phrase.add(
            f"{table.number_words.cardinal(part[0])} {slash} {table.number_words.year(part[1])}",
            at,
            token.core_end,
        )
        return phrase.build(token.core_end)
    if (
        len(match["numerator"]) == 4
        and 1900 <= part[0] < 2100
        and part[1] > 1
        and not _is_added(cursor, table)
    ):
        # "(UE) 2016/679", but "2024/25"
        slash = table.web.signs.get("/", "")
        said = f"{table.number_words.year(part[0])} {slash} {table.number_words.cardinal(part[1])}"
        phrase.add(said, at, token.core_end)
        return phrase.build(token.core_end)
    if token.suffix.startswith(('"', "″", "”")) and not token.prefix and "in" in table.units:
        # 3/8"
        inch = table.units["in"].forms
        name = inch.get("one", inch["other"])
        half = table.fractions.halves.get(gender_of(name, table) or "m") if part == (1, 2) else None
        said = f"{half} {name}" if half else _of(say_fraction(*part, table), name, table)
        phrase.add(said, at, token.core_end + 1)
        return phrase.build(token.core_end + 1)
    if (measured := of_unit(cursor, part, table)) is not None:
        phrase.add(measured[0], at, measured[1])
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
    phrase.add(say_mixed(None, part, table, gender), at, token.core_end)
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


def _law(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "Lei nº 8.078/90": a number in groups, and its year."""
    token = cursor.token()
    named = follows_number_sign(cursor, table) or cursor.previous().core in _LAWS
    match = _LAW.fullmatch(token.core) if named else None
    numeral = parse_numeral(match[1], table) if match else None
    if match is None or numeral is None or numeral.decimals:
        return None
    words, middle = table.number_words, token.core_start + match.end(1)
    year = words.year(int(match[2])) if len(match[2]) == len("1990") else words.cardinal(int(match[2]))
    slash = table.web.signs.get("/", "")
    pieces = (
        Piece(say_numeral(numeral, table), token.core_start, middle),
        Piece(f" {slash} {year}", middle, token.core_end),
    )
    return Verbalization(pieces, token.core_end)


def _numbered(cursor: TokenCursor, first: str, last: str, table: LanguageTable) -> str | None:
    """ "n.º 2024/0137": the number of an invoice or a law, with the word for its slash."""
    law = cursor.previous().core in _LAWS
    if not follows_number_sign(cursor, table) and not law and not (len(last) > 1 and last[0] == "0"):
        return None
    before, after = (
        say_digits(part, table)
        if len(part) > 1 and part[0] == "0"
        else table.number_words.cardinal(int(part))
        for part in (first, last)
    )
    return f"{before} {table.web.signs.get('/', '')} {after}"


def _is_added(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True beside a sign of arithmetic or before a unit, where figures are a part of something."""
    near = cursor.previous().core, cursor.token(1).core
    return not {"+", "=", "×", "x", *DASHES}.isdisjoint(near) or (
        cursor.is_adjacent(1) and near[1] in table.units
    )


def _is_set(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True for the sets of a match with a slash, "6/4 4/6 7/6": at least one of them is no fraction."""
    joiner = table.signs.get("&")
    before, after = cursor.previous(), cursor.token(1)
    before = cursor.previous(2) if before.core == joiner else before
    after = cursor.token(2) if after.core == joiner else after
    near = [one.core for one in (before, cursor.token(), after)]
    found = [core for core in near if _GAMES.fullmatch(core)]
    return len(found) > 1 and near[1] in found and any(core[0] > core[2] for core in found)


def _paired(cursor: TokenCursor, first: str, last: str, table: LanguageTable) -> str | None:
    """Two figures that are no fraction: a rating ("8/10", "4/5 stars"), "50/50", a season ("2024/25")."""
    words, one, other = table.number_words, int(first), int(last)
    following = cursor.token(1)
    rated = table.fractions.rated
    previous = cursor.previous()
    noun = following.core[:1].isupper() if table.agreement.capitals else following.core.islower()
    noun = noun and len(following.core) > 1 and following.core.lower() not in rated
    noun = noun and following.core not in common_words(table.language)
    counted = cursor.is_adjacent(1) and (noun or _PARTITIVE.fullmatch(following.core) is not None)
    after = "" if cursor.token().suffix.endswith(_STOPS) else following.core.lower()
    near = {after, previous.core.lower() if previous.suffix in ("", ":") else ""}
    if counted and (_PARTITIVE.fullmatch(following.core) or other < _LEAST_RATING):
        # "doy 2/5 de mi sueldo", "gave 3/4 cup"
        near.clear()
    if one <= other <= 100 and (rated & near or (last == "10" and one >= _LEAST_RATING and not counted)):
        return table.fractions.out_of.format(numerator=words.cardinal(one), denominator=words.cardinal(other))
    if 1 < one <= other and last in ("5", "10") and following.core in _RATED_FOR:
        # "3/5 for service"
        return table.fractions.out_of.format(numerator=words.cardinal(one), denominator=words.cardinal(other))
    if one <= other and previous.core.lower() in table.fractions.steps and previous.suffix in ("", "."):
        # "Step 3/7"
        return table.fractions.step.format(numerator=words.cardinal(one), denominator=words.cardinal(other))
    tyre = _TYRE.fullmatch(following.core) is not None
    pressure = previous.core in _PRESSURES or (
        len(previous.core) == 1 and previous.core.isupper() and cursor.previous(2).core.isdecimal()
    )
    monthly = one <= _DOZEN < other and len(last) == 2 and previous.core in _BEFORE_MONTHS
    if pressure and table.language == "en":
        return table.fractions.over.format(numerator=words.cardinal(one), denominator=words.cardinal(other))
    if tyre or pressure or monthly:
        return f"{words.cardinal(one)} {words.cardinal(other)}"
    labelled = not table.numbers.labels.isdisjoint((label := previous.core.lower(), label.rstrip("s")))
    span, unit = following.core in _SPANS, resolve_unit(following.core, table, attached=False)[0]
    rounded = 10 <= one < other and any(one % step == other % step == 0 for step in (5, 12))
    if (1 < one == other - 1 and (labelled or span)) or (
        cursor.is_adjacent(1) and (rounded or min(one, other) >= _LEAST_PAIR) and (unit or (span and rounded))
    ):
        # "2/3 días", "10/15 min", "50/60 Hz"
        return f"{words.cardinal(one)} {words.cardinal(other)}"
    if _LEAST_RATING <= one == other and one not in _EVEN:
        # "All 12/12 tests"
        return table.fractions.out_of.format(numerator=words.cardinal(one), denominator=words.cardinal(other))
    if (
        _LEAST_SIZE <= one == other - 2 <= _LARGEST_SIZE
        or (one == other and one in _EVEN)
        # "temporada 23/24", but 15/16"
        or (_DOZEN < one == other - 1 < _CENTURY and other & one)
        or (_GAMES.fullmatch(f"{first}/{last}") and _is_set(cursor, table))
    ):
        return f"{words.cardinal(one)} {words.cardinal(other)}"
    if len(first) == 4 and (one + 1) in (other, one // 100 * 100 + other) and 1600 <= one < 2100:
        return f"{words.year(one)} {words.cardinal(other) if len(last) == len('25') else words.year(other)}"
    if (
        1 < one <= other
        and _DOZEN < other < _THOUSAND
        and last not in _USUAL
        and not (is_loose(f"{first}/{last}", table) or _is_added(cursor, table))
    ):
        # "lap 45/66", "18/20 right"
        template = table.fractions.step if other % 10 else table.fractions.out_of
        return template.format(numerator=words.cardinal(one), denominator=words.cardinal(other))
    return None


def _rating(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "8,5/10": points out of a maximum."""
    token = cursor.token()
    match = _MARK.fullmatch(token.core)
    points = parse_numeral(match["points"], table) if match is not None else None
    if match is None or points is None or not points.decimals:
        return None
    of = table.number_words.cardinal(int(match["of"]))
    phrase = PhraseBuilder()
    spoken = table.fractions.out_of.format(numerator=say_numeral(points, table), denominator=of)
    phrase.add(spoken, token.core_start, token.core_end)
    return phrase.build(token.core_end)


def of_unit(cursor: TokenCursor, part: tuple[int, int], table: LanguageTable) -> tuple[str, int] | None:
    """The spoken form of "½ kg", "5/4 kg" or "16/9 in", and its end; None where no unit follows."""
    if not cursor.is_adjacent(1):
        return None
    unit = cursor.token(1)
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
    return said.replace(f" de {unit}", f" d'{unit}") if table.language == "fr" and vowel else said


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
