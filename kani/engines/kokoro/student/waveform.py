"""The student's spectra to samples: a source with all harmonics, noise, and a rest, by inverse STFT.

For each half frame of 12.5 ms the network gives magnitude and phase of a filter (lh, θ), the magnitude of the
noise (ln), and magnitude and phase of a rest (lr, φ), each in 601 bands. The spectrum is

    exp(lh) · e^{iπ tanh θ} · STFT(pulses) + exp(ln) · Z + exp(lr) · e^{iφ}

with complex unit noise Z and a train of pulses that has all harmonics of the pitch below 11 kHz. Source: the
network's own definition, ``hibari/dsp.py`` of hibari-tts 0.2.1 (Apache-2.0). The noise is always the same, so
the same prediction gives the same samples. NumPy's transforms and functions keep float32.
"""

from functools import cache, lru_cache

import numpy as np
import numpy.typing as npt

from kani.core.types import Samples

Array = npt.NDArray[np.float32]
Spectra = npt.NDArray[np.complex64]

SAMPLE_RATE = 24_000
HOP = 300
"""Samples of a half frame."""

WINDOW = 1200
BANDS = WINDOW // 2 + 1

_OVERLAP = WINDOW // HOP
_VOICED_HZ, _HIGHEST_HZ = 40.0, 11_000.0
_LOUDEST = np.float32(7.0)
"""Limit of a log magnitude."""

_BLOCK = 32
"""Half frames that are computed at once: what they need stays in the processor's cache."""

_NOISE_FRAMES = 400
"""Half frames after which the noise repeats: 5 s. Drawing it anew would be a third of the time."""

# Periodic Hann. The source's is scaled so that a unit cosine has the magnitude 2.
_HANN = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)
_SOURCE_WINDOW = _HANN / np.float32(WINDOW / 4)


def synthesize(spectra: Array, pitch: Array, first: int = 0) -> Samples:
    """Return the samples [300 n] of n half frames; ``first`` is the first one's place in its utterance.

    spectra: lh, θ, ln, lr and φ side by side [n, 5 · 601]; pitch: hertz, below 40 where unvoiced, of the
    utterance as far as the last of them [first + n or more]. Phase and noise go on from part to part.
    """
    count = len(spectra)
    source = np.pad(pulses(pitch, first, first + count), WINDOW // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(source, WINDOW)[::HOP]
    noise = np.take(_noise(), np.arange(first, first + count), axis=0, mode="wrap")
    summed = np.zeros((count + _OVERLAP - 1, HOP), np.float32)
    for begin in range(0, count, _BLOCK):
        block = slice(begin, min(begin + _BLOCK, count))
        pieces = _inverse(_spectrum(spectra[block], frames[block], noise[block]))
        for at in range(_OVERLAP):
            summed[block.start + at : block.stop + at] += pieces[:, at]
    summed *= _overlap_gain(count)
    return summed.reshape(-1)[WINDOW // 2 :][: count * HOP]


def _spectrum(spectra: Array, frames: Array, noise: Spectra) -> Spectra:
    """Spectrum [n, 601] of a block of half frames.

    frames: their windows of the source [n, 1200]; noise: of magnitude 1 [n, 601].
    """
    filtered, turned, noisy, rest, phase = spectra.reshape(len(spectra), 5, BANDS).transpose(1, 0, 2)
    spectrum = np.asarray(np.fft.rfft(frames * _SOURCE_WINDOW), np.complex64)
    spectrum *= _polar(filtered, np.tanh(turned) * np.float32(np.pi))
    spectrum += noise * _magnitude(noisy)
    spectrum += _polar(rest, phase)
    return spectrum


def _magnitude(log: Array) -> Array:
    return np.exp(np.minimum(log, _LOUDEST))


def _polar(log: Array, phase: Array) -> Spectra:
    magnitude = _magnitude(log)
    made = np.empty(log.shape, np.complex64)
    np.multiply(magnitude, np.cos(phase), out=made.real)
    np.multiply(magnitude, np.sin(phase), out=made.imag)
    return made


@cache
def _noise() -> Spectra:
    """Complex noise of unit variance in each part [400, 601]."""
    drawn = np.random.default_rng(0).standard_normal((_NOISE_FRAMES, 2 * BANDS), dtype=np.float32)
    return drawn.view(np.complex64)


def _inverse(spectrum: Spectra) -> Array:
    """Windowed samples of each half frame [n, 4, 300]."""
    frames = np.asarray(np.fft.irfft(spectrum, WINDOW), np.float32)
    frames *= _HANN
    return frames.reshape(len(spectrum), _OVERLAP, HOP)


@lru_cache(maxsize=4)
def _overlap_gain(count: int) -> Array:
    """One over the summed squared windows [n + 3, 300]: constant but at the ends."""
    squared = np.square(_HANN).reshape(_OVERLAP, HOP)
    summed = np.zeros((count + _OVERLAP - 1, HOP), np.float32)
    for at in range(_OVERLAP):
        summed[at : at + count] += squared[at]
    return np.asarray(1 / np.maximum(summed, 1e-11), np.float32)


def pulses(pitch: Array, first: int, end: int) -> Samples:
    """Return a train of pulses [300 n] with all harmonics of ``pitch`` (hertz) below 11 kHz.

    It is that of the half frames [first, end) of ``pitch``. Each harmonic is a cosine of amplitude 1; silent
    where the pitch is below 40 Hz. The pitch is interpolated between the middles of half frames. Sum of H
    cosines: sin((H + ½) t) / (2 sin(t / 2)) − ½ (Dirichlet's kernel).
    """
    middles = (np.arange(len(pitch), dtype=np.float64) + 0.5) * HOP - 0.5
    hertz = np.interp(np.arange(end * HOP), middles, pitch)
    turns = np.cumsum(np.maximum(hertz, _VOICED_HZ))[first * HOP :] / SAMPLE_RATE
    hertz = hertz[first * HOP :]
    voiced = hertz > _VOICED_HZ
    hertz = np.maximum(hertz, _VOICED_HZ)
    angle = (2 * np.pi * (turns - np.floor(turns))).astype(np.float32)
    order = (np.floor(_HIGHEST_HZ / hertz) + 0.5).astype(np.float32)
    below = 2 * np.sin(angle * np.float32(0.5))
    at_peak = np.abs(below) <= 2e-3
    below[at_peak] = 1
    train = np.sin(order * angle) / below
    train[at_peak] = order[at_peak]
    train -= np.float32(0.5)
    train[~voiced] = 0
    return np.asarray(train, np.float32)
