"""A recording as the embedding of a voice: what ``/api/voice`` answers.

The shape is moshi-server's, [1, 512, 125]: ten seconds in frames of 80 ms. The numbers are ours, as the
encoder behind theirs was never published: the logarithm of the energy in 512 mel bands, which a client
keeps and sends back unread.
"""

from __future__ import annotations

import functools

import numpy as np

from dialects.kyutai.messages import EMBEDDING_CHANNELS, FRAME, SAMPLE_RATE
from speech.audio import Resampler
from speech.types import Recording, Samples

FRAMES = 125
SECONDS = 10.0

_WINDOW = 4096
_QUIETEST = 1e-5


def embed(recording: Recording) -> Samples:
    """The embedding [1, 512, 125], float32, of the first ten seconds; what is shorter ends in silence."""
    resampler = Resampler(recording.sample_rate, SAMPLE_RATE)
    wanted = round(SECONDS * recording.sample_rate)
    audio = np.concatenate([resampler.feed(recording.samples[:wanted]), resampler.finish()])
    audio = np.pad(audio, (_WINDOW // 2, max(0, FRAMES * FRAME - len(audio)) + _WINDOW))
    frames = np.stack([audio[at : at + _WINDOW] for at in range(0, FRAMES * FRAME, FRAME)])
    power = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW))) ** 2 / _WINDOW
    bands = np.log(power @ _mel_filters().T + _QUIETEST)
    return bands.T[None].astype(np.float32)


@functools.cache
def _mel_filters() -> Samples:
    """Triangles [512, 2049] over the spectrum, evenly spaced on the mel scale (O'Shaughnessy 1987)."""
    top = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, EMBEDDING_CHANNELS + 2) / 2595) - 1)
    hertz = np.linspace(0, SAMPLE_RATE / 2, _WINDOW // 2 + 1)
    # The lowest bands are narrower than a bin of the spectrum, and would catch none.
    width = np.maximum(np.diff(edges), hertz[1])
    rising = 1 - (edges[1:-1, None] - hertz) / width[:-1, None]
    falling = 1 - (hertz - edges[1:-1, None]) / width[1:, None]
    filters: Samples = np.maximum(0, np.minimum(rising, falling))
    return filters
