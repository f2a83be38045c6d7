"""Whether this machine is fit for the fast decoder: its processor, torch's operators, and what they make.

The operators are not part of torch's public interface, and what they compute depends on the processor: so
they are tried, with a convolution whose outcome is known exactly, and with a piece of speech whose samples
are known in float32 (``probe.npz``, by ``build_probe``). The source is compared with the published graph's.
"""

from __future__ import annotations

import numpy as np
import torch

from engines.kokoro.int8.convolution import Convolution
from engines.kokoro.int8.harmonic_source import HarmonicSource
from engines.kokoro.int8.loader import DecoderUnavailable
from engines.kokoro.network.decoder import Generator
from engines.kokoro.network.onnx_model import Network, Stop
from engines.kokoro.probe import load_probe

_OPERATORS = ("qconv_prepack", "qconv2d_pointwise")
_PROCESSORS = ("AVX2", "AVX512")
# The least that rounding to int8 leaves of the probe; a broken product leaves 0 dB.
MIN_AGREEMENT_DB = 10.0

_SOURCE_FRAMES = 12
_SAME = 1e-5


def saturates_pairs() -> bool:
    """Whether this processor adds neighbouring products in 16 bits, so that weights are kept small."""
    supported = getattr(torch.cpu, "_is_vnni_supported", None)
    # Kept small they do no harm.
    return supported is None or not supported()


def check_processor() -> None:
    """Raises Unfit."""
    processor = torch.backends.cpu.get_cpu_capability()
    if processor not in _PROCESSORS:
        raise DecoderUnavailable(
            f"it wants a processor with AVX2, torch {torch.__version__} sees {processor}"
        )


def check_operators(pairs: bool) -> None:
    """Convolve the largest levels that there may be, and any. Raises Unfit."""
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
        raise DecoderUnavailable(f"torch {torch.__version__} convolves in int8 otherwise than expected")


def check_source(source: HarmonicSource, graph: Network) -> None:
    """Compare it with the graph's, where something is voiced and where nothing is. Raises Unfit.

    A C library with other sines, or an onnxruntime with another transform, would be found out here.
    """
    halves = 2 * _SOURCE_FRAMES
    pitch = np.linspace(80, 320, halves, dtype=np.float32)[np.newaxis]
    pitch[:, halves // 3 : halves // 2] = 0
    # As large as they are after half a minute.
    turns = np.linspace(0, 250, halves, dtype=np.float32)[:, np.newaxis] * np.arange(1, 10, dtype=np.float32)
    phase = turns[np.newaxis].astype(np.float32)
    (expected,) = graph.run({"phase": phase, "pitch": pitch}, ("spectra",), Stop())
    apart = np.abs(source.spectra(phase, pitch, 0, _SOURCE_FRAMES) - expected).max()
    if not apart <= _SAME:
        raise DecoderUnavailable(
            f"the source is rounded otherwise than the published graph's ({apart:.1g} apart)"
        )


def check_speech(generator: Generator) -> float:
    """Say the probe; how far, in dB, what differs from float32 is below it. Raises Unfit."""
    window, audio = load_probe()
    made = generator.generate(window, Stop())
    if made.shape != audio.shape or not np.isfinite(made).all():
        raise DecoderUnavailable("it makes no speech of the probe")
    wrong = np.square(audio - made, dtype=np.float64).sum()
    agreement = float(10 * np.log10(np.square(audio, dtype=np.float64).sum() / wrong))
    if agreement < MIN_AGREEMENT_DB:
        raise DecoderUnavailable(
            f"its speech is {agreement:.0f} dB from float32's, not {MIN_AGREEMENT_DB:.0f}"
        )
    return agreement


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no reason given"])[0]
