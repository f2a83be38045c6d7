"""Checks of a decoder on this machine: a window of speech with known samples, and the harmonic source.

The window's float32 samples are in ``data/probe.npz``.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from engines.kokoro.network.decoder import DecoderUnavailable, Generator
from engines.kokoro.network.onnx_model import Array, Network, Stop
from engines.kokoro.probe import load_probe

# Agreement with float32 below which the probe fails; a broken convolution has 0 dB.
MIN_AGREEMENT_DB = 10.0

_SOURCE_FRAMES = 12
_SAME = 1e-5


class SpectraSource(Protocol):
    """Computes the harmonic source's spectra of any frames."""

    def spectra(self, phase: Array, pitch: Array, first: int, end: int) -> Array:
        """Spectra of frames [first, end): [1, 22, 120 (end − first) + 1]."""


def check_source(source: SpectraSource, graph: Network) -> None:
    """Compare voiced and unvoiced frames with the published graph's. Raises DecoderUnavailable.

    Detects a C library with other sines and an onnxruntime with another transform.
    """
    halves = 2 * _SOURCE_FRAMES
    pitch = np.linspace(80, 320, halves, dtype=np.float32)[np.newaxis]
    pitch[:, halves // 3 : halves // 2] = 0
    # Phases as large as after half a minute.
    turns = np.linspace(0, 250, halves, dtype=np.float32)[:, np.newaxis] * np.arange(1, 10, dtype=np.float32)
    phase = turns[np.newaxis].astype(np.float32)
    (expected,) = graph.run({"phase": phase, "pitch": pitch}, ("spectra",), Stop())
    apart = np.abs(source.spectra(phase, pitch, 0, _SOURCE_FRAMES) - expected).max()
    if not apart <= _SAME:
        raise DecoderUnavailable(
            f"the source is rounded otherwise than the published graph's ({apart:.1g} apart)"
        )


def check_speech(generator: Generator) -> float:
    """Generate the probe and compare it with float32; returns the signal-to-error ratio in dB.

    Raises DecoderUnavailable.
    """
    window, audio = load_probe()
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
