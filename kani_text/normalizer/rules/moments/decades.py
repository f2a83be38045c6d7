"""Decades, and years that belong to a word: "the '90s", "1960s-1980s", "mid-1980s", "pre-1990"."""

from __future__ import annotations

import re

from kani_text.normalizer.kinds import Rows, is_kind
from kani_text.normalizer.rules.numerals import DASHES
from kani_text.normalizer.spoken import Piece, Verbalization
from kani_text.normalizer.tables.table import LanguageTable
from kani_text.normalizer.tokens import TokenCursor

_SHORT_YEAR = re.compile(r"[1-9]\d")
_DECADE = re.compile(r"(?P<year>\d{1,3}0)['’]?(?P<mark>\D{1,2})")
_WORD_BEFORE = re.compile(rf"[^\W\d_]+[{DASHES}]['’]?(?=\d)")
_SIGN = re.compile(rf"([{DASHES}/])")
_APOSTROPHES = ("'", "’", "‘")
_OF_SOME_CENTURY = Rows("year_after|possessive @", "@ decade_noun", "decade and|to @", "decade 'or' @")
"""Around decades without their century: "in 80s Berlin", "her 20s", "90s music", "the '80s and 90s"."""
_DUE, _SECONDS = Rows("due @"), re.compile(r"[1-4]0s")
"""Times are due "in 30s", but nothing is "in 80s"."""


def decade(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "1990s", "'90s", "the 90s", "1960s-1980s", "mid-1980s", and the year of "anni '80"."""
    token = cursor.token()
    short = token.prefix.endswith(_APOSTROPHES)
    if short and _SHORT_YEAR.fullmatch(token.core) and not token.suffix.startswith(_APOSTROPHES):
        # The apostrophe stands for the century and is not spoken.
        spoken = table.number_words.cardinal(int(token.core))
        return Verbalization((Piece(spoken, token.core_start - 1, token.core_end),), token.core_end)
    if (word := _WORD_BEFORE.match(token.core)) is not None:
        return _after_word(word.group(), cursor, table)
    known = short or (
        _OF_SOME_CENTURY.hold(cursor, table)
        and not (_SECONDS.fullmatch(token.core) and _DUE.hold(cursor, table))
    )
    pieces: list[Piece] = []
    at = token.core_start - short
    for part in _SIGN.split(token.core):
        spoken = " " if part == "/" else f" {table.numbers.to} "
        if not _SIGN.fullmatch(part):
            match = _DECADE.fullmatch(part)
            if match is None or match["mark"] != table.numbers.decade_mark:
                return None
            if len(match["year"]) < len("1990") and not known:
                return None
            spoken, known = table.number_words.decade(int(match["year"])), True
        end = max(at, token.core_start) + len(part)
        pieces.append(Piece(spoken, at, end))
        at = end
    return Verbalization(tuple(pieces), token.core_end)


def _after_word(word: str, cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """The years of "mid-1980s", "pre-1990"."""
    with cursor.without_prefix(len(word)) as rest:
        found = decade(cursor, table)
        if found is None and word.islower() and is_kind(rest, "year", table):
            year = table.number_words.year(int(rest.core))
            found = Verbalization((Piece(year, rest.core_start, rest.core_end),), rest.core_end)
    if found is None:
        return None
    at = cursor.token().core_start
    first, *others = found.pieces
    dash = at + len(word.rstrip("'’")) - 1
    return Verbalization(
        (Piece(word[: dash - at], at, dash), Piece(f" {first.text}", dash, first.end), *others), found.end
    )
