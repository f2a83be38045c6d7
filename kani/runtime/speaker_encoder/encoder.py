"""Speaker encoder in NumPy: embeddings that are near each other for recordings of one speaker.

Resemblyzer's VoiceEncoder (Corentin Jemine, Apache-2.0; generalised end-to-end loss, Wan et al. 2018):
three LSTM layers read 1.6 s of a mel spectrogram, and their state at its end becomes an embedding of length
1 without negative numbers. Two recordings of one speaker have a cosine of 0.8 to 0.95, of two speakers some
0.5 to 0.75. ``speaker_encoder.npz`` holds the weights, made by ``tools.published.speaker_encoder``.

Two steps differ from Resemblyzer's. It cuts out long silences by WebRTC's voice detector; here a frame
counts as voice if it is at most ``_VOICE_RANGE_DB`` quieter than the loud ones, and the smoothing is the
same. And it amplifies recordings that are quieter than -30 dB full scale only; here all are scaled to that
level, or 10 dB more would change the cosine by 0.08.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from kani.core.errors import EngineUnavailable
from kani.core.types import Samples
from kani.runtime.mel_features import mel_filters

DATA_FILE = "speaker_encoder.npz"
ORIGIN_FILE = "speaker_encoder.json"

SAMPLE_RATE = 16_000
WINDOW_S = 1.6
LAYERS = 3
EMBEDDING_SIZE = 256
"""Length of an embedding."""

BATCH_SIZE = 16
"""Windows that are computed at once."""

Array = npt.NDArray[np.float32]

# Mel spectrogram: samples of a transform and between two, and bands.
_FFT, _HOP, _BANDS = 400, 160, 40
_FILTERS = mel_filters(_BANDS)
# Windows of the network: mel frames of one, and between the starts of two.
_WINDOW = 160
_STEP = round(SAMPLE_RATE / 1.3 / _HOP)
# Share of the last window that has to be speech.
_MIN_COVERED = 0.75
# Parts that a weight matrix is cut into, see _blocks.
_BLOCKS = 16
# Root mean square that recordings are scaled to: -30 dB full scale.
_LEVEL = 10 ** (-30 / 20)
_QUIETEST = 1e-6
# Voice detection: samples of a frame, frames of the smoothing and of the dilation.
_FRAME = 480
_SMOOTHED, _KEPT_AROUND = 8, 7
_VOICE_RANGE_DB = 35.0
_SILENCE_DB = -65.0


@dataclass(frozen=True, slots=True, eq=False)
class WindowEmbeddings:
    """Embeddings of a recording's windows of ``WINDOW_S`` of speech."""

    embeddings: Array  # [n, 256], each of length 1
    spans_s: npt.NDArray[np.float64]  # [n, 2], start and end in the recording, with silence that was cut out


class SpeakerEncoder:
    """The network. Loads in 10 ms; thread-safe."""

    def __init__(self) -> None:
        """Load the weights. Raises EngineUnavailable when the data file is missing or broken."""
        try:
            # Opened here: numpy does not close a file that is no archive.
            with Path(__file__).with_name(DATA_FILE).open("rb") as file, np.load(file) as data:
                self._layers = [
                    (
                        _blocks(data[f"input_{layer}"]),
                        _blocks(data[f"recurrent_{layer}"]),
                        data[f"bias_{layer}"].astype(np.float32),
                    )
                    for layer in range(LAYERS)
                ]
                self._linear, self._offset = (data[name].astype(np.float32) for name in ("linear", "offset"))
        except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
            raise EngineUnavailable(
                f"the speaker encoder is missing or broken: restore kani/runtime/speaker_encoder/{DATA_FILE}"
            ) from error

    def embed(self, samples: Samples) -> Array:
        """Return the embedding [256], of length 1, of ``samples`` (mono, ``SAMPLE_RATE``); 0.1 s for 10 s.

        Raises ValueError where they hold no speech (``embed_windows``).
        """
        mean = self.embed_windows(samples).embeddings.mean(axis=0)
        return np.asarray(mean / np.linalg.norm(mean), np.float32)

    def embed_windows(self, samples: Samples) -> WindowEmbeddings:
        """Return the embeddings of the windows of ``samples`` (mono, ``SAMPLE_RATE``), 0.77 s apart.

        Shorter speech is padded with silence to one window. Raises ValueError where no frame is louder than
        -65 dB full scale.
        """
        mels, spans_s = mel_windows(samples)
        return WindowEmbeddings(self.embed_mels(mels), spans_s)

    def embed_stretches(self, stretches: Sequence[Samples], step_s: float) -> list[Array]:
        """Return the embeddings [n, 256] of the windows of each of ``stretches`` (mono, ``SAMPLE_RATE``).

        The stretches are speech without pauses; their windows begin ``step_s`` apart, and the last ends with
        the stretch. Shorter speech is repeated to the length of one window.
        """
        if not stretches:
            return []
        windows = [_stretch_windows(samples, step_s) for samples in stretches]
        embeddings = self.embed_mels(np.concatenate(windows))
        return np.split(embeddings, np.cumsum([len(own) for own in windows])[:-1])

    def embed_mels(self, mels: Array) -> Array:
        """Return the embeddings [n, 256] of windows of mel power [n, 160, 40]; 20 ms each."""
        return np.concatenate(
            [self._embed_batch(mels[at : at + BATCH_SIZE]) for at in range(0, len(mels), BATCH_SIZE)]
        )

    def _embed_batch(self, mels: Array) -> Array:
        sequence = np.ascontiguousarray(mels.transpose(1, 0, 2), np.float32)
        for weights in self._layers:
            sequence = _lstm(sequence, *weights)
        raw = np.maximum(sequence[-1] @ self._linear.T + self._offset, 0.0)
        return np.asarray(raw / np.linalg.norm(raw, axis=1, keepdims=True), np.float32)


def mel_windows(samples: Samples) -> tuple[Array, npt.NDArray[np.float64]]:
    """Return the mel power of the windows of speech [n, 160, 40], and their ``WindowEmbeddings.spans_s``.

    samples: mono, ``SAMPLE_RATE``. Raises ValueError where no frame is louder than -65 dB full scale.
    """
    # With a constant offset every pause would count as voice.
    samples = samples - np.float32(samples.mean(dtype=np.float64)) if len(samples) else samples
    kept = _voiced(samples)
    if not kept.any():
        raise ValueError("no speech")
    at = np.flatnonzero(np.repeat(kept, _FRAME))
    level = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    voice = np.asarray(samples * np.float32(_LEVEL / level))[at]
    firsts = _firsts(len(voice))
    begins = np.asarray(firsts) * _HOP
    ends = np.minimum(begins + _WINDOW * _HOP, len(at)) - 1
    return _windows(voice, firsts), np.stack([at[begins], at[ends] + 1], axis=1) / SAMPLE_RATE


def _stretch_windows(samples: Samples, step_s: float) -> Array:
    """Return the mel power [n, 160, 40] of a stretch of speech, in windows ``step_s`` apart at most."""
    samples = samples - np.float32(samples.mean(dtype=np.float64))
    loud = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    samples = samples * np.float32(_LEVEL / max(loud, _QUIETEST))
    mels = mel_power(np.resize(samples, max(len(samples), _WINDOW * _HOP)))
    last = len(mels) - _WINDOW - 1
    firsts = np.linspace(0, last, 1 + math.ceil(last * _HOP / SAMPLE_RATE / step_s)).astype(int)
    return np.stack([mels[first : first + _WINDOW] for first in firsts])


def mel_power(samples: Samples) -> Array:
    """Return the power in 40 mel bands every 10 ms [1 + n // 160, 40], of windows of 25 ms.

    Equals librosa's ``melspectrogram``: periodic Hann, silence beyond the ends, Slaney's bands.
    """
    padded = np.pad(samples, _FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT)[::_HOP]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_FFT) / _FFT)
    spectra = np.fft.rfft(frames * hann.astype(np.float32), axis=1)
    return np.asarray((np.square(spectra.real) + np.square(spectra.imag)) @ _FILTERS.T, np.float32)


def _lstm(sequence: Array, inputs: Array, recurrent: Array, bias: Array) -> Array:
    """Return the hidden states [T, n, 256] of a layer for ``sequence`` [T, n, m], from a zero state on.

    inputs, recurrent: in blocks of columns (``_blocks``), the gates in torch's order.
    """
    steps, count, _ = sequence.shape
    hidden = np.zeros((count, EMBEDDING_SIZE), np.float32)
    cell = np.zeros((count, EMBEDDING_SIZE), np.float32)
    states = np.empty((steps, count, EMBEDDING_SIZE), np.float32)
    for step in range(steps):
        products = np.matmul(sequence[step], inputs) + np.matmul(hidden, recurrent)
        gates = products.transpose(1, 0, 2).reshape(count, -1) + bias
        input_gate, forget_gate, candidate, output_gate = np.split(gates, 4, axis=1)
        cell = _sigmoid(forget_gate) * cell + _sigmoid(input_gate) * np.tanh(candidate)
        hidden = _sigmoid(output_gate) * np.tanh(cell)
        states[step] = hidden
    return states


def _blocks(weights: Array) -> Array:
    """Return weights [1024, m] as columns to multiply with, in blocks [16, m, 64].

    A product of up to ``BATCH_SIZE`` windows with a block is small enough for OpenBLAS to compute it in the
    calling thread. Shared among threads, a thousand small products take a hundred times as long on a machine
    with cores that are busy with speech (measured: 0.2 s and 24 s).
    """
    return np.ascontiguousarray(weights.reshape(_BLOCKS, -1, weights.shape[1]).transpose(0, 2, 1), np.float32)


def _sigmoid(values: Array) -> Array:
    return np.asarray(0.5 * np.tanh(0.5 * values) + 0.5)


def _voiced(samples: Samples) -> npt.NDArray[np.bool_]:
    """Return whether each frame of 30 ms is speech, or a short silence in it."""
    frames = samples[: len(samples) // _FRAME * _FRAME].reshape(-1, _FRAME)
    if not len(frames):
        return np.zeros(0, bool)
    power_db = 10 * np.log10(np.mean(np.square(frames, dtype=np.float64), axis=1) + 1e-12)
    loudest = float(np.percentile(power_db, 95))
    average = 10 * float(np.log10(np.mean(np.power(10.0, power_db / 10))))
    if loudest < average:
        # Less than a twentieth of the recording is speech.
        loudest = float(np.percentile(power_db[power_db >= average], 95))
    if loudest < _SILENCE_DB:
        return np.zeros(len(frames), bool)
    before, after = (_SMOOTHED - 1) // 2, _SMOOTHED // 2
    loud = np.pad((power_db > loudest - _VOICE_RANGE_DB).astype(float), (before, after))
    often = np.convolve(loud, np.ones(_SMOOTHED) / _SMOOTHED, "valid") > 0.5
    return np.convolve(often, np.ones(_KEPT_AROUND), "same") > 0.5


def _firsts(samples: int) -> list[int]:
    """Return the first frame of each window, as Resemblyzer lays them; the last may reach beyond the end."""
    frames = -(-(samples + 1) // _HOP)
    firsts = list(range(0, max(1, frames - _WINDOW + _STEP + 1), _STEP))
    covered = (samples / _HOP - firsts[-1]) / _WINDOW
    return firsts[:-1] if covered < _MIN_COVERED and len(firsts) > 1 else firsts


def _windows(samples: Samples, firsts: list[int]) -> Array:
    """Return the mel power [n, 160, 40] of the windows that begin at ``firsts``, padded with silence."""
    missing = (firsts[-1] + _WINDOW) * _HOP - len(samples)
    mels = mel_power(np.pad(samples, (0, max(missing, 0))))
    return np.stack([mels[first : first + _WINDOW] for first in firsts])
