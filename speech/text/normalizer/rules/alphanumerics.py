"""Figures that are joined to letters: "80er", "18-jährig", and particles written before a number."""

from __future__ import annotations

import re

from speech.text.normalizer.spoken import Piece, Verbalization
from speech.text.normalizer.tables.table import LanguageTable
from speech.text.normalizer.tokens import Token, TokenCursor

_ENDING = re.compile(r"(\d{1,4})(-?)([^\W\d_]\S*)")

_BEFORE = tuple("+-−±~≈%٪")


def number_with_ending(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """A number that is the first part of a word, as [numbers] endings have it."""
    word = cursor.token()
    match = _ENDING.fullmatch(word.core) if table.numbers.endings else None
    if match is None or (len(match[1]) > 1 and match[1][0] == "0"):
        return None
    rest = match[3]
    found = rest.startswith(table.numbers.endings)
    # "3-Zimmer-Wohnung": where nouns have capitals, any of them may follow.
    compound = table.agreement.capitals and match[2] != "" and rest[0].isupper() and rest[1:2].islower()
    if not (found or compound):
        return None
    number = int(match[1])
    year = 1100 <= number < 2100 and not match[2]
    said = table.number_words.year(number) if year else table.number_words.cardinal(number, "m")
    at = word.core_start + match.start(3)
    said = f"{said}-" if compound and not found else said
    return Verbalization((Piece(said, word.core_start, at), Piece(rest, at, word.core_end)), word.core_end)


def number_prefix(core: str, table: LanguageTable) -> str:
    """What stands before the figures of a word and is said as a part of the number, "" for nothing."""
    for written in table.numbers.prefixes:
        behind = core[len(written) : len(written) + 1]
        if core.startswith(written) and (
            behind.isnumeric() or behind in _BEFORE or behind in table.currencies
        ):
            return written
    return ""


def join_prefix(said: Verbalization, written: str, word: Token, table: LanguageTable) -> Verbalization:
    """What is said of a number, with what stands before its figures."""
    first, *others = said.pieces
    joined = Piece(table.number_words.with_prefix(written, first.text), word.core_start, first.end)
    return Verbalization((joined, *others), said.end)
