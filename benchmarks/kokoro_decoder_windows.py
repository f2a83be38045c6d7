"""The same windows for every generator: what one is given, kept, so that each makes its sound of it.

FLOAT32 is the published graph with nothing rounded (``engines/kokoro/dequantize.py``).
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np

import settings
import weights
from benchmarks.kokoro_sayings import Foreseen, Model, Plan
from engines.kokoro import parts_cache
from engines.kokoro.choosing import load_fast
from engines.kokoro.dequantize import dequantized
from engines.kokoro.generator import Decoder, Generator, OnnxGenerator
from engines.kokoro.graph_surgery import Surgery
from engines.kokoro.model import FRAME, Array, Stop
from engines.kokoro.parts import NormStatistics, PartedModel
from speech.types import Samples

FLOAT32, ONNX, FAST = "float32", "onnx", "fast"


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """What a generator is given for one window: see ``Generator.audio``."""

    features: Array
    spectra: Array
    scale: Array
    shift: Array
    before: int
    after: int

    def by(self, generator: Generator) -> Samples:
        """Its sound."""
        return generator.audio(
            self.features,
            self.spectra,
            self.scale,
            self.shift,
            before=self.before,
            after=self.after,
            stop=Stop(),
        )


class _Keeper:
    """A generator that keeps what it is given and makes silence of it."""

    decoder: Decoder = "onnx"

    def __init__(self, context: int) -> None:
        self.context = context
        self.windows: list[Window] = []

    def audio(
        self,
        features: Array,
        spectra: Array,
        scale: Array,
        shift: Array,
        *,
        before: int,
        after: int,
        stop: Stop,
    ) -> Samples:
        """See ``Generator.audio``."""
        self.windows.append(Window(features, spectra, scale, shift, before, after))
        return np.zeros((features.shape[2] // 2 - before - after) * FRAME, np.float32)


def windows_of(
    generator: Generator, model: Model, foreseen: Foreseen, plan: Plan, statistics: NormStatistics
) -> list[Window]:
    """The windows of ``plan`` as the server would give them to ``generator``."""
    keeper = _Keeper(generator.context)
    features = copy(foreseen.features)
    features.generator = keeper
    model.decoded(replace(foreseen, features=features), statistics, plan)
    return keeper.windows


def sound(
    generator: Generator, model: Model, foreseen: Foreseen, plan: Plan, statistics: NormStatistics
) -> Samples:
    """The samples of the windows of ``plan``."""
    windows = windows_of(generator, model, foreseen, plan, statistics)
    return np.concatenate([window.by(generator) for window in windows])


def _published() -> bytes:
    chosen = settings.load({})
    return weights.load(weights.KOKORO, models_dir=chosen.models_dir, cache_dir=chosen.cache_dir)


@cache
def generators(cores: int) -> dict[str, Generator]:
    """The server's two, on so many cores. Raises EngineUnavailable if it is not fit for the fast one."""
    cache_dir = settings.load({}).cache_dir
    part = partial(parts_cache.load(_published(), cache_dir), "generator")
    return {ONNX: OnnxGenerator(part(), cores), FAST: load_fast(part, cache_dir, cores)}


@cache
def float32(cores: int) -> PartedModel:
    """All parts with nothing rounded."""
    surgery = Surgery(dequantized(_published()))
    return PartedModel(lambda name: getattr(surgery, name)(), cores)
