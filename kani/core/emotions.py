"""Emotions by name, and blends of them, as prosody."""

import functools
import math
import re
from collections.abc import Mapping
from types import MappingProxyType

from kani.core.errors import InvalidRequest
from kani.core.types import NEUTRAL, Prosody

EMOTIONS: Mapping[str, Prosody] = MappingProxyType(
    {
        "neutral": NEUTRAL,
        "happy": Prosody(rate=1.06, pitch=2.0, pitch_range=1.4, loudness=1.5, brightness=2.0, pauses=0.9),
        "sad": Prosody(rate=0.86, pitch=-2.0, pitch_range=0.6, loudness=-4.0, brightness=-4.0, pauses=1.4),
        "angry": Prosody(rate=1.08, pitch=0.0, pitch_range=1.4, loudness=3.5, brightness=3.0, pauses=0.8),
        "excited": Prosody(rate=1.14, pitch=3.0, pitch_range=1.5, loudness=2.0, brightness=2.5, pauses=0.7),
        "calm": Prosody(rate=0.9, pitch=-0.8, pitch_range=0.75, loudness=-2.5, brightness=-2.0, pauses=1.3),
        "friendly": Prosody(rate=1.02, pitch=1.0, pitch_range=1.2, loudness=0.5, brightness=1.0, pauses=1.0),
        "professional": Prosody(rate=0.98, pitch=-1.0, pitch_range=0.85, brightness=1.0, pauses=1.05),
    }
)
"""Prosody of each emotion at full strength. Directions are those of the literature on vocal affect (Banse and
Scherer 1996; Juslin and Laukka 2003); sizes were chosen by measurement, so that each is distinguished from
all others and intelligibility stays the same (docs/emotions.md)."""

MAX_LENGTH = 200
"""Most characters of an emotion or a blend."""

_FACTORS = ("rate", "pitch_range", "pauses")
_AMOUNTS = ("pitch", "loudness", "brightness")

_PART = re.compile(r"([a-z]+)(?:\s*:\s*([0-9]{1,6}|[0-9]{0,6}\.[0-9]{1,6}))?")


@functools.lru_cache(maxsize=256)
def prosody_of(emotion: str | None, strength: float | None) -> Prosody:
    """Return the prosody of ``emotion``.

    emotion: a name of ``EMOTIONS`` (case-insensitive), or several with their weights ("happy:0.5,calm:0.5";
        the default weight is 1); None is neutral. Weights that sum to less than 1 leave the rest neutral;
        those that sum to more are normalized to 1.
    strength: 0-1, the share of the whole; None is 1.

    Factors are blended by their logarithms. Neutral, or a strength of 0, is exactly ``NEUTRAL``. Raises
    InvalidRequest with the field ``emotion`` or ``emotion_strength``.
    """
    strength = 1.0 if strength is None else strength
    if not 0.0 <= strength <= 1.0:
        raise InvalidRequest("emotion_strength", "must be between 0 and 1")
    weights = _weights(emotion) if emotion is not None else {}
    scale = strength / max(sum(weights.values()), 1.0)
    parts = [(EMOTIONS[name], weight * scale) for name, weight in weights.items()]
    factors = {
        field: math.prod((getattr(target, field) ** share for target, share in parts), start=1.0)
        for field in _FACTORS
    }
    amounts = {field: sum(getattr(target, field) * share for target, share in parts) for field in _AMOUNTS}
    return Prosody(**factors, **amounts)


def _weights(emotion: str) -> dict[str, float]:
    """Parse the weight of each emotion; those of one that is named twice are added."""
    if len(emotion) > MAX_LENGTH:
        raise InvalidRequest("emotion", f"too long (at most {MAX_LENGTH} characters)")
    weights: dict[str, float] = {}
    for part in emotion.lower().split(","):
        match = _PART.fullmatch(part.strip())
        if match is None:
            known = ", ".join(EMOTIONS)
            raise InvalidRequest(
                "emotion", f'{part.strip()!r} is no "name" or "name:weight" (known: {known})'
            )
        name, weight = match[1], float(match[2] or 1.0)
        if name not in EMOTIONS:
            raise InvalidRequest("emotion", f"unknown emotion {name!r} (known: {', '.join(EMOTIONS)})")
        if weight == 0.0:
            raise InvalidRequest("emotion", f"the weight of {name!r} must be above 0")
        weights[name] = weights.get(name, 0.0) + weight
    return weights
