"""The level of all voices: the gain that gives it, and a limit for peaks."""

from __future__ import annotations

import numpy as np

from kani.core.types import Samples

LEVEL_LUFS = -20.0
"""Integrated loudness (ITU-R BS.1770) that engines give all their voices."""

_KNEE, _CEILING = 0.6, 0.82


def decibels(db: float) -> float:
    """Return the factor that changes samples by ``db`` decibels."""
    return float(10 ** (db / 20))


def leveled(samples: Samples, gain: float) -> Samples:
    """Multiply samples by ``gain`` and bend those above 0.6 towards 0.82: true peaks stay below −1 dB.

    Each sample depends on itself only: pieces give the samples of the whole, and nothing waits.
    """
    louder = samples * np.float32(gain)
    height = np.abs(louder)
    over = np.flatnonzero(height > _KNEE)
    if len(over):
        bent = _KNEE + (_CEILING - _KNEE) * np.tanh((height[over] - _KNEE) / (_CEILING - _KNEE))
        louder[over] = np.copysign(bent, louder[over])
    return louder
