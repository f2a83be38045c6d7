"""Where a recording is clipped: its waveform is cut off at a level that it wanted to go beyond."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from speech.types import Recording, Samples
from speech.voices.recording_quality import true_runs

# A top is flat if so many samples in a row are within a thousandth of the recording's highest; slow waves
# have one or two such tops by nature.
_FLAT = 0.999
_LEAST_SAMPLES, _LEAST_TOP_S = 3, 1e-4
_LEAST_TOPS = 4
_PLACE_S = 0.05

# A codec or a resampler makes flat tops wavy; but still many peaks are about as high as the highest ones. How
# high, against the peaks of one percentile, those of another are: more than speech ever has.
_PEAK_S = 0.012
_LOUD = 0.1
_FEWEST_PEAKS = 200
_MOST_EVEN = ((97, 99, 0.97), (95, 99, 0.93), (90, 99, 0.82), (80, 97, 0.81))


def count_clipped_places(recording: Recording) -> int:
    """How many places, 50 ms or more apart, ``recording`` is clipped in; 0 if it is not, or hardly.

    Clipping by 3 dB is found in the samples as they were recorded, by 12 dB also behind a lossy codec, there
    with the peaks that came near the limit for its places.
    """
    samples = recording.samples - recording.samples.mean(dtype=np.float64).astype(np.float32)
    sides = (samples, -samples)
    shortest = max(round(_LEAST_TOP_S * recording.sample_rate), _LEAST_SAMPLES)
    tops = [_flat_tops(side, shortest) for side in sides]
    if sum(len(side) for side in tops) >= _LEAST_TOPS:
        return _places(np.concatenate(tops) / recording.sample_rate)
    length = round(_PEAK_S * recording.sample_rate)
    high = [_even_peaks(side, length) for side in sides]
    return _places(np.concatenate(high) * _PEAK_S)


def _flat_tops(side: Samples, shortest: int) -> npt.NDArray[np.int64]:
    """The samples that flat tops of positive ``side`` begin at, of at least ``shortest`` samples."""
    near = true_runs(side >= _FLAT * side.max(initial=0.0))
    begins: npt.NDArray[np.int64] = near[near[:, 1] - near[:, 0] >= shortest, 0]
    return begins


def _even_peaks(side: Samples, length: int) -> npt.NDArray[np.int64]:
    """Which blocks of ``length`` samples peak at the limit, if their peaks are too even for speech."""
    peaks = side[: len(side) // length * length].reshape(-1, length).max(axis=1)
    loud = peaks[peaks >= _LOUD * peaks.max(initial=0.0)]
    if len(loud) < _FEWEST_PEAKS:
        return np.zeros(0, np.int64)
    percentiles = {percent: float(np.percentile(loud, percent)) for percent in (80, 90, 95, 97, 99)}
    even = [least for low, high, least in _MOST_EVEN if percentiles[low] > least * percentiles[high]]
    limit = min(even) * percentiles[99] if even else np.inf
    return np.flatnonzero(peaks > limit)


def _places(times_s: npt.NDArray[np.floating]) -> int:
    """How many groups of times there are with gaps of at least ``_PLACE_S``."""
    return int(np.count_nonzero(np.diff(np.sort(times_s), prepend=-np.inf) >= _PLACE_S))
