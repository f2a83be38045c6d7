"""Words of an answer with their times, from the decoder's attention to the audio."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kani.engines.moonshine.checkpoint import ROW_S
from kani.runtime.recognition.local_agreement import HypothesisWord
from kani.runtime.recognition.passes import TimedWord

# Its logarithm is taken again.
_LEAST_LOG_PROBABILITY = -23.0


def token_ends(attention: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Divide the rows of the audio among tokens, in order, so that their attention is greatest.

    attention: [tokens, rows]; returns for each token the row after its last.

    Attention is the mean of all heads, less each row's mean over the tokens and by its deviation, as in
    Whisper's alignment: a row that all tokens attend to tells nothing. Which heads follow the speech is not
    known of any checkpoint, and no time was ever compared with a reading: expect errors of a word's length.
    """
    deviation = attention.std(0)
    scores = (attention - attention.mean(0)) / np.where(deviation > 0, deviation, 1)
    tokens, rows = scores.shape
    sums = np.concatenate([np.zeros((tokens, 1)), scores.cumsum(1, dtype=np.float64)], 1)
    # Of each token, for each row that it may end before: the best row that it begins with.
    begins = np.zeros((tokens, rows + 1), np.int64)
    best = np.full(rows + 1, -np.inf)
    best[0] = 0.0
    for at in range(tokens):
        gains = best - sums[at]
        greatest = np.maximum.accumulate(gains)
        begins[at] = np.maximum.accumulate(np.where(gains == greatest, np.arange(rows + 1), 0))
        best = sums[at] + greatest
    ends = np.zeros(tokens, np.int64)
    end = rows
    for at in range(tokens - 1, -1, -1):
        ends[at] = end
        end = begins[at, end]
    return ends


def timed_words(
    words: Sequence[HypothesisWord],
    first: int,
    attention: npt.NDArray[np.float32],
    log_probabilities: Sequence[float],
) -> tuple[TimedWord, ...]:
    """Return the words of an answer with their times in seconds of its audio.

    first: number of tokens before the words; attention: [tokens + 1, rows], of all tokens and the end of the
    text; log_probabilities: of the words' tokens.
    """
    if not words:
        return ()
    ends = token_ends(attention) * ROW_S
    timed, at = list[TimedWord](), 0
    for word in words:
        until = at + len(word.tokens)
        begin = first + at
        start_s = float(ends[begin - 1]) if begin else 0.0
        probability = math.exp(max(min(log_probabilities[at:until]), _LEAST_LOG_PROBABILITY))
        timed.append(TimedWord(word, start_s, float(ends[first + until - 1]), probability))
        at = until
    return tuple(timed)
