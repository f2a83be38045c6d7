"""Compatibility checks of the int8 decoder: the processor, torch's operators and their results.

The operators are not part of torch's public API, and their results depend on the processor. So they are
checked with a convolution whose result is known exactly, and with a window of speech whose float32 samples
are known (``data/probe.npz``). The harmonic source is compared with the published graph's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from engines.kokoro.int8.convolution import Convolution
from engines.kokoro.network.decoder import DecoderUnavailable, Generator
from engines.kokoro.network.onnx_model import Network, Stop
from engines.kokoro.probe import load_probe

if TYPE_CHECKING:
    # Not at run time: importing kernels compiles them, and the machine is checked before Numba knows its
    # cache folder.
    from engines.kokoro.int8.harmonic_source import HarmonicSource

_OPERATORS = ("qconv_prepack", "qconv2d_pointwise")
_PROCESSORS = ("AVX2", "AVX512")
# Agreement with float32 below which the probe fails; a broken convolution has 0 dB.
MIN_AGREEMENT_DB = 10.0

_SOURCE_FRAMES = 12
_SAME = 1e-5


def saturates_pairs() -> bool:
    """True if this processor adds neighbouring products in 16 bits (no VNNI), which limits the weights."""
    supported = getattr(torch.cpu, "_is_vnni_supported", None)
    # If torch cannot tell, the smaller weights are correct on any processor.
    return supported is None or not supported()


def check_processor() -> None:
    """Check the instruction set that torch uses. Raises DecoderUnavailable."""
    processor = torch.backends.cpu.get_cpu_capability()
    if processor not in _PROCESSORS:
        raise DecoderUnavailable(
            f"it needs a processor with AVX2, torch {torch.__version__} sees {processor}"
        )


def check_operators(pairs: bool) -> None:
    """Compare convolutions of the largest and of random levels with exact results.

    Raises DecoderUnavailable.
    """
    missing = [name for name in _OPERATORS if not hasattr(torch.ops.onednn, name)]
    if missing:
        raise DecoderUnavailable(f"torch {torch.__version__} has no operator onednn.{missing[0]}")
    random = np.random.default_rng(0)
    most = 64 if pairs else 127
    weights = random.integers(-most, most + 1, (16, 32, 3), np.int8)
    weights[0] = most
    levels = random.integers(0, 256, (2, 40, 32), np.uint8)
    levels[:, 20:] = 255
    scale, bias = (random.random(16, np.float32) + np.float32(0.5) for _ in range(2))
    rows = np.lib.stride_tricks.sliding_window_view(levels.astype(np.int64), 3, axis=1)
    expected = np.einsum("dtik,oik->dto", rows, weights.astype(np.int64)) * scale + bias
    try:
        made = Convolution(weights, scale, bias)(levels)
    except RuntimeError as error:
        raise DecoderUnavailable(
            f"torch {torch.__version__} cannot convolve in int8: {_first_line(error)}"
        ) from error
    if made.shape != expected.shape or not np.allclose(made, expected, rtol=1e-5, atol=1e-2):
        raise DecoderUnavailable(f"torch {torch.__version__} computes wrong int8 convolutions")


def check_source(source: HarmonicSource, graph: Network) -> None:
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


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no reason given"])[0]
