"""Voice mixes: a weighted timbre of several voices, the prosody of one, and a pitch shift.

The first half of a style conditions the decoder and carries the timbre; the second conditions the prediction
of rhythm and pitch. The halves may therefore come from different voices, and timbres can be interpolated.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from kani.core.types import Prosody
from kani.core.voices.names import SEPARATOR, parse_mix

MAX_PITCH_SHIFT = 18.0
"""Largest pitch shift, up or down, from the prosody voice, in semitones."""

PITCH_RANGE_LIMITS = (0.5, 2.0)
"""Smallest and largest factor on the prosody voice's pitch range."""

MIN_WEIGHT, MAX_WEIGHT = -0.6, 1.6
"""Limits of one voice's weight. A negative weight extrapolates away from that voice."""

MAX_NEGATIVE_WEIGHT = 0.6
"""Largest sum of the negative weights' magnitudes: beyond it the timbre no longer sounds like a person."""


@dataclass(frozen=True, slots=True)
class VoiceMix:
    prosody_voice: str  # voice that rhythm and pitch are predicted for
    timbre: tuple[tuple[str, float], ...]  # voices and their weights, which sum to 1
    pitch: float = 0.0  # shift from the prosody voice in semitones
    pitch_range: float = 1.0  # factor on the distances from the prosody voice's log F0

    @classmethod
    def from_voice(cls, voice: str) -> VoiceMix:
        return cls(voice, ((voice, 1.0),))

    @classmethod
    def from_name(cls, name: str) -> VoiceMix:
        """Return the mix of a name ("af_bella(2)+af_sky(1)"), with the prosody of its largest part.

        Raises InvalidRequest.
        """
        parts = parse_mix(name)
        return cls(parts[0].voice, tuple((part.voice, part.share) for part in parts))


VoiceOrMix = str | VoiceMix
"""The id of a shipped voice, or a mix."""


def voice_or_mix(voice: str) -> VoiceOrMix:
    """Return the mix that a segment's voice names, or the voice itself. Raises InvalidRequest."""
    return VoiceMix.from_name(voice) if SEPARATOR in voice else voice


def add_mix_prosody(prosody: Prosody, voice: VoiceOrMix) -> Prosody:
    """Add the pitch shift and range of a mix to the requested prosody."""
    if isinstance(voice, str):
        return prosody
    return replace(
        prosody, pitch=prosody.pitch + voice.pitch, pitch_range=prosody.pitch_range * voice.pitch_range
    )
