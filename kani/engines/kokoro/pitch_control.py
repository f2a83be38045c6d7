"""Pitch control and emphasis: edits the predicted prosody before the audio is decoded.

The encoder predicts F0 as a curve, and the decoder follows any curve it is given. Shifting or scaling it
makes a voice higher, lower, livelier or flatter without changing its timbre and without a filter afterwards.
Features and curves can be made longer in the same way. More energy hardly makes the sound louder: samples get
a gain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kani.core.types import Emphasis, Prosody, Samples
from kani.engines.kokoro.network.onnx_model import FRAME_SAMPLES
from kani.engines.kokoro.network.parts import MIN_VOICED_HZ, PredictedProsody
from kani.engines.kokoro.text.phonemes import Utterance

NATIVE_PROSODY_FIELDS = frozenset({"pitch", "pitch_range", "pauses"})
"""Fields of a ``Prosody`` that Kokoro and its students render."""

SEMITONE = float(np.log(2.0)) / 12
"""Semitone, in log hertz."""
# Beyond this distance from the voice's log F0 the curve is a dip in an unvoiced consonant, not intonation.
_FARTHEST = 6 * SEMITONE

_LAG = 5
"""Half frames that the durations lag the audio by (60 ms, see ``timing``)."""


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


def emphasized_symbols(
    utterance: Utterance, emphases: Sequence[Emphasis], lead: int = 0
) -> tuple[Emphasis, ...]:
    """Return the emphases of a text as those of its symbols, of whole words, after ``lead`` other symbols."""
    found = []
    for one in emphases:
        words = [word for word in utterance.words if word.start < one.end and one.start < word.end]
        if words:
            found.append(replace(one, start=lead + words[0].first, end=lead + words[-1].stop))
    return tuple(found)


def emphasize(prosody: PredictedProsody, emphases: Sequence[Emphasis]) -> PredictedProsody:
    """Give symbols another length, pitch and gain; returns ``prosody`` itself if there are none."""
    if not emphases:
        return prosody
    # In half frames, as the curves are.
    edges = np.concatenate([[0], 2 * np.cumsum(prosody.frames)])
    length, moved, louder = np.ones(edges[-1]), np.zeros(edges[-1]), np.zeros(edges[-1])
    for one in emphases:
        # The first symbol is a pad.
        begin, end = edges[[one.start + 1, one.end + 1]]
        length[begin:end] = 1 / one.rate
        sounding = slice(max(begin - _LAG, 0), max(end - _LAG, 0))
        moved[sounding], louder[sounding] = one.pitch * SEMITONE, one.loudness
    ends = np.cumsum(length)
    new_edges = np.interp(edges, np.arange(len(ends) + 1), [0, *ends])
    frames = np.diff(np.round(new_edges / 2).astype(np.int64))
    count = 2 * int(frames.sum())
    # Old half frame that each new one repeats: ``taken`` for the features, ``heard`` for the curves.
    taken = np.searchsorted(ends, np.arange(count + _LAG) + 0.5).clip(max=len(ends) - 1)
    heard = np.maximum(taken[_LAG:] - _LAG, 0)
    taken = taken[:count]
    pitch = np.where(prosody.pitch > MIN_VOICED_HZ, prosody.pitch * np.exp(moved), prosody.pitch)
    return replace(
        prosody,
        asr=prosody.asr[:, :, taken if prosody.asr.shape[2] == len(ends) else taken[::2] // 2],
        pitch=pitch[:, heard].astype(np.float32),
        energy=prosody.energy[:, heard],
        frames=frames,
        gain=10 ** (louder[heard] / 20),
    )


def amplified(samples: Samples, prosody: PredictedProsody, first: int) -> Samples:
    """Return the samples from frame ``first`` on with the prosody's gain."""
    if prosody.gain is None:
        return samples
    half_frames = np.arange(len(samples)) / (FRAME_SAMPLES / 2) + 2 * first - 0.5
    gain = np.interp(half_frames, np.arange(len(prosody.gain)), prosody.gain)
    return samples * gain.astype(np.float32)
