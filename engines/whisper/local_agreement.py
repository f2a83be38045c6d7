"""Local agreement: words on which two passes in a row agree are decided.

After Macháček, Dabre and Bojar, "Turning Whisper into Real-Time Transcription System" (2023).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SENTENCE_ENDINGS = frozenset(".!?…。！？؟।")
"""Punctuation that ends a sentence."""

_CLOSING = "\"'”’»)]"


@dataclass(frozen=True, slots=True)
class HypothesisWord:
    """A word of a hypothesis."""

    text: str  # with its punctuation, without spaces
    tokens: tuple[int, ...]  # of the model

    @property
    def normalized(self) -> str:
        """Lower-case letters and digits; empty for punctuation alone."""
        return "".join(character for character in self.text.casefold() if character.isalnum())


def ends_sentence(text: str) -> bool:
    """Return whether ``text`` ends with punctuation that ends a sentence."""
    return text.rstrip(_CLOSING)[-1:] in SENTENCE_ENDINGS


def is_complete(words: Sequence[HypothesisWord], at: int) -> bool:
    """Return whether the word at index ``at``, with its punctuation, can no longer grow.

    A full stop at the very end may be due to the end of the audio: a last word that ends a sentence waits for
    another word to follow.
    """
    return at + 1 < len(words) or not ends_sentence(words[at].text)


def agreed_count(before: Sequence[HypothesisWord], now: Sequence[HypothesisWord]) -> int:
    """Number of complete words at the start of ``now`` that the pass ``before`` recognised as well."""
    count = 0
    for old, new in zip(before, now, strict=False):
        if old.normalized != new.normalized or not is_complete(now, count):
            break
        count += 1
    return count
