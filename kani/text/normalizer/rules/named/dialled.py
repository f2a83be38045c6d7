"""What is typed into a telephone, and the last figures of a card: "*144#", "Durchw. -214", "…7712"."""

from __future__ import annotations

import re

from kani.text.normalizer.rules.numerals import say_digits
from kani.text.normalizer.spoken import Piece, Verbalization
from kani.text.normalizer.tables.table import LanguageTable
from kani.text.normalizer.tokens import TokenCursor

_KEYS = re.compile(r"[*#]{1,2}(?:\d{1,16}[*#]){0,4}\d{1,16}#")
_LAST = re.compile(r"(?:…|\.{2,}|[*•·xX]{2,}|x-)-?((?!19|20)\d{4})")
_EXTENSION = re.compile(r"[-–](\d{2,5})")


def dialled(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """Keys and figures, one after the other."""
    token = cursor.token()
    signs, end = table.web.signs, token.core_end
    if "*" in signs and _KEYS.fullmatch(token.text, token.start, end):
        parts = re.findall(r"\d+|[*#]", token.text[token.start : end])
        said = " ".join(signs.get(part) or say_digits(part, table) for part in parts)
        return Verbalization((Piece(said, token.start, end),), end)
    last = _LAST.fullmatch(token.text, token.start, end)
    before = cursor.previous()
    if last is None and before.core.lower() in table.numbers.codes_after and before.suffix in ("", ".", ":"):
        last = _EXTENSION.fullmatch(token.text, token.core_start, end)
    if last is None:
        return None
    return Verbalization((Piece(say_digits(last[1], table), last.start(), end),), end)
