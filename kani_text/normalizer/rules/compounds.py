"""Abbreviations that are a part of a word: "St-Pierre", "3-Zi.-Whg.", "Hauptstr."."""

import re

from kani_text.normalizer.rules.acronyms import is_pronounceable
from kani_text.normalizer.rules.trades import may_end
from kani_text.normalizer.spoken import Piece, Verbalization
from kani_text.normalizer.tables.table import LanguageTable
from kani_text.normalizer.tokens import TokenCursor

_DATE = re.compile(r"\d{1,2}-[^\W\d_]+\.?-\d{2,4}")
_RANGE = re.compile(r"(\d{1,2})[–‒](\d{1,2})")
_MOST_FIGURES = 4
_LONGEST_END = 4


def compound(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "St-Pierre", "Best.-Nr.", "3-Zi.-Whg.": a word with abbreviated parts, or a first one."""
    token = cursor.token()
    if not table.abbreviated_beginnings or "-" not in token.core or _DATE.fullmatch(token.core):
        return None
    whole = token.core + "." * token.suffix.startswith(".")
    parts = whole.split("-")
    if any(len(part.rstrip(".")) < 2 and not part.isdecimal() for part in parts):
        return None
    said = [_first_part(parts[0], table), *(_part(part, table) for part in parts[1:])]
    if not any(form != part and not part.isdecimal() for part, form in zip(parts, said, strict=True)):
        return None
    return Verbalization(_pieces(parts, said, token.core_start, table), token.core_start + len(whole))


def _pieces(parts: list[str], said: list[str], at: int, table: LanguageTable) -> tuple[Piece, ...]:
    """The forms with hyphens between them; in German, "Auftr.-Nr." is one word: "Auftragsnummer"."""
    pieces: list[Piece] = []
    joined, apart = False, table.kinds.get("apart", ())
    for part, form in zip(parts, said, strict=True):
        last = len(pieces) == len(parts) - 1
        shown = form[0].lower() + form[1:] if joined else form
        joined = table.agreement.capitals and form != part and part[-1] == "." and part.lower() not in apart
        pieces.append(Piece(shown if last or joined else f"{shown}-", at, at + len(part) + (not last)))
        at += len(part) + 1
    return tuple(pieces)


def _first_part(part: str, table: LanguageTable) -> str:
    """The first part of a compound in full, or as it is."""
    if ranged := _RANGE.fullmatch(part):
        # "1–2-Zi.-Whg."
        return f" {table.numbers.to} ".join(table.number_words.cardinal(int(one)) for one in ranged.groups())
    if part.isdecimal():
        return table.number_words.cardinal(int(part), "m") if len(part) <= _MOST_FIGURES else part
    if part in table.abbreviated_beginnings:
        return table.abbreviated_beginnings[part]
    said, joined_by_s = _part(part, table), tuple(table.kinds.get("joined_by_s", ()))
    return f"{said}s" if joined_by_s and said != part and said.endswith(joined_by_s) else said


def _part(part: str, table: LanguageTable) -> str:
    """A part of a compound in full, or as it is."""
    if not part.endswith("."):
        return part
    exact = next((one.said for one in table.abbreviations.get(part, ()) if len(one.parts) == 1), None)
    if exact is not None:
        return next((exact[one] for one in ("name", "other", "number") if one in exact), part)
    for ending, said in table.abbreviated_endings.items():
        if part.endswith(ending) and part != ending:
            return part.removesuffix(ending) + said
    return table.abbreviated_beginnings.get(part, table.cut.get(part[:-1].lower(), part))


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
