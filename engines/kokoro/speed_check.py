"""Speed of the network's two halves on this machine."""

from __future__ import annotations

import time

from engines.kokoro.network.decoder import Generator
from engines.kokoro.network.onnx_model import SAMPLE_RATE, Array, Stop
from engines.kokoro.network.parts import SplitModel
from engines.kokoro.probe import load_probe

MAX_REAL_TIME_FACTOR = 0.3
"""Above this a player that plays each window as it arrives would stall. The steepest step of ``windows``
decodes 28 frames and 8 of context while 14 are played: 0.39. A quarter of that is left to everything but
the generator."""

_RUNS = 2

MEASURED_SYMBOLS = "ðə bˈeɪkɚɹ ɑːn ˌaʊɚ skwˈɛɹ ˈoʊpənz hɪz ʃˈɑːp lˈɔŋ bᵻfˌoːɹ ðə sˈʌn."


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


def prediction_symbol_s(model: SplitModel, style: Array) -> float:
    """Seconds that prosody and features take for a symbol of a sentence of 4 s: the faster of two runs.

    The first run also allocates the memory that later ones reuse. style: of such a sentence [1, 256]. Where
    other processes are busy the clock runs on, so processor time counts if it is less. Raises ModelFailed.
    """
    took = []
    for _ in range(_RUNS):
        begun, used = time.perf_counter(), time.process_time()
        prosody = model.predict_prosody(MEASURED_SYMBOLS, style, 1.0, Stop())
        model.decode_features(prosody, style, Stop())
        took.append(min(time.perf_counter() - begun, time.process_time() - used))
    return min(took) / len(MEASURED_SYMBOLS)
