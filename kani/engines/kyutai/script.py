"""A text as the model's script: its words, taken as the text grows."""

from __future__ import annotations

import re
from typing import NamedTuple

_WORD = re.compile(r"[^\s:]+")
_LEFT_OUT = str.maketrans("’", "'", "()")


class ScriptWord(NamedTuple):
    """A word of the script."""

    start: int
    """First character in the text."""
    end: int
    """The character after the last one."""
    written: str
    """The word as the tokenizer reads it."""


def words(text: str, start: int = 0) -> list[ScriptWord]:
    """Split a text from ``start`` as the package's ``script_to_entries`` does: at spaces and colons, without
    parentheses.
    """
    found = (ScriptWord(*word.span(), word[0].translate(_LEFT_OUT)) for word in _WORD.finditer(text, start))
    return [word for word in found if word.written]


class Script:
    """The words of a segment, also while it is being written."""

    def __init__(self) -> None:
        self.words: list[ScriptWord] = []
        """Words taken so far."""

    def take(self, text: str, *, complete: bool) -> list[ScriptWord]:
        """Return the words that ``text``, which has only grown, has more than before.

        While it is not complete, a word is left out until a space follows: marks could still do so.
        """
        new = words(text, self.words[-1].end if self.words else 0)
        if not complete and new and new[-1].end == len(text):
            new.pop()
        self.words += new
        return new
