"""Tokens of several kinds of characters, which no rule knows: each kind is read by itself."""

from __future__ import annotations

import re

from kani.text.normalizer.rules import acronyms, fractions
from kani.text.normalizer.rules.numerals import (
    LOWERED,
    NUMBER,
    VULGAR_FRACTIONS,
    parse_numeral,
    say_digits,
    say_numeral,
)
from kani.text.normalizer.rules.units import sign_name
from kani.text.normalizer.spoken import Piece, Verbalization
from kani.text.normalizer.tables.table import LanguageTable
from kani.text.normalizer.tokens import Token

_LETTERS = r"[^\W\d_₀-₉⁰¹²³⁴-⁹½¼¾⅐-⅞]+"
_CODE = re.compile(r"[A-Z]{2}-\d")
_PARTS = re.compile(rf"{NUMBER}|[<>=!]=+|{_LETTERS}(?:['’]{_LETTERS})*|.", re.DOTALL)


def verbalize_parts(token: Token, table: LanguageTable, *, after_figure: bool = False) -> Verbalization:
    """Verbalize a token of several kinds of characters, each kind by itself.

    after_figure: a number or a currency stands before it, which it may count ("2 veces/semana").
    """
    pieces: list[Piece] = []
    found = list(_PARTS.finditer(token.core))
    kind_before = ""
    marked = -1
    lettered, slashed = sum(map(str.isalpha, token.core)) > 1, "/" in token.core
    for at, match in enumerate(found):
        part = match.group()
        if at == marked:
            continue
        start, end = token.core_start + match.start(), token.core_start + match.end()
        following = found[at + 1].group()[0] if at + 1 < len(found) else ""
        verbalization: tuple[Piece, ...]
        if part[0].isdecimal() and (mark := _mark(found, at, table, slashed)) is not None:
            # "1st/last"
            kind, end = "letters", token.core_start + found[at + 1].end()
            said = table.number_words.ordinal(int(part), table.ordinals[mark])
            verbalization, marked = (Piece(said, start, end),), at + 1
        elif part[0].isdecimal():
            kind = "digits"
            # "numpy==1.26" is a version.
            pinned = at > 0 and found[at - 1].group().endswith("==")
            numeral = None if pinned and "." in part else parse_numeral(part, table)
            text = say_numeral(numeral, table) if numeral is not None else _dotted(part, table)
            verbalization = (Piece(text, start, end),)
        elif part == "x" and kind_before == "digits" and following.isdecimal():
            # "M8x40"
            kind, verbalization = "sign", (Piece(f" {table.numbers.by} ", start, end),)
        elif part in "₀₁₂₃₄₅₆₇₈₉":
            kind = "digits"
            verbalization = (Piece(table.number_words.cardinal(int(part.translate(LOWERED))), start, end),)
        elif (
            part == "s"
            and kind_before == "digits"
            and following == ""
            and lettered
            and table.language == "en"
            and found[at - 1].group().isdecimal()
        ):
            # "B-52s", "MP3s"
            kind, figures = "letters", pieces.pop()
            said = table.number_words.decade(int(found[at - 1].group()))
            verbalization = (Piece(said, figures.start, end),)
            kind_before = kind
        elif part[0].isalpha():
            kind = "letters"
            verbalization = _letters(part, start, token.core, table)
        elif part in VULGAR_FRACTIONS:
            kind, verbalization = "digits", (Piece(fractions.say_vulgar(part, table), start, end),)
        elif (
            part == "/"
            and after_figure
            and 0 < at < len(found) - 1
            and _counts(found[at - 1], found[at + 1], table)
        ):
            # "2 veces/semana"
            kind, verbalization = "sign", (Piece(f" {table.per} ", start, end),)
        elif part in "{}":
            kind, verbalization = "sign", (Piece(" ", start, end),)
        else:
            kind = "sign"
            coded = part == "/" and token.core[0].isupper() and "=" not in token.core
            named = (coded or (part == "-" and lettered)) and following.isdecimal()
            said = " " if named else _sign(part, found[at - 1].group()[-1] if at else "", following, table)
            verbalization = (Piece(said, start, end),)
        apart = kind != kind_before and {kind, kind_before} == {"digits", "letters"}
        if pieces and apart:
            pieces.append(Piece(" ", start, start + 1))
        pieces += verbalization
        kind_before = kind
    if pieces:
        last = pieces.pop()
        pieces.append(Piece(last.text.rstrip(" "), last.start, last.end))
    return Verbalization(tuple(piece for piece in pieces if piece.text), token.core_end)


def _mark(found: list[re.Match[str]], at: int, table: LanguageTable, slashed: bool) -> str | None:
    """The mark of an ordinal after a number inside a token."""
    mark = found[at + 1].group() if at + 1 < len(found) else ""
    number = found[at].group()
    known = mark in table.ordinals and mark.isalpha() and (len(mark) > 1 or (mark == "e" and slashed))
    return mark if known and number.isdecimal() else None


def _counts(counted: re.Match[str], period: re.Match[str], table: LanguageTable) -> bool:
    """True if the word after a slash is a time that the word before it is counted in: no "day/night"."""
    words = counted.group().lower(), period.group()
    unit = table.units.get(words[1])
    return bool(
        table.per
        and words[0].isalpha()
        and words[0] not in table.units
        and unit is not None
        and unit.attached
        and unit.forms.get("one") == words[1]
    )


def _dotted(written: str, table: LanguageTable) -> str:
    """Digit groups that are not one number, each by itself."""
    verbalization = []
    for part in re.split(r"(\D)", written):
        if not part.isdecimal():
            verbalization.append(table.web.signs.get(part, ","))
        else:
            long = len(part) > 15 or (part[0] == "0" and len(part) > 1)
            verbalization.append(say_digits(part, table) if long else table.number_words.cardinal(int(part)))
    return " ".join(verbalization)


def _letters(part: str, start: int, core: str, table: LanguageTable) -> tuple[Piece, ...]:
    """Verbalize a run of letters inside a token."""
    compound = part != core
    if "&" in core and len(part) <= 3 and part.isupper() and table.letters:
        return acronyms.spelled_pieces(part, start, table)
    if _CODE.match(core) and core.startswith(f"{part}-") and table.letters:
        # "ES-88213", an order's number
        return acronyms.spelled_pieces(part, start, table)
    if len(part) > 1 and part.isupper() and part.isalpha():
        return acronyms.capitals_pieces(part, start, table)
    if len(part) == 1 and compound and part.isupper() and part.lower() in table.letters:
        return acronyms.spelled_pieces(part, start, table)
    if part in acronyms.VARIABLES and compound and table.letters.get(part, part.upper()) != part.upper():
        # "x=3", "2x+5"
        return acronyms.spelled_pieces(part, start, table)
    if part in table.greek:
        return (Piece(table.greek[part], start, start + 1),)
    return acronyms.camel_case_pieces(part, start, table) or (Piece(part, start, start + len(part)),)


def _sign(sign: str, before: str, following: str, table: LanguageTable) -> str:
    """The spoken form of a sign inside a token."""
    if sign == "→" and before in "%‰€£$°":
        # "15%→12%"
        before = "0"
    if before.isnumeric() and following.isnumeric() and sign in table.signs_between_figures:
        return f" {table.signs_between_figures[sign]} "
    if sign == "·" and before.isalnum() and following.isalnum() and sign in table.signs_between_figures:
        return f" {table.signs_between_figures[sign]} "
    if sign == "→" and before.isalpha() and following.isalpha():
        # "SFO→JFK"
        return f" {table.numbers.to} "
    if sign == "$" and following.isalpha() and not before.isnumeric():
        # A variable of a program: "$HOME".
        return ""
    if sign in table.signs:
        return f" {table.signs[sign]} "
    if len(sign) > 1:
        return f" {table.signs.get(sign[-1], '')} "
    if sign == "." and before.isnumeric() and following.isalpha():
        # "3.b)"
        return " "
    if sign in "-–‐‑" and (before.isnumeric() or following.isnumeric()):
        return " "
    if sign in "+-−±~" and following.isnumeric():
        return f" {sign_name(sign, table)} "
    if sign in "/_|":
        return " "
    return "" if sign in "*`~^\\" else sign
