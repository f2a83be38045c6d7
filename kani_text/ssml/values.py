"""Values of SSML's attributes for prosody and emphasis."""

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

RATES = {"x-slow": 0.5, "slow": 0.64, "medium": 1.0, "default": 1.0, "fast": 1.55, "x-fast": 2.0}
"""Factors of the speed; SSML leaves them open, these are the ones that Azure's speech service documents."""

PITCHES = {"x-low": 0.55, "low": 0.8, "medium": 1.0, "default": 1.0, "high": 1.2, "x-high": 1.45}
"""Factors of the frequency, from the same place."""

VOLUMES_DB = {"silent": -60.0, "x-soft": -12.0, "soft": -6.0, "medium": 0.0, "default": 0.0} | {
    "loud": 6.0,
    "x-loud": 12.0,
}
"""Decibels; six are half or twice the amplitude."""


class EmphasisLevel(NamedTuple):
    """Prosody of emphasized words, relative to those around them."""

    rate: float = 1.0
    """Factor of the speed."""
    pitch: float = 0.0
    """Semitones added."""
    loudness: float = 0.0
    """Decibels added."""

    def inside(self, outer: "EmphasisLevel") -> "EmphasisLevel":
        """Return the emphasis of words that are emphasized inside emphasized ones."""
        return EmphasisLevel(self.rate * outer.rate, self.pitch + outer.pitch, self.loudness + outer.loudness)


NO_EMPHASIS = EmphasisLevel()
EMPHASIS: Mapping[str, EmphasisLevel] = {
    "strong": EmphasisLevel(0.85, 1.0, 3.0),
    "moderate": EmphasisLevel(0.92, 0.5, 2.0),
    "none": NO_EMPHASIS,
    "reduced": EmphasisLevel(1.08, -0.5, -3.0),
}

MAX_SEMITONES = 12.0
MIN_DECIBELS, MAX_DECIBELS = -60.0, 12.0
MIN_RATE, MAX_RATE = 0.25, 4.0

_NUMBER = re.compile(r"([+-]?)(\d{1,6}(?:\.\d{0,6})?|\.\d{1,6})\s*(%|st|dB|)", re.IGNORECASE)


def clamp(value: float, low: float, high: float) -> float:
    """Return the nearest value of a range."""
    return min(max(value, low), high)


def rate_factor(value: str) -> float | None:
    """Return the factor of a ``rate``: one of ``RATES``, "80%", "+20%" or "0.8"; None for anything else."""
    if value in RATES:
        return RATES[value]
    sign, number, unit = _parse(value)
    if unit == "%":
        factor = 1 + number / 100 if sign else number / 100
    elif unit == "" and not sign:
        factor = number
    else:
        return None
    return clamp(factor, MIN_RATE, MAX_RATE)


def pitch_semitones(value: str) -> float | None:
    """Return the semitones of a ``pitch``: a name, "+2st" or "-10%"; None for a frequency and the like."""
    sign, number, unit = _parse(value)
    if value in PITCHES:
        factor = PITCHES[value]
    elif unit == "st":
        return clamp(number, -MAX_SEMITONES, MAX_SEMITONES)
    elif unit == "%":
        factor = 1 + number / 100 if sign else number / 100
    else:
        return None
    return clamp(12 * math.log2(max(factor, 0.1)), -MAX_SEMITONES, MAX_SEMITONES)


def volume_decibels(value: str) -> float | None:
    """Return the decibels of a ``volume``: a name, "+6dB", "-10%", or a number from 0 to 100, which is the
    voice's own loudness; None for anything else."""
    if value in VOLUMES_DB:
        return VOLUMES_DB[value]
    sign, number, unit = _parse(value)
    if unit == "db":
        return clamp(number, MIN_DECIBELS, MAX_DECIBELS)
    if unit not in ("%", ""):
        return None
    factor = 1 + number / 100 if sign else number / 100
    return clamp(20 * math.log10(max(factor, 0.001)), MIN_DECIBELS, MAX_DECIBELS)


def _parse(value: str) -> tuple[str, float, str]:
    """Return sign, signed number and unit in small letters; the unit "?" for no number."""
    found = _NUMBER.fullmatch(value.strip())
    if found is None:
        return "", 0.0, "?"
    number = float(found[2])
    return found[1], -number if found[1] == "-" else number, found[3].lower()
