"""Division of an utterance into prediction steps, and of a step's frames into decoding windows."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from engines.kokoro.text.phonemes import Utterance

FIRST_WINDOW_FRAMES = 10
"""Frames of the first window: 0.25 s."""

LOOKAHEAD_WORDS = 3
"""Words whose prosody is predicted but not spoken while more follow; with two, pitch jumps at the joints
double."""

MARKS = frozenset(".,;:!?…")
"""Marks behind which a voice pauses whatever follows: words before them need no lookahead."""

# Each window is decoded while the one before it plays, on a machine with a real-time factor of up to 0.25
# (measured). Larger windows would delay the steps of other streams.
_SIZES = (FIRST_WINDOW_FRAMES, 14, 28, 56, 64)

# The first step speaks words of so many symbols at least (0.5 s of sound or more), the second one predicts so
# many words.
_FIRST_SYMBOLS = 14
_SECOND_WORDS = 12

_WORTHWHILE = 2.5
"""A step is taken where the whole has at least so many times its symbols.

Prediction is a fifth of the work. At a share of a half (sentences of 4 s) the first step saved a sixth of the
time to the first sound, and cost a seventh more processor time for the sentence.
"""

_OPENING = " (“"


def windows(begin: int, end: int, *, skipped: int = 0) -> Iterator[tuple[int, int]]:
    """Cut frames [begin, end) into growing windows.

    skipped: sizes that are skipped at the beginning, because audio came before. The last window has at least
    10 frames, or 5 behind the very first window, unless there are fewer in all.
    """
    sizes = iter(_SIZES[min(skipped, len(_SIZES) - 1) :])
    while begin < end:
        size = next(sizes, _SIZES[-1])
        rest = FIRST_WINDOW_FRAMES // 2 if size == FIRST_WINDOW_FRAMES else FIRST_WINDOW_FRAMES
        stop = end if end - begin < size + rest else begin + size
        yield begin, stop
        begin = stop


def prediction_steps(utterance: Utterance, until: int) -> Iterator[tuple[int, int]]:
    """Divide the words [0, ``until``) of an utterance into steps: (words predicted, words spoken) so far.

    A step predicts the prosody of the utterance's first words, and speaks those that are new, all but the
    lookahead. The first step's speech lasts while the second is predicted, and that one's while all are. So
    the time to the first sound does not depend on the length. The last step predicts all words.
    """
    words = utterance.words
    opening = next((at for at, word in enumerate(words, 1) if word.stop >= _FIRST_SYMBOLS), len(words))
    spoken = 0
    for predicted in (opening + LOOKAHEAD_WORDS, _SECOND_WORDS):
        if predicted >= len(words) or words[predicted].first * _WORTHWHILE > len(utterance.symbols):
            break
        if (speakable := min(count_speakable(utterance, predicted), until)) > spoken:
            spoken = speakable
            yield predicted, spoken
    yield len(words), until


def count_speakable(utterance: Utterance, known: int) -> int:
    """Number of words that can be spoken when the first ``known`` words are predicted, and more follow.

    They are those before a mark or the lookahead, up to a place where espeak-ng did not join two words into
    one group of symbols.
    """
    symbols, words = utterance.symbols, utterance.words
    between = [symbols[a.stop : b.first] for a, b in pairwise(words[:known])]
    marked = (at for at, symbols in enumerate(between, 1) if not MARKS.isdisjoint(symbols))
    count = max(known - LOOKAHEAD_WORDS, *marked, 0)
    while count > 0 and " " not in between[count - 1]:
        count -= 1
    return count


def first_words(utterance: Utterance, count: int) -> Utterance:
    """The utterance up to its ``count``-th word and the marks behind it."""
    words = utterance.words
    if count >= len(words):
        return utterance
    return Utterance(utterance.symbols[: words[count].first].rstrip(_OPENING), words[:count])
