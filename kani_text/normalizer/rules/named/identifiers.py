"""Letters and figures that are said one by one: booking codes, passwords."""

from __future__ import annotations

import re

from kani_text.normalizer.rules.acronyms import letter_name
from kani_text.normalizer.rules.named.codes import is_code
from kani_text.normalizer.spoken import Piece, Verbalization
from kani_text.normalizer.tables.table import LanguageTable
from kani_text.normalizer.tokens import TokenCursor

_MIXED = re.compile(r"[A-Z\d]{5,20}")
_DEVICE = re.compile(r"[\dA-Fa-f]{2}(?:([:-])[\dA-Fa-f]{2})(?:\1[\dA-Fa-f]{2}){4}")
_CHANGE = re.compile(r"(?<=\d)(?=[A-Z])|(?<=[A-Z])(?=\d)")
_WORD = re.compile(r"[A-Z]{3}")
_SHORT, _FEWEST_CHANGES, _CHANGES_OF_SHORT, _CHANGES_OF_CODE = 6, 2, 3, 4
_SERIAL = re.compile(r"([A-Z]{2,3})\d{6,12}")
"""An identity card's number, but not "EUR250000"."""
_CODED = re.compile(r"(?=[A-Z\d]*(?:\d[A-Z]|\d{5}))[A-Z]+\d[A-Z\d]*")
"""After "IFSC" and the like: "SBIN0001234", but not "VERANO2024"."""
_PASSWORD = re.compile(
    r"(?=.*\d)(?=.*[a-z])(?=.*[A-Z])(?!.*[a-z]{3})[A-Za-z\d](?:[A-Za-z\d]|-(?=[A-Za-z\d])){3,19}"
)
"""After "password": "mR7-x2kQ", without a word in it."""


def mixed(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "XJ4T9K": letters and figures in turn."""
    token = cursor.token()
    if not table.letters:
        return None
    if _DEVICE.fullmatch(token.core):
        return Verbalization(say_mixed(token.core, token.core_start, table), token.core_end)
    named = is_code(cursor, table) and (_CODED.fullmatch(token.core) or _PASSWORD.fullmatch(token.core))
    serial = _SERIAL.fullmatch(token.core)
    if not (named or is_mixed(token.core) or (serial and serial[1] not in table.currencies)):
        return None
    return Verbalization(say_mixed(token.core, token.core_start, table), token.core_end)


def is_mixed(written: str) -> bool:
    """True for capitals and figures that change too often for words and numbers."""
    if not _MIXED.fullmatch(written):
        return False
    changes = len(_CHANGE.findall(written))
    if (
        changes < _CHANGES_OF_CODE
        and _WORD.search(written)
        and 2 * sum(map(str.isdecimal, written)) < len(written)
    ):
        # "FLOAT8PASSBYVAL" has words
        return False
    return changes >= (_FEWEST_CHANGES if len(written) + written[0].isalpha() > _SHORT else _CHANGES_OF_SHORT)


def say_mixed(written: str, start: int, table: LanguageTable) -> tuple[Piece, ...]:
    """One character after the other, a phrase break for a mark between them."""
    pieces: list[Piece] = []
    for at, one in enumerate(written):
        said = f" {_say(one, table)}" if pieces else _say(one, table)
        pieces.append(Piece(said if one.isalnum() else ",", start + at, start + at + 1))
    return tuple(pieces)


def _say(one: str, table: LanguageTable) -> str:
    return table.number_words.cardinal(int(one)) if one.isdecimal() else letter_name(one, table)
