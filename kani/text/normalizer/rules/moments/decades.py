"""Decades, and years that belong to a word: "the '90s", "1960s-1980s", "mid-1980s", "under-18s"."""

from __future__ import annotations

import re

from kani.text.normalizer.rules.numerals import DASHES
from kani.text.normalizer.spoken import Piece, Verbalization
from kani.text.normalizer.tables.table import LanguageTable
from kani.text.normalizer.tokens import Token, TokenCursor

_ANY_SHORT_YEAR = re.compile(r"\d[1-9]|[1-9]0")
_SHORT_YEAR = re.compile(r"[1-9]\d")
_DECADE = re.compile(r"(\d{2,4})(\D{1,2})")
_DECADE_WORD = re.compile(rf"(?P<years>\d\d\d0)(?P<mark>['’]?s)[{DASHES}](?P<word>[^\W\d_]{{3,}})")
_NAMED_YEARS = re.compile(rf"(?P<before>[^\W\d_]+)[{DASHES}]['’]?(?P<years>\d{{1,4}}[^\W\d_]{{0,2}})")
_ORDINAL_YEARS = re.compile(r"(?P<number>\d{1,2})(?P<mark>st|nd|rd|th)")
_UNDER = re.compile(r"U(\d{1,2})(s?)")
_YOUNGEST = 5
_AGES = frozenset(("under", "over", "sub"))
_OF_LIVES = frozenset("my your his her our their".split())
_OF_TIMES = frozenset("after in by before until till".split())
_LONGEST_S = 40
"""Seconds up to which such a word stands before a duration: "in 30s", but "in 80s Berlin"."""
_ANY_DECADE = re.compile(r"(?:\d\d)?\d0s")
_AGE = re.compile(r"(\d{1,2})s")
_APOSTROPHES = "'’‘"
_OF_DECADES = frozenset(
    """kids kid music fashion show shows hit hits movie movies film films style nostalgia rock pop band bands
    song songs sitcom sitcoms cartoon cartoons aesthetic era icon vibe vibes party soundtrack""".split()
)
"""Nouns that a decade describes: "90s music"."""


def decade(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "1990s", "'90s", "the 90s", "1960s-1980s"."""
    token = cursor.token()
    pieces: list[Piece] = []
    at = token.core_start
    marked = token.prefix != "" and token.prefix[-1] in _APOSTROPHES
    years = _ANY_SHORT_YEAR if table.language == "en" else _SHORT_YEAR
    if marked and years.fullmatch(token.core) and not token.suffix.startswith(tuple(_APOSTROPHES)):
        # "anni '80": the apostrophe stands for the century and is not spoken.
        spoken = table.number_words.cardinal(int(token.core))
        if token.core[0] == "0":
            spoken = f"oh {spoken}"
        return Verbalization((Piece(spoken, token.core_start - 1, token.core_end),), token.core_end)
    if (
        table.language == "en"
        and (under := _UNDER.fullmatch(token.core)) is not None
        and int(under[1]) > _YOUNGEST
    ):
        # "U16s"
        words = table.number_words
        said = words.decade(int(under[1])) if under[2] else words.cardinal(int(under[1]))
        return Verbalization((Piece(f"under {said}", token.core_start, token.core_end),), token.core_end)
    if (named := _NAMED_YEARS.fullmatch(token.core)) is not None:
        return _named_years(token, named, table)
    if (joined := _DECADE_WORD.fullmatch(token.core)) and joined["mark"][-1:] == table.numbers.decade_mark:
        # "1980s-era"
        end = token.core_start + joined.start("word")
        return Verbalization(
            (
                Piece(table.number_words.decade(int(joined["years"])), token.core_start, end - 1),
                Piece(f" {joined['word']}", end - 1, token.core_end),
            ),
            token.core_end,
        )
    at -= marked
    before = cursor.previous().core.lower()
    if table.language == "en" and before in _AGES and (ages := _AGE.fullmatch(token.core)) is not None:
        # "the under 18s"
        said = table.number_words.decade(int(ages[1]))
        return Verbalization((Piece(said, token.core_start, token.core_end),), token.core_end)
    # "the '80s and 90s", "her 20s or 30s"
    decades = _ANY_DECADE.fullmatch(cursor.previous(2).core) if before in ("and", "or", "to") else None
    short = before in _OF_TIMES and (one := _AGE.fullmatch(token.core)) and int(one[1]) <= _LONGEST_S
    marked = marked or (before in table.numbers.year_after and not short)
    marked = marked or before in _OF_LIVES or decades is not None
    marked = marked or (cursor.is_adjacent(1) and cursor.token(1).core in _OF_DECADES)
    for part in re.split(rf"([{DASHES}/])", token.core):
        match = _DECADE.fullmatch(part.replace("'s", "s").replace("’s", "s"))
        if part == "/":
            spoken = " "
        elif part and part in DASHES:
            spoken = f" {table.numbers.to} "
        elif (
            match is None
            or int(match[1]) % 10
            or match[2] != table.numbers.decade_mark
            or (len(match[1]) == 2 and not (marked or pieces))
            or (len(match[1]) == 3 and not marked)
        ):
            return None
        else:
            spoken = table.number_words.decade(int(match[1]))
        end = max(at, token.core_start) + len(part)
        pieces.append(Piece(spoken, at, end))
        at = end
    return Verbalization(tuple(pieces), token.core_end)


def _named_years(token: Token, named: re.Match[str], table: LanguageTable) -> Verbalization | None:
    """ "mid-1980s", "pre-1990": years after a word that belongs to them."""
    before, years = named["before"], named["years"]
    ordinal = _ORDINAL_YEARS.fullmatch(years)
    ages = _AGE.fullmatch(years) if before.lower() in _AGES and table.numbers.decade_mark == "s" else None
    if ages is not None or (ordinal is not None and ordinal["mark"] in table.ordinals):
        # "under-18s", "mid-19th"
        words = table.number_words
        if ages is not None:
            spoken = words.decade(int(ages[1]))
        else:
            assert ordinal is not None
            spoken = words.ordinal(int(ordinal["number"]), table.ordinals[ordinal["mark"]])
        begin = token.core_start + named.start("years")
        pieces = Piece(before, token.core_start, begin - 1), Piece(f" {spoken}", begin - 1, token.core_end)
        return Verbalization(pieces, token.core_end)
    decade = _DECADE.fullmatch(years)
    if decade is not None:
        number = int(decade[1])
        known = len(decade[1]) == 4 or before.lower() in table.numbers.year_after
        if number % 10 or decade[2] != table.numbers.decade_mark or not known:
            return None
        spoken = table.number_words.decade(number)
    elif before.islower() and len(years) == 4 and years.isdecimal() and 1100 <= int(years) < 2100:
        spoken = table.number_words.year(int(years))
    else:
        return None
    start, at = token.core_start, token.core_start + named.start("years")
    return Verbalization(
        (Piece(before, start, at - 1), Piece(f" {spoken}", at - 1, token.core_end)), token.core_end
    )
