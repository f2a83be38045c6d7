"""Packs the decoder part's weights in the form that ``litert.features`` uses.

Arrays, prefixed with the layer's name in the original network: of an int8 convolution ``levels`` int8
[outputs, inputs, taps], ``scale`` and ``bias`` [outputs], and ``smooth`` [inputs]; of a small one ``weight``
and ``bias``. ``norms`` holds the bytes of a graph: style → gain, bias, own, the first two being the part's
outputs, the last those of its own norms.

A norm's output has a mean and a deviation that depend only on the style. So inputs are smoothed
(SmoothQuant, Xiao et al. 2022) by the range that the shipped voices' styles imply, without calibration.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kani.engines.kokoro.litert.packing.part import Part
from kani.engines.kokoro.litert.packing.weights import dynamic_convolution, quantise_weight
from kani.engines.kokoro.network.onnx_model import Array
from kani.engines.kokoro.voices import Voices

BLOCKS = ("encode", "decode.0", "decode.1", "decode.2", "decode.3")

_SMALL = ("F0_conv", "N_conv", "asr_res.0")
_HALF_A_STYLE = 128
_STYLES = (20, 60, 120)
"""Utterance lengths, in symbols, with the styles that are used."""

_DEVIATIONS = 3.5
_TO_THE_WEIGHTS = 0.3
"""Exponent of the weights' range in the smoothing (0: only by the inputs' range; best of four)."""


def pack_features(decoder: bytes) -> dict[str, npt.NDArray[np.generic]]:
    """Pack all weights of the decoder part. Raises UnknownGraph."""
    part = Part("decoder", decoder, "/decoder/decoder/", "decoder.decoder.")
    voices = Voices()
    # Only of the first voices, so that those sound as they did before more were added.
    styles = np.concatenate(
        [voices.style(voice.id, symbols)[:, :_HALF_A_STYLE] for voice in voices.mixed for symbols in _STYLES]
    )
    packed: dict[str, npt.NDArray[np.generic]] = {}

    def integer(name: str, bias: Array | None, smooth: Array) -> None:
        weight = part.weight(f"{name.replace('.conv', '/conv')}/Conv_quant")
        levels, scale = quantise_weight(weight * smooth[:, None])
        packed.update(dynamic_convolution(name, levels, scale, bias, smooth))

    for block in BLOCKS:
        for number in (1, 2):
            name, norm = f"{block}.conv{number}", f"{block}/norm{number}/fc"
            weight = part.weight(f"{name.replace('.conv', '/conv')}/Conv_quant")
            adapted = styles @ part.weight(f"{norm}/Gemm_MatMul_quant") + part.bias(norm.replace("/", "."))
            gain, bias = np.split(adapted, 2, axis=1)
            reached = (np.abs(bias) + _DEVIATIONS * np.abs(1 + gain)).mean(axis=0)
            integer(name, part.bias(name), _smooth(reached, np.abs(weight).max(axis=0).max(axis=1)))
        integer(
            f"{block}.conv1x1", None, np.ones(part.weight(f"{block}/conv1x1/Conv_quant").shape[1], np.float32)
        )
    for name in _SMALL:
        node = f"asr_res/{name}" if name.startswith("asr_res") else name
        packed[f"{name}.weight"] = part.weight(f"{node}/Conv_quant")
        packed[f"{name}.bias"] = part.bias(name)
    packed["decode.3.pool.weight"] = part.weight("decode.3/pool/ConvTranspose")
    packed["decode.3.pool.bias"] = part.bias("decode.3.pool")
    packed["norms"] = part.norms(BLOCKS, "gain", "bias")
    return packed


def _smooth(reached: Array, weight: Array) -> Array:
    """Divisor of each input before quantisation; their geometric mean is 1."""
    smooth = reached ** (1 - _TO_THE_WEIGHTS) / np.maximum(weight, 1e-6) ** _TO_THE_WEIGHTS
    return np.asarray(smooth / np.exp(np.log(smooth).mean()), np.float32)
