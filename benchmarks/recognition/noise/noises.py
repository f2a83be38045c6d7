"""Noises without a licence: pink noise, keys of a keyboard, and a babble of Kokoro's voices."""

from __future__ import annotations

import numpy as np

from benchmarks.recognition.diarization.recordings import JUDGING
from benchmarks.recognition.hard_recordings import Speaker
from benchmarks.recognition.sentences import EVERYDAY
from kani.core.types import Samples
from kani.runtime.voice_detector import SAMPLE_RATE

LENGTH_S = 20
"""Seconds of a noise, which is repeated under longer speech."""

SPEAKING = tuple(voice for voice in JUDGING if not voice.startswith("espeak:"))
"""Voices of the recordings, which babble as well."""

_SENTENCES = 4
_KEYS_PER_S = 7
_KEY_S = 0.03
_LOUD = 0.01


def pink(rng: np.random.Generator) -> Samples:
    """Return noise with the same power in each octave."""
    length = LENGTH_S * SAMPLE_RATE
    spectrum = np.fft.rfft(rng.standard_normal(length))
    frequencies = np.maximum(np.fft.rfftfreq(length), 1 / length)
    return np.fft.irfft(spectrum / np.sqrt(frequencies), length).astype(np.float32)


def typing(rng: np.random.Generator) -> Samples:
    """Return the strokes of keys: short bursts of noise, seven a second, of several strengths."""
    samples = np.zeros(LENGTH_S * SAMPLE_RATE, np.float32)
    size = round(_KEY_S * SAMPLE_RATE)
    fading = np.exp(-np.arange(size) / (0.15 * size)).astype(np.float32)
    for at in rng.integers(0, len(samples) - size, LENGTH_S * _KEYS_PER_S):
        burst = rng.standard_normal(size).astype(np.float32) * fading
        samples[at : at + size] += np.float32(rng.uniform(0.3, 1.0)) * burst
    return samples


async def babble(speaker: Speaker) -> Samples:
    """Return the voices of ``SPEAKING``, all at once and equally loud."""
    length = LENGTH_S * SAMPLE_RATE
    whole = np.zeros(length, np.float32)
    for number, voice in enumerate(SPEAKING):
        texts = EVERYDAY["en"][:_SENTENCES]
        said = np.concatenate([await speaker.say(text, voice, "en") for text in texts])
        # Each begins elsewhere, so that no two say the same at once.
        begun = np.roll(said, -len(said) * number // len(SPEAKING))
        whole += np.resize(begun / np.sqrt(np.mean(np.square(said))), length)
    return whole


def mixed(speech: Samples, noise: Samples, decibels: float) -> Samples:
    """Return speech with noise, ``decibels`` below the power of its loud samples."""
    power = float(np.mean(np.square(speech[np.abs(speech) > _LOUD])))
    under = np.resize(noise, len(speech))
    gain = np.sqrt(power / 10 ** (decibels / 10) / float(np.mean(np.square(under))))
    return np.clip(speech + under * np.float32(gain), -1.0, 1.0)
