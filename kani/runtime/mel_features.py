"""Log-mel spectrograms as Whisper reads them, only with numpy.

The values are those of OpenAI's Whisper: windows of 25 ms, one each 10 ms, and Slaney's mel bands.
"""

import numpy as np
import numpy.typing as npt

from kani.core.types import Samples

SAMPLE_RATE = 16_000
HOP_SAMPLES = 160
"""Samples from one column of a spectrogram to the next."""

_WINDOW = 400
_HANN = np.hanning(_WINDOW + 1)[:-1].astype(np.float32)
# Slaney's scale: linear up to 1 kHz, 200/3 Hz a mel, and logarithmic above, 27 mels for a factor of 6.4.
_LINEAR_MELS, _HZ_A_MEL, _LOG_STEP = 15.0, 200 / 3, np.log(6.4) / 27
_HIGHEST_MEL = 45.245640471924965  # of 8 kHz
_LEAST_POWER, _DYNAMIC_RANGE = 1e-10, 8.0


def mel_filters(bands: int) -> npt.NDArray[np.float32]:
    """Return Slaney's triangles [bands, 201] for windows of 25 ms (16 kHz), all of the same area."""
    mels = np.linspace(0, _HIGHEST_MEL, bands + 2)
    logarithmic = 1000 * np.exp(_LOG_STEP * (mels - _LINEAR_MELS))
    edges = np.where(mels < _LINEAR_MELS, _HZ_A_MEL * mels, logarithmic)
    ramps = edges[:, None] - np.fft.rfftfreq(_WINDOW, 1 / SAMPLE_RATE)
    widths = np.diff(edges)[:, None]
    triangles = np.maximum(0, np.minimum(-ramps[:-2] / widths[:-1], ramps[2:] / widths[1:]))
    return np.asarray(triangles * (2 / (edges[2:] - edges[:-2]))[:, None], np.float32)


class MelFeatures:
    """Spectrograms of a number of bands. Thread-safe."""

    def __init__(self, bands: int) -> None:
        """bands: 80, or 128 as in Whisper large v3."""
        self._filters = mel_filters(bands)

    def __call__(self, samples: Samples, padding: int = HOP_SAMPLES) -> npt.NDArray[np.float32]:
        """Return the spectrogram [bands, columns] of mono audio (16 kHz).

        padding: samples of silence after it.
        """
        padded = np.pad(np.pad(samples.astype(np.float32), (0, padding)), _WINDOW // 2, mode="reflect")
        windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::HOP_SAMPLES][:-1]
        spectrum = np.fft.rfft(windows * _HANN).T.astype(np.complex64)
        powers = self._filters @ (np.abs(spectrum) ** 2)
        logarithms = np.log10(np.maximum(powers, _LEAST_POWER))
        floored = np.maximum(logarithms, logarithms.max() - _DYNAMIC_RANGE)
        return np.asarray((floored + 4) / 4, np.float32)
