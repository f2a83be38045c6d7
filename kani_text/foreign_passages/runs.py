"""Runs of text in one language, how long their beginnings wait, and the evidence for a language."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from kani_text import language_detection

MAX_MARKS = 80
"""Marks that are held back, at most: combining ones, opening ones, and those after a quotation."""

MAX_DETECTION_TEXT = 80
"""Characters at the beginning of a passage that its language is detected by."""

LEAST_WORDS = 3
"""Least words of a passage in the text's own script that is told apart."""

CLEAR_PROBABILITY = 0.8
"""Least probability of such a passage's language, while the text's own is expected."""

WORDS = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")


@dataclass(frozen=True, slots=True)
class ForeignPassage:
    """Characters ``[start, end)`` of a client's text that another voice than the session's speaks."""

    start: int
    end: int
    language: str
    voice: str
    engine: str


@dataclass(frozen=True, slots=True)
class LanguageRun:
    """Text in one language; None is the language of the whole."""

    text: str
    language: str | None


def clear_language(text: str, own: str, spoken_languages: Collection[str]) -> str | None:
    """The language of ``text`` (in Latin letters) if it is clearly another one than ``own``, else None."""
    shares = language_detection.common_word_shares(text)
    if not any(share > shares.get(own, 0.0) for share in shares.values()):
        return None
    detected = language_detection.detect(text, spoken_languages, CLEAR_PROBABILITY, (own,))
    return detected if detected and shares.get(detected, 0.0) > shares.get(own, 0.0) else None
