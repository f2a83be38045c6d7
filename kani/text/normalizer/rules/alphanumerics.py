"""Digits joined to letters: "80er", "18-jährig", and particles written before a number."""

from __future__ import annotations

import re

from kani.text.normalizer.spoken import Piece, Verbalization
from kani.text.normalizer.tables.table import LanguageTable
from kani.text.normalizer.tokens import Token, TokenCursor

_ENDING = re.compile(r"(\d{1,4})(-?)([^\W\d_]\S*)")

_BEFORE = tuple("+-−±~≈%٪")


def number_with_ending(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """A number that is the first part of a word ([numbers] endings)."""
    token = cursor.token()
    match = _ENDING.fullmatch(token.core) if table.numbers.endings else None
    if match is None or (len(match[1]) > 1 and match[1][0] == "0"):
        return None
    rest = match[3]
    found = rest.startswith(table.numbers.endings)
    # "3-Zimmer-Wohnung": where nouns have capitals, any of them may follow.
    compound = table.agreement.capitals and match[2] != "" and rest[0].isupper() and rest[1:2].islower()
    measured = (
        table.agreement.capitals and match[2] != "" and "-" in rest and rest.partition("-")[0] in table.units
    )
    if not (found or compound or measured):
        return None
    number = int(match[1])
    year = 1100 <= number < 2100 and not match[2]
    spoken = table.number_words.year(number) if year else table.number_words.cardinal(number, "m")
    at = token.core_start + match.start(3)
    spoken = f"{spoken}-" if compound and not found else spoken
    head, _, tail = rest.partition("-")
    if measured:
        # "10-km-Sprint"
        forms, middle = table.units[head].forms, at + len(head)
        name = Piece(forms.get("one", forms["other"]), at, middle)
        first = Piece(f"{spoken} ", token.core_start, at)
        return Verbalization((first, name, Piece(f"-{tail}", middle, token.core_end)), token.core_end)
    return Verbalization(
        (Piece(spoken, token.core_start, at), Piece(rest, at, token.core_end)), token.core_end
    )


def number_prefix(core: str, table: LanguageTable) -> str:
    """The prefix of a token's digits that is spoken as a part of the number, or ""."""
    for written in table.numbers.prefixes:
        behind = core[len(written) : len(written) + 1]
        if core.startswith(written) and (
            behind.isnumeric() or behind in _BEFORE or behind in table.currencies
        ):
            return written
    return ""


def join_prefix(spoken: Verbalization, written: str, token: Token, table: LanguageTable) -> Verbalization:
    """Join a number's verbalization with its prefix."""
    first, *others = spoken.pieces
    joined = Piece(table.number_words.with_prefix(written, first.text), token.core_start, first.end)
    return Verbalization((joined, *others), spoken.end)
