"""Calibrates and packs a generator, in a process of its own: minutes of computation, and memory that stays.

Standard input is what ``written`` returns; an archive of the packed generator with a probe goes to standard
output.
"""

from __future__ import annotations

import io
import os
import sys
import zipfile
from collections.abc import Sequence

import numpy as np

from kani.engines.kokoro.litert.calibration.float_generator import FloatGenerator
from kani.engines.kokoro.litert.calibration.scales import NotCalibrated, find_scales
from kani.engines.kokoro.litert.calibration.store import given, write_window
from kani.engines.kokoro.litert.packing.generator_graph import GeneratorGraph, norm_coefficients
from kani.engines.kokoro.litert.packing.graph_layers import read_layers
from kani.engines.kokoro.litert.packing.layers import Layers
from kani.engines.kokoro.litert.packing.store import CONTEXT_FRAMES, PackedArchive, write_archive
from kani.engines.kokoro.network.decoder import Window
from kani.engines.kokoro.network.graph_surgery import UnknownGraph
from kani.engines.kokoro.network.onnx_model import FRAME_SAMPLES, Array

_PIECES = 56
"""Pieces of all sentences together, as many as the scales that ship are found from."""

_PROBED_FRAMES, _HOPS = 8, 120


def build(source: bytes) -> bytes:
    """Return the archive. Raises UnknownGraph and NotCalibrated."""
    generator, sentences = given(PackedArchive(zipfile.ZipFile(io.BytesIO(source))))
    layers = read_layers(generator)
    scales = find_scales(layers, sentences, pieces=-(-_PIECES // len(sentences)))
    probe, audio = _probe(layers, sentences)
    return write_archive(
        {
            "generator.tflite": GeneratorGraph(layers, scales).build(),
            **norm_coefficients(layers, scales),
            **write_window("probe", probe),
            "probe.audio": audio,
        }
    )


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


def main() -> None:
    """Run as a process; what cannot be calibrated ends it with only the reason."""
    if hasattr(os, "nice"):
        # It computes while the server speaks.
        os.nice(10)
    try:
        archive = build(sys.stdin.buffer.read())
    except (UnknownGraph, NotCalibrated) as error:
        sys.exit(str(error))
    sys.stdout.buffer.write(archive)


if __name__ == "__main__":
    main()
