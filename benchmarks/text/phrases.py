"""Short phrases by language: those that detection is judged on, and those that it was tried on."""

from __future__ import annotations

from pathlib import Path

from tools.texts import by_language

Phrases = list[tuple[str, str]]
"""A language (primary subtag), and a phrase in it."""

FOLDER = Path(__file__).parent
EVALUATION = FOLDER / "short_phrases.txt"
TUNING = FOLDER / "tuning_phrases.txt"
REPLIES = FOLDER / "short_replies.txt"
REPLIES_TUNING = FOLDER / "short_replies_tuning.txt"


def read_phrases(file: Path) -> Phrases:
    """Return the phrases of a file, in its order."""
    return [(language, text) for language, texts in by_language(file).items() for text in texts]
