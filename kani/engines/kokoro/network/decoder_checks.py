"""Check of a decoder on this machine: a window of speech with known samples."""

import numpy as np

from kani.engines.kokoro.network.onnx_model import FRAME_SAMPLES, Array, Stop
from kani.engines.kokoro.network.parts import DecoderUnavailable, Generator, Window
from kani.engines.kokoro.voices import DATA

PROBE_FILE = "probe.npz"
"""Kokoro's own window of speech with its float32 samples; ``tools/kokoro_data/probe.py`` makes it."""

# Agreement with float32 below which the probe fails; a broken convolution has 0 dB.
MIN_AGREEMENT_DB = 10.0


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
