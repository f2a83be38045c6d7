"""Distances between speakers by measures that the search did not optimise; of different sentences."""

from __future__ import annotations

import numpy as np
import soxr

from benchmarks.kokoro.measures import LOUD_DB, mel_db, pitch
from kani.core.types import Recording, Samples
from kani.engines.kokoro.network.onnx_model import SAMPLE_RATE

MEASURES = ("pitch", "long-term spectrum", "MFCC")

_CEPSTRA = 20
_BANDS = 66
"""Bands of ``mel_db``'s 80: what lies below 7 kHz, which a recording at 16 kHz has."""


def distances(one: Recording, other: Recording) -> tuple[float, float, float]:
    """Semitones between the medians of pitch; decibels between the mean spectra, without their levels, and
    between the mean cepstra (c1 to c19, as a vector).
    """
    first, second = (_samples(recording) for recording in (one, other))
    tones = [float(np.nanmedian(np.log2(pitch(samples)))) for samples in (first, second)]
    spectra = [_spectra(samples) for samples in (first, second)]
    means = [spectrum.mean(axis=0) for spectrum in spectra]
    apart = (means[0] - means[0].mean()) - (means[1] - means[1].mean())
    cepstra = [(spectrum @ _cosines()).mean(axis=0) for spectrum in spectra]
    return (
        abs(12 * (tones[0] - tones[1])),
        float(np.sqrt(np.square(apart).mean())),
        float(np.linalg.norm(cepstra[0] - cepstra[1])),
    )


def _samples(recording: Recording) -> Samples:
    return np.asarray(soxr.resample(recording.samples, recording.sample_rate, SAMPLE_RATE), np.float32)


def _spectra(samples: Samples) -> np.ndarray:
    """Decibels in mel bands up to 7 kHz, of the loud frames."""
    spectra = mel_db(samples)[:, :_BANDS]
    return spectra[spectra.max(axis=1) > spectra.max() - LOUD_DB]


def _cosines() -> np.ndarray:
    """The orthonormal discrete cosine transform [bands, cepstra], without the level."""
    at = (np.arange(_BANDS) + 0.5)[:, np.newaxis]
    orders = np.arange(1, _CEPSTRA)
    return np.sqrt(2 / _BANDS) * np.cos(np.pi / _BANDS * at * orders)
