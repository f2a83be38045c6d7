"""Tokens of several kinds of characters, which no rule knows: each kind is read by itself."""

import functools
import re
from dataclasses import replace

from kani_text.normalizer.rules import acronyms, fractions, numerals
from kani_text.normalizer.rules.units import sign_name
from kani_text.normalizer.spoken import Piece, Verbalization
from kani_text.normalizer.tables.table import LanguageTable
from kani_text.normalizer.tokens import Token

_LETTERS = r"[^\W\d_₀-₉⁰¹²³⁴-⁹½¼¾⅐-⅞]+"
_LOWERED = "₀₁₂₃₄₅₆₇₈₉"
_CODE = re.compile(r"[A-Z]{2}-\d")
_PARTS = re.compile(rf"{numerals.NUMBER}|[<>=!]=+|{_LETTERS}(?:['’]{_LETTERS})*|.", re.DOTALL)


_Read = tuple[str, str | tuple[Piece, ...], int]
"""The kind of characters, what is said for them, and the number of parts that are read."""


def verbalize_parts(token: Token, table: LanguageTable, *, after_figure: bool = False) -> Verbalization:
    """Verbalize a token of several kinds of characters, each kind by itself.

    after_figure: a number or a currency stands before it, which it may count ("2 veces/semana").
    """
    parts = [part.group() for part in _PARTS.finditer(token.core)]
    pieces: list[Piece] = []
    before, at, start = "", 0, token.core_start
    while at < len(parts):
        kind, said, count = _read(parts, at, start, token.core, table, after_figure)
        if pieces and {kind, before} == {"digits", "letters"}:
            pieces.append(Piece(" ", start, start + 1))
        end = start + sum(map(len, parts[at : at + count]))
        pieces += (Piece(said, start, end),) if isinstance(said, str) else said
        before, at, start = kind, at + count, end
    pieces[-1] = replace(pieces[-1], text=pieces[-1].text.rstrip(" "))
    return Verbalization(tuple(piece for piece in pieces if piece.text), token.core_end)


def _read(
    parts: list[str], at: int, start: int, core: str, table: LanguageTable, after_figure: bool
) -> _Read:
    """Read the part ``at``, with the one after it where they are one word."""
    part, before = parts[at], parts[at - 1] if at else ""
    following = parts[at + 1] if at + 1 < len(parts) else ""
    if part[0].isdecimal():
        return _figures(parts, at, core, table)
    if part in numerals.VULGAR_FRACTIONS:
        return "digits", fractions.say_fraction(*numerals.VULGAR_FRACTIONS[part], table), 1
    if part in _LOWERED:
        return "digits", table.number_words.cardinal(int(part.translate(numerals.LOWERED))), 1
    if part == "x" and before[-1:].isnumeric() and following[:1].isdecimal():
        # "M8x40"
        return "sign", f" {table.numbers.by} ", 1
    if part[0].isalpha():
        return "letters", _letters(part, start, core, table), 1
    if part == "/" and after_figure and _counts(before, following, table):
        # "2 veces/semana"
        return "sign", f" {table.per} ", 1
    return "sign", _sign(part, before[-1:], following[:1], core, table), 1


def _figures(parts: list[str], at: int, core: str, table: LanguageTable) -> _Read:
    """A number, an ordinal ("1st/last"), a decade's plural ("B-52s") or a version ("numpy==1.26")."""
    part, mark = parts[at], parts[at + 1] if at + 1 < len(parts) else ""
    if part.isdecimal() and mark.isalpha():
        if mark in table.ordinals and (len(mark) > 1 or (mark == "e" and "/" in core)):
            return "letters", table.number_words.ordinal(int(part), table.ordinals[mark]), 2
        if mark == table.numbers.decade_mark and at + 2 == len(parts) and _has_letters(core):
            decade = table.number_words.decade(int(part))
            if decade != table.number_words.year(int(part)):
                return "digits", decade, 2
    pinned = at > 0 and parts[at - 1].endswith("==")
    numeral = None if pinned else numerals.parse_numeral(part, table)
    return "digits", _dotted(part, table) if numeral is None else numerals.say_numeral(numeral, table), 1


@functools.lru_cache(maxsize=64)
def _has_letters(core: str) -> bool:
    """True for two letters and more; asked once for each part of a token."""
    return sum(map(str.isalpha, core)) > 1


def _counts(counted: str, period: str, table: LanguageTable) -> bool:
    """True if the word after a slash is a time that the word before it is counted in: no "day/night"."""
    unit = table.units.get(period)
    named = unit is not None and unit.attached and unit.forms.get("one") == period
    return named and counted.isalpha() and counted.lower() not in table.units


def _dotted(written: str, table: LanguageTable) -> str:
    """Digit groups that are not one number, each by itself."""
    parts, signs = re.split(r"(\D)", written), table.web.signs
    said = (numerals.say_group(one, table) if one.isdecimal() else signs.get(one, ",") for one in parts)
    return " ".join(said)


def _letters(part: str, start: int, core: str, table: LanguageTable) -> tuple[Piece, ...]:
    """Verbalize a run of letters inside a token."""
    if part != core and _is_spelled(part, core, table):
        return acronyms.spelled_pieces(part, start, table)
    if len(part) > 1 and part.isupper() and part.isalpha():
        return acronyms.capitals_pieces(part, start, table)
    if part in table.greek:
        return (Piece(table.greek[part], start, start + 1),)
    return acronyms.camel_case_pieces(part, start, table) or (Piece(part, start, start + len(part)),)


def _is_spelled(part: str, core: str, table: LanguageTable) -> bool:
    """True for the letters of an order's number ("ES-88213"), of "A&B", "B2", "x=3"."""
    if len(part) == 1:
        named = part.lower() in table.letters if part.isupper() else part in acronyms.VARIABLES
        return named and (part.isupper() or table.letters.get(part, part.upper()) != part.upper())
    coded = _CODE.match(core) is not None and core.startswith(f"{part}-")
    return coded or ("&" in core and len(part) <= 3 and part.isupper() and bool(table.letters))


def _sign(sign: str, before: str, following: str, core: str, table: LanguageTable) -> str:
    """The spoken form of a sign inside a token."""
    if sign == "$" and following.isalpha():
        # A variable of a program: "$HOME"
        return ""
    # "A320/B737", "ES-88213"
    coded = core[0].isupper() and "=" not in core if sign == "/" else sign == "-" and _has_letters(core)
    if coded and following.isdecimal():
        return " "
    if said := _between(sign, before, following, table) or _name(sign, following, table):
        return f" {said} "
    if sign in "/_|{}" or _parts_figures(sign, before, following):
        return " "
    return "" if sign in "*`~^\\" else sign


def _parts_figures(sign: str, before: str, following: str) -> bool:
    """True for a hyphen beside a figure, and for the stop of "3.b)"."""
    if sign == ".":
        return before.isnumeric() and following.isalpha()
    return sign in "-–‐‑" and (before.isnumeric() or following.isnumeric())


def _name(sign: str, following: str, table: LanguageTable) -> str:
    if sign in table.signs or len(sign) > 1:
        return table.signs.get(sign) or table.signs.get(sign[-1], "")
    return sign_name(sign, table) if sign in "+−±~" and following.isnumeric() else ""


def _between(sign: str, before: str, following: str, table: LanguageTable) -> str:
    """A sign between two figures or two words: "15%→12%", "N·m", "SFO→JFK"."""
    figures = (before.isnumeric() or (sign == "→" and before in "%‰€£$°")) and following.isnumeric()
    if figures or (sign == "·" and before.isalnum() and following.isalnum()):
        return table.signs_between_figures.get(sign, "")
    return table.numbers.to if sign == "→" and before.isalpha() and following.isalpha() else ""
