"""Real-time factor of the generator on this machine."""

from __future__ import annotations

import time

from engines.kokoro.network.decoder import Generator
from engines.kokoro.network.onnx_model import SAMPLE_RATE, Stop
from engines.kokoro.probe import load_probe

MAX_REAL_TIME_FACTOR = 0.3
"""Above this a player that plays each window as it arrives would stall. The steepest step of ``windows``
decodes 28 frames and 8 of context while 14 are played: 0.39. A quarter of that is left to everything but
the generator."""

_RUNS = 2


def real_time_factor(generator: Generator) -> float:
    """Seconds of computing for one second of audio: the faster of two runs, which take 0.2–1 s in all.

    The first run also allocates the memory that later ones reuse. Raises ModelFailed.
    """
    window, _ = load_probe()
    took = []
    for _ in range(_RUNS):
        begun = time.perf_counter()
        samples = generator.generate(window, Stop())
        took.append(time.perf_counter() - begun)
    return min(took) / (len(samples) / SAMPLE_RATE)
