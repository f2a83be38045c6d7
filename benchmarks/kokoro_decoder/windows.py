"""Decoder variants, and the same windows for each of them.

FLOAT32 is the published graph without rounding of activations (``benchmarks/kokoro_decoder/dequantize.py``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from benchmarks.kokoro.variants import Model, Plan, Prediction
from kani.core.types import Samples
from kani.engines.kokoro.litert.decoder import load_litert_decoder
from kani.engines.kokoro.litert.packing.store import load_packed
from kani.engines.kokoro.network import parts_cache
from kani.engines.kokoro.network.decoder import Window
from kani.engines.kokoro.network.float_graph import dequantize
from kani.engines.kokoro.network.graph_surgery import Surgery
from kani.engines.kokoro.network.onnx_model import FRAME_SAMPLES, Stop
from kani.engines.kokoro.network.parts import SplitModel
from kani.runtime import weights
from kani.server import settings

FLOAT32, ONNX, LITERT = "float32", "onnx", "litert"


class _Keeper:
    """A generator that records its input and returns silence."""

    def __init__(self, context: int) -> None:
        self.context = context
        self.windows: list[Window] = []

    def generate(self, window: Window, stop: Stop) -> Samples:
        """See ``Generator.generate``."""
        self.windows.append(window)
        frames = window.features.shape[2] // 2 - window.before - window.after
        return np.zeros(frames * FRAME_SAMPLES, np.float32)

    def close(self) -> None:
        """See ``Generator.close``."""


@dataclass(frozen=True, slots=True, eq=False)
class DecoderVariant:
    """One variant: the parts with its generator, and the synthesizer around them."""

    parts: SplitModel
    model: Model

    def again(self, foreseen: Prediction) -> Prediction:
        """The same prosody with features of this variant."""
        features = self.parts.decode_features(foreseen.prosody, foreseen.style, Stop())
        return replace(foreseen, features=features)

    def windows(self, foreseen: Prediction, plan: Plan) -> list[Window]:
        """Inputs of the windows of ``plan``: predicted features, with this variant's context."""
        keeper = _Keeper(self.parts.decoder.generator.context)
        features = replace(foreseen.features, generator=keeper)
        statistics = self.model.expected(foreseen)
        self.model.decode(replace(foreseen, features=features), statistics, plan)
        return keeper.windows

    def sound(self, foreseen: Prediction, plan: Plan) -> Samples:
        """Samples of the windows of ``plan``."""
        generator = self.parts.decoder.generator
        return np.concatenate([generator.generate(window, Stop()) for window in self.windows(foreseen, plan)])


@cache
def decoder_variant(name: str, cores: int) -> DecoderVariant:
    """FLOAT32, ONNX or LITERT, on ``cores`` cores. Raises DecoderUnavailable where LITERT does not run."""
    chosen = settings.load({})
    int8 = weights.load(weights.KOKORO, models_dir=chosen.models_dir, cache_dir=chosen.cache_dir)
    if name == FLOAT32:
        surgery = Surgery(dequantize(int8))
        parts = SplitModel.on_onnxruntime(lambda part: getattr(surgery, part)(), cores)
    elif name == LITERT:
        packed = load_packed(weights.KOKORO.sha256, lambda: int8, chosen.cache_dir)
        parts = SplitModel(packed.prosody.content("encoder.onnx"), load_litert_decoder(packed, cores), cores)
    else:
        parts = SplitModel.on_onnxruntime(parts_cache.load(int8, chosen.cache_dir), cores)
    return DecoderVariant(parts, Model(int8, parts))
