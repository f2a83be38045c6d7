"""Check in float32 that a window's samples do not depend on the cuts of an utterance."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from benchmarks import single_engine
from benchmarks.kokoro.measures import closeness_db
from benchmarks.kokoro.variants import Model, Plan, Prediction
from benchmarks.report import median, table
from benchmarks.sentences import ABOUT_4_S, mixed
from kani.core.types import Samples
from kani.engines.kokoro.network.float_graph import dequantize
from kani.engines.kokoro.network.graph_surgery import Surgery
from kani.engines.kokoro.network.onnx_model import FRAME_SAMPLES
from kani.engines.kokoro.network.parts import NormStatistics, SplitModel
from kani.engines.kokoro.voices import DEFAULT_VOICES
from kani.runtime import weights
from kani.server import settings

_SENTENCES = 6
_SHORTEST, _LONGEST = 4, 80


def exact() -> None:
    """Print the table."""
    chosen = settings.load({})
    int8 = weights.load(weights.KOKORO, models_dir=chosen.models_dir, cache_dir=chosen.cache_dir)
    float32 = dequantize(int8)
    surgery = Surgery(float32)
    model = Model(
        float32, SplitModel.on_onnxruntime(lambda name: getattr(surgery, name)(), single_engine.THREADS)
    )
    voices = {voice.id: voice for voice in model.voices.all}
    random = np.random.default_rng(0)
    found: dict[str, list[float]] = {}
    for language, text in mixed(ABOUT_4_S)[:_SENTENCES]:
        foreseen = model.foresee(text, voices[DEFAULT_VOICES[language]])
        expected = model.expected(foreseen)
        recorded, seen = model.recorded(foreseen)
        everything = [(0, foreseen.features.frames)]
        at_once = model.decode(foreseen, expected, everything)
        by_random = random_plan(foreseen.features.frames, random)
        for name, statistics, plan, reference in (
            ("the server's windows ÷ one window", expected, foreseen.plan, at_once),
            (f"{_SHORTEST} to {_LONGEST} frames at random ÷ one window", expected, by_random, at_once),
            ("the server's windows ÷ the recorder, its statistics", seen, foreseen.plan, recorded),
            ("the recorder ÷ the published graph", seen, everything, model.whole(foreseen)),
        ):
            found.setdefault(name, []).append(_closeness(model, foreseen, statistics, plan, reference))
    rows = [
        [name, "≥ 80 dB" if "windows" in name or "random" in name else "", *_levels(levels)]
        for name, levels in found.items()
    ]
    print(f"Float32, {_SENTENCES} sentences es, en and fr, signal to difference:\n")
    print(table(("what", "goal", "median", "worst"), rows) + "\n", flush=True)


def _levels(levels: list[float]) -> tuple[str, str]:
    return f"{median(levels):.1f} dB", f"{min(levels):.1f} dB"


def _closeness(
    model: Model, foreseen: Prediction, statistics: NormStatistics, plan: Plan, reference: Samples
) -> float:
    windows = model.decode(foreseen, statistics, plan)
    return closeness_db(windows, reference[plan[0][0] * FRAME_SAMPLES : plan[-1][1] * FRAME_SAMPLES])


def random_plan(frames: int, random: np.random.Generator) -> Plan:
    """Windows of random lengths over all frames."""
    edges = [0]
    while edges[-1] < frames:
        edges.append(min(edges[-1] + int(random.integers(_SHORTEST, _LONGEST + 1)), frames))
    return list(pairwise(edges))
