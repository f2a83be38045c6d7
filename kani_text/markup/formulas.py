"""Formulas of TeX: "$...$", "\\(...\\)", "\\[...\\]"; any other dollar is money."""

from __future__ import annotations

import re

from kani_text.markup.masked_text import MAX_LOOKAHEAD, PendingText

_IN_BRACKETS = r"(?:(?!\\[()\[\]])[^\n])"
_FORMULA = re.compile(
    r"(?<![A-Z])(\$\$?)(?=[^\s$])(?P<dollars>[^\n$]*[\\^_={+][^\n$]*)(?<=[^\s$])\1(?!\d)"
    rf"|\\[(\[](?={_IN_BRACKETS}*?(?:\\[A-Za-z]|[\^_={{+]))(?P<brackets>{_IN_BRACKETS}+)\\[)\]]"
)
_FORMULA_BEGUN = re.compile(
    r"\$\$?(?![\d\s])[^\n$]*\$?|\$\$?\d*\^?[^\n$]*(?<=\^)[^\n$]*\$?"
    rf"|\\(?:[(\[]{_IN_BRACKETS}*\\?)?"
)


def formula(source: PendingText, at: int) -> tuple[int, str, int] | None:
    """Where what is written in a formula that begins at ``at`` does, that itself, and the formula's end.

    ``at``, "" and ``at`` if more text decides; None if no formula begins there.
    """
    window = min(len(source.text), at + MAX_LOOKAHEAD)
    if found := _FORMULA.match(source.text, at, window):
        if source.may_continue(at, found.end(), MAX_LOOKAHEAD):
            return at, "", at
        kind = "dollars" if found["dollars"] else "brackets"
        return found.start(kind), found[kind], found.end()
    return (at, "", at) if source.may_begin(_FORMULA_BEGUN, at, MAX_LOOKAHEAD) else None
