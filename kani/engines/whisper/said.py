"""Times of the words that are said: an answer without its echo at the end."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from kani.engines.whisper.coverage import sentence_end, without_echo
from kani.runtime.recognition.local_agreement import HypothesisWord
from kani.runtime.recognition.passes import TimedWord

Align = Callable[[Sequence[HypothesisWord], float], tuple[tuple[TimedWord, ...], float]]
"""Returns the times of words, within some seconds of audio, and the mean log probability of all tokens."""


def said(
    align: Align, words: Sequence[HypothesisWord], seconds: float, *, spaced: bool, speech_s: float = math.inf
) -> tuple[tuple[TimedWord, ...], float]:
    """Return the words that are said with their times, and the mean log probability of all tokens.

    spaced, speech_s: as ``without_echo`` takes them.
    """
    aligned, probability = align(words, seconds)
    timed = tuple(without_echo(aligned, spaced=spaced, speech_s=speech_s))
    whole = sentence_end(aligned, len(timed))
    if len(timed) < whole < len(aligned):
        # The echo has taken the time of the sentence's last words: without it they may have some.
        again, probable = align(words[:whole], seconds)
        if len(without_echo(again, spaced=spaced, speech_s=speech_s)) == whole:
            return again, probable
    return timed, probability
