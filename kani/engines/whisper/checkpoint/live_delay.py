"""Measures the time of one pass, which tells the delay that live words will have."""

from __future__ import annotations

import math
import time

import numpy as np

from kani.engines.whisper.model import Whisper
from kani.runtime.recognition.local_agreement import HypothesisWord
from kani.runtime.recognition.stream import TUNING
from kani.runtime.voice_detector import SAMPLE_RATE

LONGEST_S = 2.0
"""Delay from which on words are not live: an answer to them would come too late for a conversation."""

# A pass of a stream that goes on: its audio, and the tokens after those that are decided.
_AUDIO_S, _TOKENS = 5.0, 8
_RUNS = 3


def measure_pass(whisper: Whisper) -> float:
    """Return the seconds of a pass: the least of some, or of one that is far too slow. Blocks.

    Of a pass on one core it is the processor's time: what else runs during the start does not count.
    """
    noise = np.random.default_rng(0).normal(0.0, 0.1, round(_AUDIO_S * SAMPLE_RATE)).astype(np.float32)
    least_s = math.inf
    # The first run prepares memory and kernels, and tells no more than what is far too slow.
    for run in range(1 + _RUNS):
        began, used = time.perf_counter(), time.process_time()
        encoded = whisper.encode(noise)
        tokens = whisper.answer_of_length(encoded, _TOKENS)
        whisper.align(encoded, whisper.languages[0], (), [HypothesisWord("", tuple(tokens))], _AUDIO_S)
        pass_s = min(time.perf_counter() - began, time.process_time() - used)
        if run or pass_s > 2 * LONGEST_S:
            least_s = min(least_s, pass_s)
        if pass_s > 2 * LONGEST_S:
            break
    return least_s


def delay_s(pass_s: float) -> float:
    """Return the seconds from the end of a word until it is decided, on average, of passes of ``pass_s``.

    A word is decided by the pass that has the audio after it; passes follow each other without a break, but
    at an interval of ``new_audio_s`` at least.
    """
    interval_s = max(pass_s, TUNING.new_audio_s)
    return TUNING.end_margin_s + interval_s / 2 + pass_s


def cores_needed(pass_s: float) -> int:
    """Return the cores of a pass that make it fast enough, if one core takes ``pass_s``.

    Half of what each further core could do is counted: parts of a pass run on one core.
    """
    longest_s = (LONGEST_S - TUNING.end_margin_s) / 1.5
    return 1 if pass_s <= longest_s else math.ceil(2 * pass_s / longest_s)
