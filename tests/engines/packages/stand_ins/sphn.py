"""Stands for sphn, which reads recordings."""

import wave

import numpy as np


def read(path: str, sample_rate: int) -> tuple[np.ndarray, int]:
    """Return the samples [1, samples] of a file at that rate."""
    with wave.open(path) as file:
        assert file.getframerate() == sample_rate
        return np.frombuffer(file.readframes(-1), "<i2")[None].astype(np.float32) / 2**15, sample_rate
