"""Test window of speech with its float32 samples: ``data/probe.npz``.

``tools/kokoro_data/probe.py`` makes it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kani.engines.kokoro.network.decoder import Window
from kani.engines.kokoro.network.onnx_model import FRAME_SAMPLES, Array

PROBE_FILE = "probe.npz"


def load_probe() -> tuple[Window, Array]:
    """Load the generator's input for 8 frames of speech, and their samples [4800] computed in float32."""
    with (Path(__file__).parent.parent / "data" / PROBE_FILE).open("rb") as file, np.load(file) as data:
        names = ("features", "spectra", "scale", "shift", "audio")
        features, spectra, scale, shift, audio = (data[name].astype(np.float32) for name in names)
    context = (features.shape[2] // 2 - len(audio) // FRAME_SAMPLES) // 2
    return Window(features, spectra, scale, shift, context, context), audio
