"""The speech of a recording, for networks that make embeddings of it."""

import numpy as np

from kani.core.audio.resampling import Resampler
from kani.core.errors import NoSpeech
from kani.core.types import Recording, Samples

_QUIETEST_DB = -65.0


def speech_of(recording: Recording, max_s: float, sample_rate: int) -> Samples:
    """Return the first ``max_s`` seconds of a recording at ``sample_rate`` hertz.

    Raises InvalidRequest for ``reference`` if they are silent.
    """
    samples = recording.samples[: round(max_s * recording.sample_rate)]
    loudness = float(samples.std(dtype=np.float64)) if len(samples) else 0.0
    if not loudness > 10 ** (_QUIETEST_DB / 20):
        raise NoSpeech()
    resampler = Resampler(recording.sample_rate, sample_rate)
    return np.concatenate((resampler.feed(samples), resampler.finish()))
