"""Makes a speaker state from a recording: the codec's latents of its first ten seconds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from kani.core.errors import NoSpeech
from kani.core.types import Recording, Samples
from kani.engines.pocket.codec import Codec
from kani.engines.pocket.model import SAMPLE_RATE
from kani.runtime.recording_embedder import speech_of

_MAX_VALUES = 4096
_BLOCK_S = 0.02
_FLOOR_DB = 35.0
_FADE_S = 0.02
_PAUSE_S = 0.08


def latents_of(codec: Codec, latent_size: int, recording: Recording, stopped: Callable[[], bool]) -> Samples:
    """The latents of a recording, one after the other; empty once ``stopped()`` is true.

    As much of the beginning as an embedding holds: 10.2 s. Raises InvalidRequest for ``reference`` where
    there is no speech in it.
    """
    frames = _MAX_VALUES // latent_size
    longest_s = frames * codec.samples / SAMPLE_RATE - _PAUSE_S
    samples = speech_of(recording, longest_s, SAMPLE_RATE)[: round(longest_s * SAMPLE_RATE)]
    latents = codec.encode(torch.from_numpy(end_on_pause(samples)), stopped)
    if latents is None:
        return np.zeros(0, np.float32)
    if not torch.isfinite(latents).all():
        raise NoSpeech()
    return latents[:frames].flatten().numpy()


def end_on_pause(samples: Samples) -> Samples:
    """Cut the silence at the end, fade the last 20 ms out, and add a pause of 80 ms.

    The model goes on with a recording that stops within speech, and begins late after one that ends on a
    long silence. Source: PyPI pocket-tts 4.0.1, ``data/audio_utils.py``.
    """
    block = round(_BLOCK_S * SAMPLE_RATE)
    count = len(samples) // block
    if not count:
        return samples
    power = np.square(samples[: count * block].reshape(count, block)).mean(1)
    levels = 20 * np.log10(np.sqrt(power) + 1e-12)
    end = (int(np.flatnonzero(levels > levels.max() - _FLOOR_DB)[-1]) + 1) * block
    ended = np.concatenate((samples[:end], np.zeros(round(_PAUSE_S * SAMPLE_RATE), np.float32)))
    fade = min(round(_FADE_S * SAMPLE_RATE), end)
    ended[end - fade : end] *= np.linspace(1, 0, fade, dtype=np.float32)
    return ended
