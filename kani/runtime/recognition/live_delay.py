"""Measures the time of one pass, which tells the delay that live words will have."""

import logging
import math
import time
from collections.abc import Callable

import numpy as np

from kani.core.types import Samples
from kani.runtime.recognition.tuning import TUNING
from kani.runtime.voice_detector import SAMPLE_RATE

LONGEST_S = 2.0
"""Delay from which on words are not live: an answer to them would come too late for a conversation."""

# Audio of a pass of a stream that goes on.
_AUDIO_S = 5.0
_RUNS = 3

log = logging.getLogger(__name__)


def measure_pass(hear: Callable[[Samples], object]) -> float:
    """Return the seconds of a pass: the least of some, or of one that is far too slow. Blocks.

    hear: does the work of a pass over 16 kHz audio. Of a pass on one core it is the processor's time: what
    else runs during the start does not count.
    """
    noise = np.random.default_rng(0).normal(0.0, 0.1, round(_AUDIO_S * SAMPLE_RATE)).astype(np.float32)
    least_s = math.inf
    # The first run prepares memory and kernels, and tells no more than what is far too slow.
    for run in range(1 + _RUNS):
        began, used = time.perf_counter(), time.process_time()
        hear(noise)
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


def too_slow(recognizer: str, model: str, late_s: float, setting: str) -> str:
    """Return why live words that come so late are none, empty if they are; the log tells either.

    setting: name of that which chooses the model.
    """
    if late_s <= LONGEST_S:
        log.info("%s: %s: live words come about %.1f s after they are said", recognizer, model, late_s)
        return ""
    reason = (
        f"{model} is too slow on this machine for live speech (words would come {late_s:.1f} s late, "
        f"{LONGEST_S:g} s at most): send recordings, or set {setting} to a smaller one"
    )
    log.warning("%s: %s", recognizer, reason)
    return reason
