"""Test window of speech with its float32 samples: ``data/probe.npz``, built by ``offline/probe.py``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engines.kokoro.network.decoder import Window
from engines.kokoro.network.onnx_model import Array

PROBE_FILE = "probe.npz"


def load_probe() -> tuple[Window, Array]:
    """Load the generator's input for 12 frames of speech, and their samples [7200] computed in float32."""
    with (Path(__file__).parent / "data" / PROBE_FILE).open("rb") as file, np.load(file) as data:
        given = (data[name].astype(np.float32) for name in ("features", "spectra", "scale", "shift"))
        return Window(*given), data["audio"].astype(np.float32)
