"""Whether this machine makes sound fast enough for a player that plays each window as it comes."""

from __future__ import annotations

import time

from engines.kokoro.network.decoder import Generator
from engines.kokoro.network.onnx_model import SAMPLE_RATE, Stop
from engines.kokoro.probe import load_probe

MAX_REAL_TIME_FACTOR = 0.3
"""For a second of sound, so that none runs dry. The steepest step of ``windows`` makes 28 frames, and 8 of
context, while 14 are played: 0.39. A quarter of that is left to what is not the generator's."""

_RUNS = 2


def real_time_factor(generator: Generator) -> float:
    """Seconds that the generator needs for a second of sound: the least of two runs, 0.2–1 s in all.

    The first also takes the memory that each later one uses. Raises ModelFailed.
    """
    window, _ = load_probe()
    took = []
    for _ in range(_RUNS):
        begun = time.perf_counter()
        samples = generator.generate(window, Stop())
        took.append(time.perf_counter() - begun)
    return min(took) / (len(samples) / SAMPLE_RATE)
