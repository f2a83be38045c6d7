"""Abbreviations that are a part of a word: "St-Pierre", "3-Zi.-Whg.", "Hauptstr."."""

from __future__ import annotations

import re

from kani.text.normalizer.rules.acronyms import is_pronounceable
from kani.text.normalizer.rules.trades import may_end
from kani.text.normalizer.spoken import Piece, Verbalization
from kani.text.normalizer.tables.table import LanguageTable
from kani.text.normalizer.tokens import TokenCursor

_DATE = re.compile(r"\d{1,2}-[^\W\d_]+\.?-\d{2,4}")
_RANGE = re.compile(r"(\d{1,2})[–‒](\d{1,2})")
_MOST_FIGURES = 4
_LONGEST_END = 4
_APART = frozenset(("St.", "Fr.", "Zi.", "Dr.", "Prof."))
_JOINED_BY_S = ("ung", "heit", "keit", "schaft", "ion", "tät")


def compound(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "St-Pierre", "Best.-Nr.", "3-Zi.-Whg.": a word whose parts are abbreviated, or its first one."""
    token = cursor.token()
    if not table.abbreviated_beginnings or "-" not in token.core:
        return None
    whole = token.core + "." * token.suffix.startswith(".")
    if _DATE.fullmatch(token.core) or any(
        len(part.rstrip(".")) < 2 and not part.isdecimal() for part in whole.split("-")
    ):
        return None
    pieces: list[Piece] = []
    at, expanded, joined = token.core_start, False, False
    parts = whole.split("-")
    for part, following in zip(parts, [*parts[1:], ""], strict=True):
        said = _in_compound(part, table, first=not pieces)
        last = at + len(part) - token.core_start == len(whole)
        expanded = expanded or (said != part and not part.isdecimal())
        said = said[0].lower() + said[1:] if joined else said
        # "Auftr.-Nr." is one word: "Auftragsnummer".
        joined = said != part and part[-1] == "." and part not in _APART and not following.isupper()
        joined = joined and table.agreement.capitals
        pieces.append(Piece(said if last or joined else f"{said}-", at, at + len(part) + (not last)))
        at += len(part) + 1
    return Verbalization(tuple(pieces), token.core_start + len(whole)) if expanded else None


def _in_compound(part: str, table: LanguageTable, first: bool) -> str:
    """A part of a compound in full, or as it is."""
    if first and (ranged := _RANGE.fullmatch(part)):
        # "1–2-Zi.-Whg."
        return f" {table.numbers.to} ".join(table.number_words.cardinal(int(one)) for one in ranged.groups())
    if first and part in table.abbreviated_beginnings:
        return table.abbreviated_beginnings[part]
    if part.isdecimal() and first:
        return table.number_words.cardinal(int(part), "m") if len(part) <= _MOST_FIGURES else part
    if part.endswith("."):
        exact = next(iter(table.abbreviations.get(part, ())), None)
        endings = {} if exact is not None and len(exact.parts) == 1 else table.abbreviated_endings
        for ending, said in endings.items():
            if part.endswith(ending) and len(part) > len(ending):
                return part.removesuffix(ending) + said
        if exact is not None and len(exact.parts) == 1:
            return exact.said.get("name") or exact.said.get("other") or exact.said.get("number") or part
        cut = table.cut.get(part[:-1].lower(), part)
        cut += "s" if first and cut.endswith(_JOINED_BY_S) else ""
        return table.abbreviated_beginnings.get(part, cut)
    return part


def abbreviated_ending(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "Hauptstr.": a word that ends in an abbreviation."""
    token = cursor.token()
    if not table.abbreviated_endings or not token.suffix.startswith("."):
        return None
    if may_end(cursor) and is_pronounceable(token.core[-_LONGEST_END:], table):
        # "Das war ein Drittel.", "Er hat Pech gehabt."
        return None
    for ending, spoken in table.abbreviated_endings.items():
        whole = f"{token.core}."
        begin = whole.removesuffix(ending)
        if begin != whole and begin.isalpha() and len(begin) > 2:
            stop = not (token.suffix == "." and (cursor.token(1).core == ""))
            end = token.core_end + stop
            at = token.core_start + len(begin)
            return Verbalization((Piece(begin, token.core_start, at), Piece(spoken, at, end)), end)
    return None
