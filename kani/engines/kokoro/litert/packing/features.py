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
import onnx
from onnx import helper, numpy_helper
from onnx.utils import Extractor

from kani.engines.kokoro.litert.packing.weights import dynamic_convolution, quantise_weight
from kani.engines.kokoro.network.graph_surgery import UnknownGraph
from kani.engines.kokoro.network.onnx_model import Array
from kani.engines.kokoro.voices import Voices

BLOCKS = ("encode", "decode.0", "decode.1", "decode.2", "decode.3")

_PREFIX = "/decoder/decoder/"
_BIASES = "decoder.decoder."
_SMALL = ("F0_conv", "N_conv", "asr_res.0")
_HALF_A_STYLE = 128
_STYLES = (20, 60, 120)
"""Utterance lengths, in symbols, with the styles that are used."""

_INTEGER = ("ConvInteger", "MatMulInteger")
_DEVIATIONS = 3.5
_TO_THE_WEIGHTS = 0.3
"""Exponent of the weights' range in the smoothing (0: only by the inputs' range; best of four)."""


class _Part:
    """Gives access to the decoder part's weights in float32."""

    def __init__(self, decoder: bytes) -> None:
        graph = onnx.load_model_from_string(decoder).graph
        self._nodes = {node.name: node for node in graph.node}
        self._constants = {tensor.name: tensor for tensor in graph.initializer}

    def weight(self, name: str) -> Array:
        """Weight of a layer, by the name of its node."""
        node = self._nodes.get(f"{_PREFIX}{name}")
        if node is None:
            raise UnknownGraph(f"no layer {name} in the decoder")
        name = node.input[1]
        if node.op_type not in _INTEGER:
            return self._value(name)
        # A matrix has a scale for each column, a convolution a single one.
        scale = self._value(name.removesuffix("_quantized") + "_scale")
        return (self._value(name) - self._value(node.input[3])) * scale

    def bias(self, name: str) -> Array:
        """Bias of a layer, by its name."""
        return self._value(f"{_BIASES}{name}.bias")

    def _value(self, name: str) -> Array:
        if name not in self._constants:
            raise UnknownGraph(f"no constant {name} in the decoder")
        return np.array(numpy_helper.to_array(self._constants[name]), np.float32)


def pack_features(decoder: bytes) -> dict[str, npt.NDArray[np.generic]]:
    """Pack all weights of the decoder part. Raises UnknownGraph."""
    part = _Part(decoder)
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
    packed["norms"] = np.frombuffer(_norms(decoder), np.uint8)
    return packed


def _smooth(reached: Array, weight: Array) -> Array:
    """Divisor of each input before quantisation; their geometric mean is 1."""
    smooth = reached ** (1 - _TO_THE_WEIGHTS) / np.maximum(weight, 1e-6) ** _TO_THE_WEIGHTS
    return np.asarray(smooth / np.exp(np.log(smooth).mean()), np.float32)


def _norms(decoder: bytes) -> bytes:
    """Subgraph of the part that depends only on the style."""
    model = onnx.load_model_from_string(decoder)
    own = [f"{_PREFIX}{block}/norm{number}/fc/Gemm_output_0" for block in BLOCKS for number in (1, 2)]
    model.graph.node.append(helper.make_node("Concat", own, ["own"], axis=1))
    model.graph.output.append(helper.make_tensor_value_info("own", onnx.TensorProto.FLOAT, (1, "O")))
    extracted = Extractor(model).extract_model(["style"], ["gain", "bias", "own"])
    return bytes(extracted.SerializeToString())
