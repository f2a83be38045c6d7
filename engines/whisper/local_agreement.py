"""Which words of a hypothesis are decided: those that the one before it had too.

Local agreement, after Macháček, Dabre and Bojar, "Turning Whisper into Real-Time Transcription
System" (2023).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SENTENCE_ENDINGS = frozenset(".!?…。！？؟।")
"""The marks that end a sentence."""

_CLOSING = "\"'”’»)]"


@dataclass(frozen=True, slots=True)
class HypothesisWord:
    """A word of a hypothesis: its marks attached, no spaces; the model's tokens that say it."""

    text: str
    tokens: tuple[int, ...]

    @property
    def normalized(self) -> str:
        """What of it is heard: small letters and digits; empty for a mark alone."""
        return "".join(character for character in self.text.casefold() if character.isalnum())


def ends_sentence(text: str) -> bool:
    """Whether ``text`` ends with a mark that ends a sentence."""
    return text.rstrip(_CLOSING)[-1:] in SENTENCE_ENDINGS


def is_complete(words: Sequence[HypothesisWord], at: int) -> bool:
    """Whether no more of the word of that number can come, or of its marks.

    A mark at the very end may be due to the audio's end, not the sentence's: a last word that ends a
    sentence waits for another to follow it.
    """
    return at + 1 < len(words) or not ends_sentence(words[at].text)


def agreed_count(before: Sequence[HypothesisWord], now: Sequence[HypothesisWord]) -> int:
    """How many whole words at the beginning of ``now`` were heard the pass ``before`` too."""
    count = 0
    for old, new in zip(before, now, strict=False):
        if old.normalized != new.normalized or not is_complete(now, count):
            break
        count += 1
    return count
