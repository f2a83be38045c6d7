"""Compatibility checks of the int8 decoder: the processor, torch's operators and their results.

The operators are not part of torch's public API, and their results depend on the processor. So they are
checked with a convolution whose result is known exactly. ``network.decoder_checks`` checks what the decoder
generates.
"""

from __future__ import annotations

import numpy as np
import torch

from engines.kokoro.int8.convolution import Convolution
from engines.kokoro.network.decoder import DecoderUnavailable

_OPERATORS = ("qconv_prepack", "qconv2d_pointwise")
_PROCESSORS = ("AVX2", "AVX512")


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


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no reason given"])[0]
