"""Division of an utterance into prediction steps, and of a step's frames into decoding windows."""

import math
from collections.abc import Iterator
from itertools import pairwise

from kani.core.types import Segment
from kani.engines.kokoro.text.phonemes import Utterance
from kani_text.writing import CLAUSE_MARKS, SENTENCE_MARKS, UNSPACED_CLAUSE_MARKS, UNSPACED_SENTENCE_MARKS

FIRST_WINDOW_FRAMES = 10
"""Frames of the first window: 0.25 s."""

LOOKAHEAD_WORDS = 3
"""Words with prosody that is predicted, but not spoken while more follow; with two, pitch jumps at the joints
double."""

MARKS = frozenset(SENTENCE_MARKS + UNSPACED_SENTENCE_MARKS + CLAUSE_MARKS + UNSPACED_CLAUSE_MARKS)
"""Marks that a voice pauses after, whatever follows: words before them need no lookahead."""

# Each window is decoded while the one before it plays, on a machine with a real-time factor of up to 0.25
# (measured). Larger windows would save nothing, as the decoder computes 32 frames a call, and would delay the
# steps of other streams.
_SIZES = (FIRST_WINDOW_FRAMES, 14, 28, 32)

# Seconds of sound that a symbol of the first step gives at least, and the share of its time that decoding
# takes.
_SYMBOL_S = 0.045
_DECODING = 0.4

# The sound of the first step lasts longer than the second step takes: this much longer than its prediction,
# which is measured on an idle machine, and twice as long as its first window takes.
_MARGIN = 1.3
_WINDOW_S = 0.2

_LEAST_SYMBOLS = 14
"""Symbols of the first step's words at least: with fewer, its pitch is that of another sentence."""

# A first step is taken only where it saves this many seconds, and the utterance has at least this multiple
# of its symbols.
_SAVED_S = 0.06
_WORTHWHILE = 2.5

OPENING_RATE = 1.12
"""The first step's rate, relative to the whole's: predicted without the rest, first words take 1.15 of their
time (median of 24 sentences)."""

_OPENING = " (“"


def windows(begin: int, end: int, *, skipped: int = 0) -> Iterator[tuple[int, int]]:
    """Cut frames [begin, end) into growing windows.

    skipped: sizes that are skipped at the beginning, because audio came before. The last window has at least
    10 frames, or 5 after the very first window, unless there are fewer in all.
    """
    sizes = iter(_SIZES[min(skipped, len(_SIZES) - 1) :])
    while begin < end:
        size = next(sizes, _SIZES[-1])
        rest = FIRST_WINDOW_FRAMES // 2 if size == FIRST_WINDOW_FRAMES else FIRST_WINDOW_FRAMES
        stop = end if end - begin < size + rest else begin + size
        yield begin, stop
        begin = stop


def prediction_steps(
    utterance: Utterance, until: int, segment: Segment, symbol_s: float
) -> Iterator[tuple[int, int]]:
    """Divide the words [0, ``until``) of an utterance into steps: (words predicted, words spoken) so far.

    There are at most two: the first predicts the prosody of the utterance's first words and speaks all of
    them but the lookahead; the last predicts and speaks all. The first step's words are as few as suffice to
    be played until the last step has been computed. There is one where enough audio is ahead of the
    segment, or little is saved. symbol_s: seconds that predicting a symbol takes; 0 makes one step.
    """
    words, symbols = utterance.words, len(utterance.symbols)
    wait_s = (_MARGIN * symbol_s * symbols + _WINDOW_S) / (1 - _DECODING)
    fewest = max(_LEAST_SYMBOLS, math.ceil(wait_s * segment.speed / _SYMBOL_S))
    for predicted in range(1, len(words) if segment.ahead_s < wait_s else 0):
        first = words[predicted].first
        if first * _WORTHWHILE > symbols or symbol_s * (symbols - first) < _SAVED_S:
            break
        spoken = min(count_speakable(utterance, predicted), until)
        if spoken and words[spoken - 1].stop >= fewest:
            yield predicted, spoken
            break
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
    """The utterance up to its ``count``-th word and the marks after it."""
    words = utterance.words
    if count >= len(words):
        return utterance
    return Utterance(utterance.symbols[: words[count].first].rstrip(_OPENING), words[:count])
