"""The marks of a text, and Kokoro's symbols for them."""

import re

MARK = re.compile(
    r"\.{2,}|[.,:;!?…—–\"“”«»„()\[\]{}¿¡。，、！？；：．｡､।॥؟《》〈〉「」『』【】〔〕（）]|(?<=\s)-(?=\s)"
)
_SYMBOLS = {
    **dict(zip(";:,.!?—…()“”", ";:,.!?—…()“”", strict=True)),
    **dict(zip("–-«»„[{]}", "——“”“(())", strict=True)),
    **dict(zip("。，、！？；：．｡､", ".,,!?;:..,", strict=True)),
    **dict(zip("।॥؟《》〈〉「」『』【】〔〕（）", "..?“”“”“”“”“”()()", strict=True)),
    "¿": "",
    "¡": "",
}
MARK_SYMBOLS = frozenset("".join(_SYMBOLS.values()) + " ")
"""Symbols of marks and of the space."""

CLOSING = frozenset(";:,.!?…)”")
OPENING = frozenset("(“")


def is_mark(text: str, start: int, end: int) -> bool:
    """True if this is punctuation, and not part of a number, name or address."""
    if text[start] not in ".,:" or end - start > 1:
        return True
    before, after = text[:start], text[end : end + 1]
    if text[start] == ".":
        # The last period of "e.g." and "U.S.A." is a mark only at the end of the text.
        inner = "." in before[max(before.rfind(" "), before.rfind("\n")) + 1 :].lstrip("._")
        return not after.isalnum() and not (inner and text[end:].strip())
    return not (before[-1:].isdigit() and after.isdigit()) and after != "/"


def add_mark(symbols: list[str], mark: str, *, spaced: bool) -> None:
    """Add a mark to the symbols of a text; spaced: whether white space precedes it."""
    if mark == '"':
        symbol = "“" if not symbols or spaced else "”"
    else:
        symbol = "…" if mark[:2] == ".." else _SYMBOLS[mark]
    if symbol in OPENING:
        if symbols and symbols[-1] != " ":
            symbols.append(" ")
    elif not symbols or not symbol:
        return
    else:
        while symbols and symbols[-1] == " " and symbol in CLOSING:
            symbols.pop()
        if not symbols or symbols[-1] == symbol or symbols[-1] in OPENING:
            return
        if symbol == "—" and spaced and symbols[-1] != " ":
            symbols.append(" ")
    symbols.append(symbol)
    if symbol not in OPENING:
        symbols.append(" ")
