"""Calibrates and packs a generator: minutes of computation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kani.engines.kokoro.litert.packed import CONTEXT_FRAMES, WINDOW_ARRAYS
from kani.engines.kokoro.network.onnx_model import FRAME_SAMPLES, Array
from kani.engines.kokoro.network.parts import Window
from tools.kokoro_pack.archive import Content
from tools.kokoro_pack.calibration.float_generator import FloatGenerator
from tools.kokoro_pack.calibration.scales import find_scales
from tools.kokoro_pack.packing.generator_graph import GeneratorGraph, norm_coefficients
from tools.kokoro_pack.packing.graph_layers import read_layers
from tools.kokoro_pack.packing.layers import Layers

_PIECES = 56
"""Pieces of all sentences together, as many as the scales that ship are found from."""

_PROBED_FRAMES, _HOPS = 8, 120


def calibrated(generator: bytes, sentences: Sequence[Window]) -> Content:
    """Return the entries of a packed generator, and a probe of it.

    generator: ``graph_surgery``'s part; sentences: its inputs for whole sentences. Raises UnknownGraph and
    NotCalibrated.
    """
    layers = read_layers(generator)
    scales = find_scales(layers, sentences, pieces=-(-_PIECES // len(sentences)))
    probe, audio = _probe(layers, sentences)
    return {
        "generator.tflite": GeneratorGraph(layers, scales).build(),
        **norm_coefficients(layers, scales),
        **{f"probe.{kind}": getattr(probe, kind) for kind in WINDOW_ARRAYS},
        "probe.audio": audio,
    }


def _probe(layers: Layers, sentences: Sequence[Window]) -> tuple[Window, Array]:
    """Return the loudest frames of the first sentence, with context, and their samples in float32."""
    (sentence, *_) = sentences
    generator = FloatGenerator(layers)
    power = np.square(generator.audio(sentence)).reshape(-1, FRAME_SAMPLES).sum(axis=1)
    loud = np.convolve(power, np.ones(_PROBED_FRAMES), "valid")[CONTEXT_FRAMES : -CONTEXT_FRAMES or None]
    begin = int(np.argmax(loud))
    end = begin + _PROBED_FRAMES + 2 * CONTEXT_FRAMES
    window = sentence._replace(
        features=sentence.features[:, :, 2 * begin : 2 * end],
        spectra=sentence.spectra[:, :, _HOPS * begin : _HOPS * end + 1],
        before=CONTEXT_FRAMES,
        after=CONTEXT_FRAMES,
    )
    margin = CONTEXT_FRAMES * FRAME_SAMPLES
    return window, generator.audio(window)[margin:-margin]
