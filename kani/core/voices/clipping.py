"""Detects clipping: places where a recording's waveform is cut off at a limit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kani.core.types import Recording, Samples
from kani.core.voices.recording_quality import true_runs

# Flat tops: at least ``_MIN_TOP_SAMPLES`` consecutive samples within a thousandth of the recording's peak.
# Slow waves have one or two such tops by nature.
_FLAT_LEVEL = 0.999
_MIN_TOP_SAMPLES, _MIN_TOP_S = 3, 1e-4
_MIN_TOPS = 4
_PLACE_GAP_S = 0.05

# A codec or a resampler makes flat tops wavy, but many peaks stay about as high as the highest. Ratios of two
# percentiles of the peaks (low, high, ratio) that speech never exceeds.
_PEAK_BLOCK_S = 0.012
_LOUD_SHARE = 0.1
_MIN_PEAKS = 200
_MAX_EVENNESS = ((97, 99, 0.97), (95, 99, 0.93), (90, 99, 0.82), (80, 97, 0.81))


def count_clipped_places(recording: Recording) -> int:
    """Number of clipped places in ``recording``, 50 ms or more apart; 0 if it is hardly clipped.

    Finds clipping by 3 dB in samples as they were recorded, and by 12 dB also after a lossy codec, where the
    peaks near the limit are counted.
    """
    samples = recording.samples - recording.samples.mean(dtype=np.float64).astype(np.float32)
    sides = (samples, -samples)
    shortest = max(round(_MIN_TOP_S * recording.sample_rate), _MIN_TOP_SAMPLES)
    tops = [_flat_tops(side, shortest) for side in sides]
    if sum(len(side) for side in tops) >= _MIN_TOPS:
        return _places(np.concatenate(tops) / recording.sample_rate)
    length = round(_PEAK_BLOCK_S * recording.sample_rate)
    high = [_even_peaks(side, length) for side in sides]
    return _places(np.concatenate(high) * _PEAK_BLOCK_S)


def _flat_tops(side: Samples, shortest: int) -> npt.NDArray[np.int64]:
    """Indices of the samples at which flat tops of positive ``side`` begin, ``shortest`` samples at least."""
    near = true_runs(side >= _FLAT_LEVEL * side.max(initial=0.0))
    begins: npt.NDArray[np.int64] = near[near[:, 1] - near[:, 0] >= shortest, 0]
    return begins


def _even_peaks(side: Samples, length: int) -> npt.NDArray[np.int64]:
    """Indices of the blocks of ``length`` samples that peak at the limit, if too even for speech."""
    peaks = side[: len(side) // length * length].reshape(-1, length).max(axis=1)
    loud = peaks[peaks >= _LOUD_SHARE * peaks.max(initial=0.0)]
    if len(loud) < _MIN_PEAKS:
        return np.zeros(0, np.int64)
    percentiles = {percent: float(np.percentile(loud, percent)) for percent in (80, 90, 95, 97, 99)}
    even = [least for low, high, least in _MAX_EVENNESS if percentiles[low] > least * percentiles[high]]
    limit = min(even) * percentiles[99] if even else np.inf
    return np.flatnonzero(peaks > limit)


def _places(times_s: npt.NDArray[np.floating]) -> int:
    """Number of groups of times separated by at least ``_PLACE_GAP_S``."""
    return int(np.count_nonzero(np.diff(np.sort(times_s), prepend=-np.inf) >= _PLACE_GAP_S))
