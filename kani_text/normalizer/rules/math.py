"""Numbers with signs between them: dimensions, powers, signs that stand by themselves."""

import re

from kani_text import writing
from kani_text.normalizer.kinds import Rows, is_kind, matching, measures
from kani_text.normalizer.rules.acronyms import letter_name
from kani_text.normalizer.rules.amounts import describes
from kani_text.normalizer.rules.numerals import DASHES, NUMBER, Numeral, parse_numeral, say_numeral
from kani_text.normalizer.rules.units import Measure, PhraseBuilder, gender_of, resolve_unit, unit_end
from kani_text.normalizer.spoken import Piece, Verbalization
from kani_text.normalizer.tables.table import LanguageTable
from kani_text.normalizer.tokens import TokenCursor

_AMOUNT = re.compile(rf"{NUMBER}(?P<unit>\D{{1,3}})")
_LENGTHS, _PORTIONS = "mm cm dm m km ft in px", "g kg mg ml l cl dl min h s"
"""Units of what there is several times ("2x45 min"); lengths are sides ("2x45 mm")."""
_STEPS = frozenset(("<", ">", "→", "->", "=>", "›", "»", "⟩", "▸", "▶"))
_RAISED = {"2": "²", "3": "³"}
_TIMES = re.compile(rf"[{DASHES}:hH]")
_TERM, _LAST_TERM = re.compile(r"\d{0,3}[xyz][²³⁴]?"), re.compile(r"\d{0,6}[xyz]?")
_FIGURES = re.compile(rf"\d+(?:[{DASHES}]\d+)?")
_INCHES, _PRIMES, _SIGNS = tuple('"″”'), tuple("'″\"′’"), ("%", "°C", "°F", "°")
_CHANGE = Rows("value unit|currency? @ currency? value")
"""The arrow of "40 → 35" and "15 % → 12 %": figures on both sides, no formula."""
_MATCH = Rows("capital number @ number capital")
"""The goals of two teams: "Flamengo 3 x 2 Palmeiras"."""
_IN_A_ROW = Rows("'-' figure @", "'–' figure @", "@ figure '-'", "@ figure '–'")
_BETWEEN_DATES = Rows(
    r"weekday{\.?} @ weekday", r"month|day{\.?} @ month", r"month|day{\.?} @ day{\.?} month"
)


@matching(rf"(?P<figures>{NUMBER}(?:[x×*]{NUMBER}){{1,3}})(?P<unit>(?:[^\W\d_⁰¹²³⁴-⁹]\S{{0,4}})?)")
def dimensions(match: re.Match[str], cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "3x4", with a unit if there is one."""
    token = cursor.token()
    attached, figures = match["unit"], re.split("[x×*]", match["figures"])
    sides = [side for part in figures if (side := parse_numeral(part, table)) is not None]
    if attached in table.kinds.get("boards", ()):
        # "2x4s"
        return token.said(f" {table.numbers.by} ".join(say_numeral(side, table) for side in sides) + "s")
    measure, symbol, (start, end) = _unit(cursor, attached, table)
    # The width of a tyre, the lines of a screen: "700x25C", "1920x1080p".
    letter = len(attached) == 1 and (measure is None or symbol in "cCp")
    if len(sides) < len(figures) or (attached and measure is None and not letter):
        return None
    name = "" if letter else _name_of_side(cursor, measure, sides[-1], end, table)
    by = table.numbers.by
    if name and measures(symbol, _PORTIONS, table):
        # Several times: "2x45 min"
        by = table.signs.get("×", by)
    phrase, place = PhraseBuilder(), token.core_start
    for written, side in zip(figures, sides, strict=True):
        if place > token.core_start:
            phrase.add(by, place - 1, place)
        phrase.add(say_numeral(side, table, gender_of(name, table)), place, place + len(written))
        place += len(written) + 1
    if letter:
        name = letter_name(symbol, table)
    if name:
        phrase.add(name, start, end)
    return phrase.build(end)


def _unit(
    cursor: TokenCursor, attached: str, table: LanguageTable
) -> tuple[Measure | None, str, tuple[int, int]]:
    """The unit of the sides, its symbol, and its place."""
    token = cursor.token()
    if attached:
        place = token.core_end - len(attached), token.core_end
        return resolve_unit(attached, table, attached=True)[0], attached, place
    if token.suffix.startswith(_INCHES) and not token.prefix:
        return table.units.get("in"), "in", (token.core_end, token.core_end + 1)
    if cursor.is_adjacent(1):
        # "2x2 in. photo"
        unit = cursor.token(1)
        measure, _ = resolve_unit(unit.core, table, attached=unit.suffix.startswith("."))
        if measure is not None:
            return measure, unit.core, (unit.core_start, unit_end(cursor, 1, table))
    return None, "", (token.core_end, token.core_end)


def _name_of_side(
    cursor: TokenCursor, measure: Measure | None, last: Numeral, end: int, table: LanguageTable
) -> str:
    if measure is None:
        return ""
    several = last.value if last.value > 2 and table.numbers.counted_alone else 2
    return table.form(measure.forms, 1 if describes(cursor, end, "", table) else several)


@matching(
    rf"(?P<sign>[~≈])?(?P<number>{NUMBER})(?:(?:(?P<times>[x×·*])10\^?|\^)(?P<plain>[-−]?\d{{1,4}})|[eE](?P<e>[-+−]?\d{{1,3}})"
    rf"|(?P<ten>[x×·*]10)?(?P<raised>[⁻⁺]?[⁰¹²³⁴-⁹]{{1,4}}))"
)
def power(match: re.Match[str], cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "10^8", "3×10⁸", "1.5e-3"."""
    token, numeral = cursor.token(), parse_numeral(match["number"], table)
    if numeral is None:
        return None
    raised = match["plain"] or match["e"] or match["raised"].translate(writing.RAISED)
    exponent = f"{table.numbers.power} {say_exponent(raised, table)}"
    base = say_numeral(numeral, table)
    if match["e"] or match["times"] or match["ten"]:
        base = f"{base} {table.signs.get('×', table.numbers.by)} {table.number_words.cardinal(10)}"
    elif match["number"] != "10":
        exponent = table.signs.get(_RAISED.get(raised, ""), exponent)
    about = f"{table.numbers.about} " if match["sign"] else ""
    phrase = PhraseBuilder()
    phrase.add(f"{about}{base} {exponent}", token.core_start, token.core_end)
    measure = resolve_unit(cursor.adjacent().core, table, attached=False)[0]
    return phrase.build_with(measure, cursor, table)


def say_exponent(written: str, table: LanguageTable) -> str:
    """An exponent in words."""
    words, figures = table.number_words, written.lstrip("+-−")
    if figures != written.lstrip("+"):
        return f"{table.numbers.minus} {words.cardinal(int(figures))}"
    return words.exponent(int(figures))


def sign_between(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """A sign that stands by itself between two numbers: "5 - 3 = 2", "9:00 – 17:00", "3 x 4"."""
    token = cursor.token()
    sign = token.text[token.start : token.end]
    # " : " with spaces is punctuation.
    if sign not in table.signs_between_figures or sign == ":":
        return None
    if sign in DASHES:
        spoken = _dash(cursor, table)
    elif sign == "x":
        spoken = _times(cursor, table)
    elif sign == "→":
        spoken = table.signs_between_figures[sign] if _CHANGE.hold(cursor, table) else None
    else:
        spoken = _between_figures(cursor, table)
    if spoken is None:
        return None
    apart = spoken if spoken == ", " else f" {spoken} "
    return Verbalization((Piece(apart, token.start, token.end),), token.end)


def _between_figures(cursor: TokenCursor, table: LanguageTable) -> str | None:
    before, token, number = cursor.previous(), cursor.token(), cursor.token(1).core
    if before.suffix or not (before.core[-1:].isnumeric() and number[:1].isnumeric()):
        return None
    sign = token.text[token.start : token.end]
    if sign == "/" and _TIMES.search(before.core) and _TIMES.search(number):
        # "9:00-14:00 / 17:00-20:00"
        return ", "
    return table.signs_between_figures[sign]


def _dash(cursor: TokenCursor, table: LanguageTable) -> str | None:
    """A range, a difference, or what is below zero ("mínima - 5 °C")."""
    first, close, number = cursor.previous().core, cursor.previous().suffix, cursor.token(1).core
    if first != number and _BETWEEN_DATES.hold(cursor, table):
        return table.numbers.to
    if not close and _TERM.fullmatch(first) and _LAST_TERM.fullmatch(number):
        # "2x - 1"
        return table.numbers.minus
    if not number[:1].isnumeric():
        return None
    half = first.replace(".", "").lower() in table.times.halves
    if not (half or first[-1:].isnumeric() or _is_measured(cursor, table)):
        # Before what is counted from below zero, too
        signed = number.endswith(_SIGNS) or cursor.adjacent(2).core in _SIGNS
        return table.numbers.minus if signed else None
    if close and not half:
        return None
    if _IN_A_ROW.hold(cursor, table):
        # "3 - 11 - 21": one number after the other.
        return ", "
    subtracted = cursor.token(2).core == "=" and not half and ":" not in first
    return table.numbers.minus if subtracted else table.numbers.to


def _times(cursor: TokenCursor, table: LanguageTable) -> str | None:
    """ "3 x 4", "huevos x 12", "2 m x 3 m"."""
    first, close, number = cursor.previous().core, cursor.previous().suffix, cursor.token(1).core
    figure = first[-1:].isdecimal()
    measured = _is_measured(cursor, table) or (not figure and cursor.previous(2).core.isdecimal())
    if close and close not in (_PRIMES if figure else "." * measured):
        return None
    if not measured and first[:1].isalpha() and _FIGURES.fullmatch(number):
        # "huevos x 12"
        return table.signs.get("×") if len(first) > 1 else None
    return _product(cursor, measured, table) if measured or first[-1:].isnumeric() else None


def _product(cursor: TokenCursor, measured: bool, table: LanguageTable) -> str | None:
    """The word between sides ("3 x 4 cm"), or the one between factors."""
    number, following = cursor.token(1).core, cursor.token(2).core
    letter = len(number) == 1 and number.isupper() and following[:1].isdecimal()
    if number[:1] in table.currencies or (following == "=" and number[:1].isnumeric()):
        return table.signs.get("×")
    if not (letter or number[:1].isnumeric()):
        return None
    if is_kind(cursor.token(), "score", table) and _MATCH.hold(cursor, table):
        return table.numbers.to
    crossed = "x" in (following, cursor.previous(2).core)
    side = measured or letter or crossed or measures(following, _LENGTHS, table)
    return table.numbers.by if side else table.signs_between_figures["x"]


def _is_measured(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True after an amount: "5 kg - 6 kg", "5kg - 6kg"."""
    amount = _AMOUNT.fullmatch(cursor.previous().core)
    counted = cursor.previous().core in table.units and cursor.previous(2).core[-1:].isnumeric()
    return counted or (amount is not None and amount["unit"] in table.units)


def number_sign(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """The "#" of "Carrera 15 # 93-47", before a figure: the word for number."""
    token = cursor.token()
    if token.text[token.start : token.end] != "#" or not cursor.token(1).core[:1].isdecimal():
        return None
    return token.said(table.numbers.number_sign)


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
    return token.said("—")


def named_sign(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """The name of a sign of several characters; "==" by itself is a drawn line."""
    # ">= 5" becomes one word once the figure is there, so that the next word is waited for.
    token, following = cursor.token(), cursor.token(1)
    if token.core == "==" and not (following.core and cursor.previous().core):
        return None
    return token.said(table.signs[token.core])


def drawn_row(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """A phrase break for "--" and "---"; nothing for a drawn line or a row of another sign."""
    token = cursor.token()
    dash = (Piece("—", token.core_start, token.core_end),) if token.core in ("--", "---") else ()
    return Verbalization(dash, token.core_end)
