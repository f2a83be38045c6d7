"""Prepares a text for Pocket TTS: characters it knows, a sentence's beginning and end, and its length.

Source: PyPI pocket-tts 4.0.1, ``models/text_chunking.py`` and ``models/tts_model.py``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping

MAX_TOKENS = 50
"""Tokens of one text: the model was trained on single sentences, and skips words of longer ones."""

FRAMES_A_SECOND = 12.5
_TOKENS_A_SECOND = 3.0
_GRACE_S = 2.0
_FEW_WORDS = 4
_END = ".!?…"
_WEAK = ",;:-–—"
_CLOSING = "\"'”’)]»"

_SENTENCE = re.compile(r"(?<=[.!?…])\s+")
_CLAUSE = re.compile(r"(?<=[,;:])\s+")
_WORD = re.compile(r"\s+")


def prepare(text: str, replaced: Mapping[str, str]) -> str:
    """The text as the model expects it: a capital first, punctuation last; empty if nothing is left.

    replaced: characters that the model was not trained with, and their replacements.
    """
    for character, replacement in replaced.items():
        text = text.replace(character, replacement)
    text = " ".join(text.split())
    # A removed quotation mark would leave a comma after the end of a sentence.
    text = re.sub(r"([.!?…])\s*[,;:]", r"\1", text)
    if not text:
        return ""
    text = text[0].upper() + text[1:]
    core = text.rstrip(_CLOSING + " ")
    if not core or core[-1] in _END:
        return text
    if core[-1] in _WEAK:
        return core.rstrip(_WEAK + " ") + "." + text[len(core) :].strip()
    return text + "."


def frames_after_end(text: str) -> int:
    """Frames of 80 ms to go on for once the model says that speech has ended."""
    return 4 if len(text.split()) <= _FEW_WORDS else 2


def max_frames(tokens: int) -> int:
    """Frames after which a text of that many tokens is cut, whatever the model says."""
    return math.ceil((tokens / _TOKENS_A_SECOND + _GRACE_S) * FRAMES_A_SECOND)


def split(text: str, count: Callable[[str], int], limit: int = MAX_TOKENS) -> list[str]:
    """Split a text into parts of at most ``limit`` tokens: at sentences, else clauses, words, characters.

    count: number of tokens of a text. The parts joined are the text.
    """
    if count(text) <= limit or len(text) < 2:
        return [text]
    for boundary in (_SENTENCE, _CLAUSE, _WORD):
        ends = [match.end() for match in boundary.finditer(text) if 0 < match.end() < len(text)]
        if ends:
            middle = min(ends, key=lambda end: abs(end - len(text) / 2))
            return split(text[:middle], count, limit) + split(text[middle:], count, limit)
    middle = len(text) // 2
    return split(text[:middle], count, limit) + split(text[middle:], count, limit)
