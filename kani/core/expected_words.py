"""Words that a client expects in its speech, names above all: limits, and the text for the recogniser."""

from collections.abc import Sequence

MAX_WORDS = 1_000
"""Expected words, or short phrases, of one recognition."""

MAX_WORD = 100
"""Characters of each."""

MAX_TEXT = 4_000
"""Characters of a text with expected words; in live recognition also of all words together."""


def as_prompt(words: Sequence[str], text: str = "") -> str:
    """Return the text that may precede the speech; only its end, where it is long."""
    # Without the mark of an end the answer has none either, and ends of turns are judged from it.
    listed = ", ".join(words) + "." if words else ""
    return " ".join(part for part in (listed, text) if part)[-MAX_TEXT:]


def fault(words: Sequence[str]) -> str:
    """Return what is wrong with a list of words; empty if nothing is."""
    if len(words) > MAX_WORDS:
        return f"too many (at most {MAX_WORDS})"
    if any(len(word) > MAX_WORD for word in words):
        return f"an entry is too long (at most {MAX_WORD} characters)"
    return ""
