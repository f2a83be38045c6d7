"""Signs that stand by themselves: those with a name ("=>"), and rows of one sign ("---")."""

from __future__ import annotations

from kani_text.normalizer.spoken import Piece, Verbalization
from kani_text.normalizer.tables.table import LanguageTable
from kani_text.normalizer.tokens import TokenCursor


def named(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """The name of a sign of several characters; "==" by itself is a drawn line."""
    # ">= 5" becomes one word once the figure is there, so that the next word is waited for.
    token, following = cursor.token(), cursor.token(1)
    if token.core == "==" and not (following.core and cursor.previous().core):
        return None
    return token.said(table.signs[token.core])


def repeated(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """A phrase break for "--" and "---"; nothing for a drawn line or a row of another sign."""
    token = cursor.token()
    dash = (Piece("—", token.core_start, token.core_end),) if token.core in ("--", "---") else ()
    return Verbalization(dash, token.core_end)
