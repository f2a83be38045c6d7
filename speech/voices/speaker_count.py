"""Whether one person speaks in a recording, or several: how unlike its windows are to a speaker encoder."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from speech.types import Samples

Array = npt.NDArray[np.float32]
Times = npt.NDArray[np.float64]

# Windows of one speaker have cosines of 0.7 to 0.9 whatever is said, of two of 0.4 to 0.75.
_FEWEST = 4
# So many pairs of windows, the least alike, are looked beyond: those of one odd window, 2 in n of all pairs.
_UNLIKE_PERCENT, _ODD_PERCENT = 15, 200
_LEAST_ALIKE = 0.67
# Speakers who take long turns lie along one direction: what one speaker differs by is spread over many.
_FEWEST_FOR_DIRECTION = 6
_MOST_ALONG_ONE = 0.09

_INSIDE_S = 0.3
"""A pause so far inside a window may have another speaker on either side of it."""


class SpeakerWindows(Protocol):
    """Who speaks in each window of a recording."""

    @property
    def embeddings(self) -> Array:
        """[n, m], each of length 1: the cosine of two says how alike the speakers are."""

    @property
    def spans_s(self) -> Times:
        """[n, 2], from when to when, in seconds of what was given."""


class WindowEncoder(Protocol):
    """Hears who speaks. Safe to be used by several threads."""

    def embed_windows(self, samples: Samples) -> SpeakerWindows:
        """The speaker of each second or two of ``samples`` (mono, 16 kHz, speech)."""


def has_several_speakers(windows: SpeakerWindows, pauses_s: Times) -> bool:
    """Whether more than one person speaks in ``windows``.

    pauses_s: where pauses were cut out, in the same seconds; people take turns there. One who speaks for less
    than a seventh of the recording, or only together with another, is not found.
    """
    embeddings = windows.embeddings
    if len(embeddings) < _FEWEST:
        return False
    begins, ends = windows.spans_s[:, :1] + _INSIDE_S, windows.spans_s[:, 1:] - _INSIDE_S
    unmixed = embeddings[~((pauses_s > begins) & (pauses_s < ends)).any(axis=1)]
    if len(unmixed) < _FEWEST:
        unmixed = embeddings
    alike = (unmixed @ unmixed.T)[np.triu_indices(len(unmixed), 1)]
    percent = max(_UNLIKE_PERCENT, _ODD_PERCENT / len(unmixed))
    if np.percentile(alike, percent) < _LEAST_ALIKE:
        return True
    return _along_one(embeddings) > _MOST_ALONG_ONE


def _along_one(embeddings: Array) -> float:
    """The variance of ``embeddings`` along the direction in which they vary most; 0 for a few of them."""
    if len(embeddings) < _FEWEST_FOR_DIRECTION:
        return 0.0
    deviations = embeddings - embeddings.mean(axis=0)
    return float(np.linalg.svd(deviations, compute_uv=False)[0] ** 2) / len(embeddings)
