"""Words of what is heard, and their times: where the model tells none, they share the voice by letters."""

import math
import re
from collections.abc import Sequence

import numpy as np

from kani.core.transcriber import TranscribedSegment
from kani.runtime.recognition.local_agreement import OPENING_PUNCTUATION, HypothesisWord
from kani.runtime.recognition.passes import TimedWord
from kani.runtime.transcript import is_loop, is_repetitive
from kani_text.writing import UNSPACED, UNSPACED_LANGUAGES

# Fast speech has 20 to 25; the other ones are for short stretches.
_LETTERS_PER_SECOND, _EXTRA_LETTERS = 30, 12
_WORD = re.compile(r"(\s*)(\S+)")
_UNSPACED_WORD = re.compile(rf"(\s*)([{UNSPACED}]|[^\s{UNSPACED}]+)")


def is_speech(heard: Sequence[TranscribedSegment], seconds: float) -> bool:
    """Return whether so much text can be said in the time, and does not repeat itself without end."""
    text = "".join(part.text for part in heard)
    fast = sum(map(str.isalnum, text)) > _LETTERS_PER_SECOND * seconds + _EXTRA_LETTERS
    return not (fast or is_loop(text) or is_repetitive(text))


def cut(text: str, language: str) -> list[HypothesisWord]:
    """Divide a text into words; in a language without spaces, into characters and other scripts' words.

    Punctuation by itself, and a combining mark, goes with the word before it. The tokens of a word are its
    letters, with the space before them: the runtime tells no tokens of most models.
    """
    spaced, words = language not in UNSPACED_LANGUAGES, list[HypothesisWord]()
    for space, piece in (_WORD if spaced else _UNSPACED_WORD).findall(text):
        whole, tokens = piece, tuple(map(ord, f" {piece}" if spaced or space else piece))
        if words and not any(map(str.isalnum, piece)) and piece not in OPENING_PUNCTUATION:
            before = words.pop()
            whole, tokens = before.text + piece, before.tokens + tokens
        words.append(HypothesisWord(whole, tokens))
    return words


def text_of(tokens: Sequence[int]) -> str:
    """Return the text of words' tokens, with the space that it may begin with."""
    return "".join(map(chr, tokens))


def timed(
    heard: Sequence[TranscribedSegment], language: str, voiced_s: Sequence[float], unknown: float
) -> tuple[TimedWord, ...]:
    """Return the words with their times, in seconds of the stretch that was heard.

    voiced_s: moments of it with a voice, in order, at least one; language: as ``cut`` takes it;
    unknown: probability of words where the model tells none.
    """
    stretches = list[tuple[str, Sequence[float], float]]()
    for part in heard:
        own_s = [at_s for at_s in voiced_s if part.start_s <= at_s <= part.end_s] or voiced_s
        words = [
            (word.text, (word.start_s, word.end_s), math.exp(word.log_probability)) for word in part.words
        ]
        stretches += words or [(part.text, own_s, unknown)]
    found = list[TimedWord]()
    for text, moments_s, probability in stretches:
        words_here = cut(text, language)
        ends = np.cumsum([0, *(len(word.text) for word in words_here)])
        at = ends * (len(moments_s) - 1) // max(ends[-1], 1)
        for word, first, last in zip(words_here, at, at[1:], strict=False):
            found.append(TimedWord(word, float(moments_s[first]), float(moments_s[last]), probability))
    return tuple(found)


def told(known: Sequence[HypothesisWord], now: Sequence[HypothesisWord]) -> int:
    """Return how many of the words ``now`` tell the ``known`` ones again: the fewest changes between them."""
    row = list(range(len(now) + 1))
    for word in known:
        diagonal, row[0] = row[0], row[0] + 1
        for at, other in enumerate(now, 1):
            changed = diagonal + (word.normalized != other.normalized)
            diagonal, row[at] = row[at], min(row[at] + 1, row[at - 1] + 1, changed)
    return min(range(len(row)), key=lambda count: (row[count], abs(count - len(known))))
