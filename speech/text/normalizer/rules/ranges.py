"""From one to another where each has its own sign: "$1.5M-2M", "20kg–30kg", "XV-XVI"."""

from __future__ import annotations

import re

from speech.text.normalizer.rules.acronyms import roman_value
from speech.text.normalizer.rules.numerals import DASHES, NUMBER
from speech.text.normalizer.rules.quantities import quantity
from speech.text.normalizer.spoken import Piece, Said
from speech.text.normalizer.tables.table import Table
from speech.text.normalizer.tokens import Cursor, word_at

_MEASURED = re.compile(
    rf"(?P<first>[^\w\s]?{NUMBER}[^{DASHES}\d\s]{{1,12}})(?P<dash>[{DASHES}])(?P<last>[^\w\s]?{NUMBER}\S{{0,12}})"
)
_ROMANS = re.compile(rf"(?P<first>[IVX]+)(?P<dash>[{DASHES}])(?P<last>[IVX]+)")


def measured(cursor: Cursor, table: Table) -> Said | None:
    """Two quantities, the first with what it counts."""
    word = cursor.word()
    match = _MEASURED.fullmatch(word.core)
    if match is None:
        return None
    dash = word.core_start + match.start("dash")
    first = quantity(Cursor([word_at(word.text, word.core_start, dash)], (), complete=True), table)
    if first is None or first.end != dash:
        return None
    with cursor.without(match.start("last")):
        last = quantity(cursor, table)
    if last is None:
        return None
    to = Piece(f" {table.numbers.to} ", dash, dash + 1)
    return Said((*first.pieces, to, *last.pieces), last.end)


def roman(cursor: Cursor, table: Table) -> Said | None:
    """Two Roman numerals behind a word that has them: "siglos XV-XVI"."""
    word = cursor.word()
    match = _ROMANS.fullmatch(word.core)
    if match is None or cursor.previous().core.lower() not in table.roman.cardinal:
        return None
    first, last = roman_value(match["first"]), roman_value(match["last"])
    if first is None or last is None:
        return None
    start, dash, end = word.core_start, word.core_start + match.start("dash"), word.core_end
    return Said(
        (
            Piece(table.words.cardinal(first), start, dash),
            Piece(f" {table.numbers.to} ", dash, dash + 1),
            Piece(table.words.cardinal(last), dash + 1, end),
        ),
        end,
    )
