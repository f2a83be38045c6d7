"""Checks of a decoder on this machine: a window of speech with known samples, and the harmonic source."""

import hashlib
from collections.abc import Callable

import numpy as np

from kani.engines.kokoro.network.onnx_model import FRAME_SAMPLES, Array, Stop
from kani.engines.kokoro.network.parts import DecoderUnavailable, Generator, Window
from kani.engines.kokoro.voices import DATA

PROBE_FILE = "probe.npz"
"""Kokoro's own window of speech with its float32 samples; ``tools/kokoro_data/probe.py`` makes it."""

# Agreement with float32 below which the probe fails; a broken convolution has 0 dB.
MIN_AGREEMENT_DB = 10.0

_SOURCE_FRAMES = 12
_BINS = 11

# SHA-256 of the magnitudes as the published graph computes them on x86. On ARM, onnxruntime rounds them
# otherwise, so the graph of the machine at hand is no measure.
_SOURCE_DIGEST = "fe3410837628dc4b718097ab34291ed06a8024283b0793f3de2eed63759d924d"


def source_sample() -> tuple[Array, Array]:
    """Return a phase [1, 24, 9] and pitch [1, 24], voiced and unvoiced."""
    halves = 2 * _SOURCE_FRAMES
    pitch = np.linspace(80, 320, halves, dtype=np.float32)[np.newaxis]
    pitch[:, halves // 3 : halves // 2] = 0
    # Phases as large as after half a minute.
    turns = np.linspace(0, 250, halves, dtype=np.float32)[:, np.newaxis] * np.arange(1, 10, dtype=np.float32)
    return turns[np.newaxis].astype(np.float32), pitch


def magnitudes_digest(spectra: Array) -> str:
    """Return the SHA-256 of the magnitudes of spectra [1, 22, T]: of every bit of them."""
    magnitudes = np.ascontiguousarray(spectra[:, :_BINS], "<f4")
    return hashlib.sha256(magnitudes.tobytes()).hexdigest()


def is_exact_source(spectra: Callable[[Array, Array, int, int], Array]) -> bool:
    """True if the magnitudes of voiced and unvoiced frames are the published graph's to the last bit.

    They are not where NumPy rounds otherwise. spectra: ``HarmonicSource.spectra``.
    """
    phase, pitch = source_sample()
    return magnitudes_digest(spectra(phase, pitch, 0, _SOURCE_FRAMES)) == _SOURCE_DIGEST


def load_probe() -> tuple[Window, Array]:
    """Load the generator's input for 8 frames of speech, and their samples [4800] computed in float32."""
    with (DATA / PROBE_FILE).open("rb") as file, np.load(file) as data:
        names = ("features", "spectra", "scale", "shift", "audio")
        features, spectra, scale, shift, audio = (data[name].astype(np.float32) for name in names)
    context = (features.shape[2] // 2 - len(audio) // FRAME_SAMPLES) // 2
    return Window(features, spectra, scale, shift, context, context), audio


def check_speech(generator: Generator, window: Window, audio: Array) -> float:
    """Generate a window and compare it with its float32 samples; returns the signal-to-error ratio in dB.

    Raises DecoderUnavailable.
    """
    made = generator.generate(window, Stop())
    if made.shape != audio.shape or not np.isfinite(made).all():
        raise DecoderUnavailable("it generates no speech from the probe")
    wrong = np.square(audio - made, dtype=np.float64).sum()
    agreement = float(10 * np.log10(np.square(audio, dtype=np.float64).sum() / wrong))
    if agreement < MIN_AGREEMENT_DB:
        raise DecoderUnavailable(
            f"its speech is {agreement:.0f} dB from float32's, not {MIN_AGREEMENT_DB:.0f}"
        )
    return agreement
