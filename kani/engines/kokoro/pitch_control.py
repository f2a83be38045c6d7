"""Pitch control: edits the predicted F0 contour before the audio is decoded.

The encoder predicts F0 as a curve, and the decoder follows any curve it is given. Shifting or scaling it
makes a voice higher, lower, livelier or flatter without changing its timbre and without a filter afterwards.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kani.core.types import Prosody
from kani.engines.kokoro.network.parts import MIN_VOICED_HZ, PredictedProsody

NATIVE_PROSODY_FIELDS = frozenset({"pitch", "pitch_range"})
"""Fields of a ``Prosody`` that this module renders."""

SEMITONE = float(np.log(2.0)) / 12
"""In log hertz."""
# Beyond this distance from the voice's log F0 the curve is a dip in an unvoiced consonant, not intonation.
_FARTHEST = 6 * SEMITONE


def apply_pitch(prosody: PredictedProsody, wanted: Prosody, log_f0: float) -> PredictedProsody:
    """Apply the requested pitch and range to a predicted F0 contour; returns ``prosody`` itself if neutral.

    tone: the log hertz about which the range is widened or narrowed. The voice's own rather than the
    utterance's, so that all pieces of a text agree.
    """
    if wanted.pitch == 0.0 and wanted.pitch_range == 1.0:
        return prosody
    voiced = prosody.pitch > MIN_VOICED_HZ
    away = np.clip(np.log(np.maximum(prosody.pitch, MIN_VOICED_HZ)) - log_f0, -_FARTHEST, _FARTHEST)
    moved = wanted.pitch * SEMITONE + (wanted.pitch_range - 1.0) * away
    pitch = np.where(voiced, prosody.pitch * np.exp(moved), prosody.pitch).astype(np.float32)
    return replace(prosody, pitch=pitch)
