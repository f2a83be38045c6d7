"""Numbers with signs between them: dimensions, powers, signs that stand by themselves."""

from __future__ import annotations

import re

from kani.text import writing
from kani.text.normalizer.rules.acronyms import letter_name
from kani.text.normalizer.rules.before_nouns import describes
from kani.text.normalizer.rules.numerals import DASHES, NUMBER, parse_numeral, say_numeral
from kani.text.normalizer.rules.units import PhraseBuilder, gender_of, resolve_unit, unit_end
from kani.text.normalizer.spoken import Piece, Verbalization
from kani.text.normalizer.tables.table import LanguageTable
from kani.text.normalizer.tokens import TokenCursor

_DIMENSIONS = re.compile(
    rf"(?P<figures>{NUMBER}(?:[x×*]{NUMBER}){{1,3}})(?P<suffix>[^\W\d_⁰¹²³⁴-⁹]\S{{0,4}}|[\"”″])?"
)
_AMOUNT = re.compile(rf"{NUMBER}(?P<unit>\D{{1,3}})")
_POWER = re.compile(
    rf"(?P<sign>[~≈])?(?P<number>{NUMBER})(?:(?:(?P<times>[x×·*])10\^?|\^)(?P<plain>[-−]?\d{{1,4}})|[eE](?P<e>[-+−]?\d{{1,3}})"
    rf"|(?P<ten>[x×·*]10)?(?P<raised>[⁻⁺]?[⁰¹²³⁴-⁹]{{1,4}}))"
)
_FIGURE = re.compile(r"(?:v|[^\w\s]{1,2}|[A-Z]{1,2}\$)?\d[\d.,:%‰€£$°]*(?:[a-zµ]{0,3}|[KM])")
_LENGTHS = frozenset("mm cm dm m km mts ft in px pixels".split())
_PORTIONS = frozenset("g kg mg ml l cl dl L min mins Min h hr hrs s sec secs Std Sek".split())
"""Units of what there is several times ("2x45 min"); lengths are sides ("2x45 mm")."""
_STEPS = frozenset(("<", ">", "→", "->", "=>", "›", "»", "⟩", "▸", "▶"))
_TIMES = re.compile(rf"[{DASHES}:hH]")
_TERM = re.compile(r"\d{0,3}[xyz][²³⁴]?")
_SHUT_OUT = re.compile(r"0[x×]\d|\d[x×]0")


def dimensions(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "3x4", with a unit if there is one."""
    token = cursor.token()
    inches = token.suffix.startswith(('"', "″", "”")) and not token.prefix and "in" in table.units
    match = _DIMENSIONS.fullmatch(token.core + token.suffix[:1] * inches)
    if match is None:
        return None
    end = token.core_end + inches
    measure, at, letter = None, (0, 0), False
    portions = cursor.is_adjacent(1) and cursor.token(1).core in _PORTIONS
    portions = portions or match["suffix"] in _PORTIONS
    if match["suffix"]:
        measure, _ = resolve_unit("in" if match["suffix"] in '"”″' else match["suffix"], table, attached=True)
        if table.language == "en" and match["suffix"] == "s":
            # "2x4s"
            first, last = (part.strip() for part in re.split("[x×*]", match["figures"])[:2])
            said = [table.number_words.cardinal(int(one)) for one in (first, last) if one.isdecimal()]
            return Verbalization(
                (Piece(f" {table.numbers.by} ".join(said) + "s", token.core_start, end),), end
            )
        at = (token.core_start + match.start("suffix"), end)
        letter = len(match["suffix"]) == 1 and (measure is None or match["suffix"] in "cCp")
        if measure is None and not letter:
            return None
    elif cursor.is_adjacent(1):
        following = cursor.token(1)
        # "2x2 in. photo"
        measure, _ = resolve_unit(following.core, table, attached=following.suffix.startswith("."))
        if measure is not None:
            end = unit_end(cursor, 1, table)
            at = (following.core_start, end)
    name = ""
    if measure is not None and not letter:
        last = parse_numeral(re.split("[x×*]", match["figures"])[-1], table)
        several = last.value if last and last.value > 2 and table.numbers.counted_alone else 2
        name = table.form(measure.forms, 1 if describes(cursor, end, "", table) else several)
    gender = gender_of(name, table)
    if letter:
        # The width of a tyre, the lines of a screen: "700x25C", "1920x1080p".
        name = letter_name(match["suffix"], table)
    phrase = PhraseBuilder()
    place = token.core_start
    # No size has a side of 0.
    by = table.numbers.to if table.language == "pt" and _SHUT_OUT.fullmatch(token.core) else table.numbers.by
    by = table.signs.get("×", by) if portions and measure is not None else by
    for part in re.split(r"([x×*])", match["figures"]):
        numeral = None if part in "x×*" else parse_numeral(part, table)
        if numeral is None and part not in "x×*":
            return None
        spoken = by if numeral is None else say_numeral(numeral, table, gender)
        phrase.add(spoken, place, place + len(part))
        place += len(part)
    if name:
        phrase.add(name, *at)
    return phrase.build(end)


def power(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "10^8", "3×10⁸", "1.5e-3"."""
    token = cursor.token()
    match = _POWER.fullmatch(token.core)
    numeral = parse_numeral(match["number"], table) if match else None
    if match is None or numeral is None or (match["e"] and match["e"][0] == "+" and "e" in table.ordinals):
        return None
    raised = match["plain"] or match["e"] or match["raised"].translate(writing.RAISED)
    base, by_ten = say_numeral(numeral, table), match["e"] or match["times"] or match["ten"]
    named = (
        None if by_ten or match["number"] == "10" else table.signs.get({"2": "²", "3": "³"}.get(raised, ""))
    )
    if by_ten:
        base = f"{base} {table.signs.get('×', table.numbers.by)} {table.number_words.cardinal(10)}"
    phrase, end = PhraseBuilder(), token.core_end
    exponent = named or f"{table.numbers.power} {say_exponent(raised, table)}"
    about = f"{table.numbers.about} " if match["sign"] else ""
    phrase.add(f"{about}{base} {exponent}", token.core_start, end)
    if (
        cursor.is_adjacent(1)
        and (measure := resolve_unit(cursor.token(1).core, table, attached=False)[0]) is not None
    ):
        # "4 × 10^16 m"
        end = unit_end(cursor, 1, table)
        phrase.add(measure.forms["other"], cursor.token(1).core_start, end)
    return phrase.build(end)


def say_exponent(written: str, table: LanguageTable) -> str:
    """An exponent in words: Italian has an ordinal ("alla quinta")."""
    words, figures = table.number_words, written.lstrip("+-−")
    if figures != written.lstrip("+"):
        return f"{table.numbers.minus} {words.cardinal(int(figures))}"
    return words.ordinal(int(figures), "f") if table.language == "it" else words.cardinal(int(figures))


_SIGNED = ("%", "°C", "°F", "°")
"""What is counted from below zero, too."""


def sign_between(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """A sign that stands by itself between two numbers: "5 - 3 = 2", "9:00 – 17:00", "3 x 4"."""
    token = cursor.token()
    sign = token.text[token.start : token.end]
    if sign not in table.signs_between_figures or len(sign) > 1:
        return None
    first, close = cursor.previous().core, cursor.previous().suffix
    if sign == "→":
        said = (Piece(f" {table.signs_between_figures[sign]} ", token.start, token.end),)
        return Verbalization(said, token.end) if _is_change(cursor, table) else None
    half = sign in DASHES and _is_half(cursor, table)
    attached = _AMOUNT.fullmatch(first)
    measured = (sign in "x×" or sign in DASHES) and (
        (first in table.units and cursor.previous(2).core[-1:].isnumeric())
        or (attached is not None and attached["unit"] in table.units)
        or (sign in "x×" and not first[-1:].isdecimal() and cursor.previous(2).core.isdecimal())
    )
    if sign in "x×" and close in (tuple("'″\"′’") if first[-1:].isdecimal() else (".",) * measured):
        close = ""
    if sign in DASHES and _is_between_dates(cursor, table):
        return Verbalization((Piece(f" {table.numbers.to} ", token.start, token.end),), token.end)
    number = cursor.token(1).core
    if sign in DASHES and not close and _TERM.fullmatch(first) and re.fullmatch(r"\d{0,6}[xyz]?", number):
        # "2x - 1"
        return Verbalization((Piece(f" {table.numbers.minus} ", token.start, token.end),), token.end)
    loose = sign in DASHES and number[:1].isnumeric() and not (first[-1:].isnumeric() or measured or half)
    if loose and (number.endswith(_SIGNED) or (cursor.is_adjacent(2) and cursor.token(2).core in _SIGNED)):
        # "remise - 10 %", "mínima - 5 °C"
        return Verbalization((Piece(table.numbers.minus, token.start, token.end),), token.end)
    figures = re.fullmatch(rf"\d+(?:[{DASHES}]\d+)?", number)
    if sign in "x×" and not measured and not close and first[:1].isalpha() and figures:
        # "huevos x 12"
        times = len(first) > 1 and table.signs.get("×")
        return Verbalization((Piece(times, token.start, token.end),), token.end) if times else None
    if not (first[-1:].isnumeric() or measured or half) or (close and not (half and close == ".")):
        return None
    letter = len(number) == 1 and number.isupper() and cursor.token(2).core[:1].isdecimal()
    priced = number[:1] in table.currencies
    if not (number[:1].isnumeric() or (sign in "x×" and (letter or priced))):
        return None
    if sign == ":":
        # " : " with spaces is punctuation.
        return None
    if sign == "/" and _TIMES.search(first) and _TIMES.search(number):
        # "9:00-14:00 / 17:00-20:00"
        return Verbalization((Piece(", ", token.start, token.end),), token.end)
    dashes = [
        one.text[one.start : one.end] in DASHES and one.end > one.start
        for one in (cursor.previous(2), cursor.token(2))
    ]
    if sign in DASHES and any(dashes):
        # "3 - 11 - 21": one number after the other.
        return Verbalization((Piece(", ", token.start, token.end),), token.end)
    spoken = table.signs_between_figures[sign]
    several = cursor.token(2).core in ("x", "×") or cursor.previous(2).core in ("x", "×")
    if sign in "x×" and not priced and (measured or several or letter or cursor.token(2).core in _LENGTHS):
        spoken = table.numbers.by
    elif sign in "x×" and (priced or cursor.token(2).core == "="):
        spoken = table.signs.get("×", spoken)
    if table.language == "pt" and sign == "x" and _is_score(cursor):
        spoken = table.numbers.to
    if sign in DASHES and (half or ":" in first or cursor.token(2).core != "="):
        spoken = table.numbers.to
    return Verbalization((Piece(f" {spoken} ", token.start, token.end),), token.end)


def number_sign(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """The "#" of "Carrera 15 # 93-47", before a figure: the word for number."""
    token = cursor.token()
    if token.text[token.start : token.end] != "#" or not cursor.token(1).core[:1].isdecimal():
        return None
    return Verbalization((Piece(table.numbers.number_sign, token.start, token.end),), token.end)


def path_step(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ ">" or "→" between words, as in a menu's path: a phrase break. Beside figures it compares."""
    token = cursor.token()
    if token.core not in _STEPS or token.end - token.start > len(token.core) or cursor.previous().suffix:
        return None
    sides = [one.core.strip("$") for one in (cursor.previous(), cursor.token(1))]
    figures = [any(map(str.isdigit, side)) for side in sides]
    # "CDG 8h35 → LHR"
    compared = all(figures) if token.core == "→" else any(figures)
    if compared or any(len(side) < 2 or side in table.greek for side in sides):
        return None
    return Verbalization((Piece("—", token.core_start, token.core_end),), token.core_end)


def _is_score(cursor: TokenCursor) -> bool:
    """True between the goals of two teams: "Flamengo 3 x 2 Palmeiras"."""
    teams = cursor.previous(2).core, cursor.token(2).core
    goals = cursor.previous().core, cursor.token(1).core
    return all(team[:1].isupper() for team in teams) and all(len(one) <= len("10") for one in goals)


def _is_between_dates(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True if days or months stand on both sides: "Mon – Fri", "1 Apr – 30 Sep", "3. – 5. Mai"."""
    before, after = cursor.previous(), cursor.token(1)
    dates = table.dates
    if before.suffix not in ("", ".") or after.prefix:
        return False
    sides = before.core.lower(), after.core.lower()
    if all(side in dates.days for side in sides):
        return before.core != after.core
    if not all(side in dates.months or (side.isdecimal() and len(side) <= len("31")) for side in sides):
        return False
    first = sides[0] in dates.months or cursor.previous(2).core.lower() in dates.months
    last = sides[1] in dates.months or cursor.token(2).core.lower() in dates.months
    return last and (first or sides[0].isdecimal())


def _is_change(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True for the arrow of "40 → 35" and "15 % → 12 %": figures on both sides, no formula."""
    before, after = cursor.previous(), cursor.token(1)
    if before.suffix:
        return False
    if before.core in table.units or before.core in table.currencies:
        before = cursor.previous(2)
    if after.core in table.currencies:
        after = cursor.token(2)
    return all(_FIGURE.fullmatch(one.core) for one in (before, after))


def _is_half(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True if "am", "p.m." or the end of "p. m." stands before."""
    last = cursor.previous().core.replace(".", "").lower()
    return last in table.times.halves or f"{cursor.previous(2).core.lower()}{last}" in table.times.halves
