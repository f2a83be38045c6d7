"""What one level stands for, and which level is zero: of each input channel of each int8 convolution.

Calibrated (``calibrate``) and shipped: ``scales.npz`` holds ``NAME.step`` and ``NAME.zero`` for each
convolution, by its name in the original network; ``scales.json`` says what they were made of.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engines.kokoro.network.onnx_model import Array

SCALES_FILE = "scales.npz"
SCALES_ORIGIN_FILE = "scales.json"


class Scale(NamedTuple):
    """Of a convolution's input: level = clip(⌊value / step + zero + ½⌋, 0, 255), by channel [C]."""

    step: Array
    zero: npt.NDArray[np.uint8]


Scales = Mapping[str, Scale]


def load_scales() -> Scales:
    """Those that ship. Raises OSError, ValueError or KeyError where the file is missing or broken."""
    with (Path(__file__).parents[1] / "data" / SCALES_FILE).open("rb") as file, np.load(file) as data:
        names = [name.removesuffix(".step") for name in data.files if name.endswith(".step")]
        return {name: Scale(data[f"{name}.step"], data[f"{name}.zero"]) for name in names}
