"""Ranges with a sign at each end: "$1.5M-2M", "20kg–30kg", "XV-XVI"."""

from __future__ import annotations

import re

from kani.text.normalizer.rules.acronyms import roman_value
from kani.text.normalizer.rules.numerals import DASHES, NUMBER
from kani.text.normalizer.rules.quantities import quantity
from kani.text.normalizer.spoken import Piece, Verbalization
from kani.text.normalizer.tables.table import LanguageTable
from kani.text.normalizer.tokens import TokenCursor, token_at

_MEASURED = re.compile(
    rf"(?P<first>[^\w\s]?{NUMBER}[^{DASHES}\d\s]{{1,12}})(?P<dash>[{DASHES}])(?P<last>[^\w\s]?{NUMBER}\S{{0,12}})"
)
_ROMANS = re.compile(rf"(?P<first>[IVX]+)(?P<dash>[{DASHES}])(?P<last>[IVX]+)")


def measured(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """Two quantities, the first with its unit."""
    token = cursor.token()
    match = _MEASURED.fullmatch(token.core)
    if match is None:
        return None
    dash = token.core_start + match.start("dash")
    first = quantity(TokenCursor([token_at(token.text, token.core_start, dash)], (), complete=True), table)
    if first is None or first.end != dash:
        return None
    with cursor.without_prefix(match.start("last")):
        last = quantity(cursor, table)
    if last is None:
        return None
    to = Piece(f" {table.numbers.to} ", dash, dash + 1)
    return Verbalization((*first.pieces, to, *last.pieces), last.end)


def roman(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """Two Roman numerals after a word that has them: "siglos XV-XVI"."""
    token = cursor.token()
    match = _ROMANS.fullmatch(token.core)
    if match is None or cursor.previous().core.lower() not in table.roman.cardinal:
        return None
    first, last = roman_value(match["first"]), roman_value(match["last"])
    if first is None or last is None:
        return None
    start, dash, end = token.core_start, token.core_start + match.start("dash"), token.core_end
    return Verbalization(
        (
            Piece(table.number_words.cardinal(first), start, dash),
            Piece(f" {table.numbers.to} ", dash, dash + 1),
            Piece(table.number_words.cardinal(last), dash + 1, end),
        ),
        end,
    )
