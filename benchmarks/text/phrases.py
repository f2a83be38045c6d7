"""Short phrases by language: those that detection is judged on, and those that it was tried on."""

from __future__ import annotations

from pathlib import Path

Phrases = list[tuple[str, str]]
"""A language (primary subtag), and a phrase in it."""

FOLDER = Path(__file__).parent
EVALUATION = FOLDER / "short_phrases.txt"
TUNING = FOLDER / "tuning_phrases.txt"
REPLIES = FOLDER / "short_replies.txt"
REPLIES_TUNING = FOLDER / "short_replies_tuning.txt"


def read_phrases(file: Path) -> Phrases:
    """The phrases of a file: a language in brackets, then its phrases, one a line; ``#`` begins a comment."""
    phrases, language = [], ""
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            language = line.strip("[]")
        elif line and not line.startswith("#"):
            phrases.append((language, line))
    return phrases
