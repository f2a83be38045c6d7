"""A speaker that no voice is: the timbre of several, the melody of one, and a pitch of its own.

The first half of a style is what the decoder takes, and carries the timbre; the second is what rhythm and
melody are foreseen from. So the halves may be of different speakers, and timbres can be added up.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_PITCH_SHIFT = 18.0
"""Semitones that a mix may be higher or lower than the voice of its melody."""

PITCH_RANGE_LIMITS = (0.5, 2.0)
"""How many times as lively as that voice a mix may be."""

MIN_WEIGHT, MAX_WEIGHT = -0.6, 1.6
"""Of one voice. Below zero: away from it."""

MAX_NEGATIVE_WEIGHT = 0.6
"""The weights below zero may add up to so much: farther out the timbre is no speaker's any more."""


@dataclass(frozen=True, slots=True)
class VoiceMix:
    """One speaker, made of the voices that ship.

    melody: the voice whose rhythm and melody it has; timbre: voices and their weights, which add up to 1;
    pitch: semitones higher than ``melody``; pitch_range: times as far from its mean.
    """

    prosody_voice: str
    timbre: tuple[tuple[str, float], ...]
    pitch: float = 0.0
    pitch_range: float = 1.0

    @classmethod
    def from_voice(cls, voice: str) -> VoiceMix:
        """One voice, as it is."""
        return cls(voice, ((voice, 1.0),))


VoiceOrMix = str | VoiceMix
"""Who speaks: a voice by its id, or a mix."""
