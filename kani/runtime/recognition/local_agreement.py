"""Local agreement: words on which two passes in a row agree are decided.

After Macháček, Dabre and Bojar, "Turning Whisper into Real-Time Transcription System" (2023).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kani_text.writing import ends_sentence, is_unspaced

OPENING_PUNCTUATION = frozenset('¿ ¡ « “ " ( [ „ -'.split())
"""Punctuation that belongs to the word after it."""


@dataclass(frozen=True, slots=True)
class HypothesisWord:
    text: str  # with its punctuation, without spaces
    tokens: tuple[int, ...]  # of the model

    @property
    def normalized(self) -> str:
        """Lower-case letters and digits; empty for nothing but punctuation."""
        return "".join(character for character in self.text.casefold() if character.isalnum())


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


def words_from_tokens(
    tokens: Sequence[int], decode: Callable[[Sequence[int]], str], *, spaced: bool
) -> list[HypothesisWord]:
    """Join ``tokens`` to words.

    decode: returns their text, with the space that it may begin with; spaced: whether spaces divide words, or
    each run of whole characters is one: a word of Latin letters is whole in any text.

    Punctuation that stands by itself (« ? » and the like) is attached to the word before it.
    """
    runs: list[tuple[str, list[int]]] = []
    pending: list[int] = []
    for token in tokens:
        pending.append(token)
        text = decode(pending)
        # The bytes of the last character are incomplete.
        if "\ufffd" in text:
            continue
        alone = not any(character.isalnum() for character in text)
        joined = runs and (
            (alone and text.strip() not in OPENING_PUNCTUATION)
            or (not text.startswith(" ") and (spaced or _goes_on(runs[-1][0], text)))
        )
        if joined:
            runs[-1][1].extend(pending)
            runs[-1] = (runs[-1][0] + text.strip(), runs[-1][1])
        else:
            runs.append((text.strip(), list(pending)))
        pending = []
    return [HypothesisWord(text, tuple(own)) for text, own in runs]


def _goes_on(word: str, text: str) -> bool:
    """Return True if ``text`` goes on with a word of a script with spaces, or with a number."""
    sides = word[-1:], text[:1]
    return all(side.isalnum() and not is_unspaced(side) for side in sides)
