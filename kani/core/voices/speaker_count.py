"""Distinguishes one speaker from several by the similarity of the embeddings of a recording's windows."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from kani.core.types import Samples

Array = npt.NDArray[np.float32]
Times = npt.NDArray[np.float64]

# Windows of one speaker have cosines of 0.7 to 0.9 whatever is said, of two speakers of 0.4 to 0.75.
_MIN_WINDOWS = 4
# Percentile of the least similar pairs that is looked at, beyond those of one odd window (2 in n of all
# pairs).
_LOW_PERCENT, _ODD_PERCENT = 15, 200
_MIN_SIMILARITY = 0.67
# Speakers with long turns lie along one direction; the variation of one speaker is spread over many.
_MIN_WINDOWS_FOR_COMPONENT = 6
_MAX_COMPONENT_VARIANCE = 0.09

_INSIDE_S = 0.3
"""On either side of a pause this far inside a window there may be different speakers."""


class SpeakerWindows(Protocol):
    """Speaker embeddings of a recording's windows."""

    @property
    def embeddings(self) -> Array:
        """[n, m], each of length 1: the cosine of two is the similarity of their speakers."""

    @property
    def spans_s(self) -> Times:
        """[n, 2], begin and end in seconds of the samples given."""


class WindowEncoder(Protocol):
    """Makes speaker embeddings. Safe for use by several threads."""

    def embed_windows(self, samples: Samples) -> SpeakerWindows:
        """Embed each second or two of ``samples`` (mono, 16 kHz, speech)."""


def has_several_speakers(windows: SpeakerWindows, pauses_s: Times) -> bool:
    """Check if more than one person speaks in ``windows``.

    pauses_s: times in the same seconds at which pauses were cut out; people take turns there. A speaker with
    less than a seventh of the recording, or who only speaks together with another, is not found.
    """
    embeddings = windows.embeddings
    if len(embeddings) < _MIN_WINDOWS:
        return False
    begins, ends = windows.spans_s[:, :1] + _INSIDE_S, windows.spans_s[:, 1:] - _INSIDE_S
    unmixed = embeddings[~((pauses_s > begins) & (pauses_s < ends)).any(axis=1)]
    if len(unmixed) < _MIN_WINDOWS:
        unmixed = embeddings
    similarities = (unmixed @ unmixed.T)[np.triu_indices(len(unmixed), 1)]
    percent = max(_LOW_PERCENT, _ODD_PERCENT / len(unmixed))
    if np.percentile(similarities, percent) < _MIN_SIMILARITY:
        return True
    return _first_component_variance(embeddings) > _MAX_COMPONENT_VARIANCE


def _first_component_variance(embeddings: Array) -> float:
    """Share of the variance of ``embeddings`` along their first principal component; 0 for a few of them."""
    if len(embeddings) < _MIN_WINDOWS_FOR_COMPONENT:
        return 0.0
    deviations = embeddings - embeddings.mean(axis=0)
    return float(np.linalg.svd(deviations, compute_uv=False)[0] ** 2) / len(embeddings)
