"""Splits the Kokoro-82M graph into subgraphs that can decode a sentence window by window.

The published graph (kokoro-onnx' int8 export, ``published.KOKORO``) is one function from symbols to
audio. It is split into five parts:

    encoder    tokens, style, speed             → asr, shared, durations
    curves     shared, style                    → pitch, energy
    decoder    asr, pitch, energy, style        → features, phase, gain, bias
    source     phase, pitch                     → spectra, always from the first frame on
    generator  features, spectra, scale, shift  → audio, a window at a time

A sixth one, which takes the place of the generator, decodes whole utterances by the graph's own norms:

    recorder   features, spectra, gain, bias    → audio, mean, variance

A frame is 600 samples. Shapes for n tokens, F frames and the C channels of all norms together: asr
[1, 512, F]; shared [F, 1, 512], from which both curves are predicted; pitch (hertz, 0 where unvoiced) and
energy [1, 2F]; durations [n] in frames; features [1, 512, 2F]; phase [1, 2F, 9], the turns of each harmonic
of the source, 300 samples a unit; spectra [1, 22, 120F + 1], the source's short-time spectra; gain, bias,
scale and shift, and mean and variance of the norms' inputs [1, C, 1]; audio [600 F].

The generator's 48 adaptive instance norms (AdaIN, Huang and Belongie 2017) compute mean and variance over
time, so their output would depend on where a window ends. In ``generator`` each is replaced by the affine map
that it is for given statistics: scale · x + shift. The inverse STFT's normalisation, which affects only the
first 10 samples and searches its window for zeros, is replaced by a constant. At a speed below 1 durations
are as long as asked (``spread_durations``). Nothing else is changed: with the graph's own norms the samples
at speed 1 are the published graph's (``recorder``). The STFT stays as well, though a convolution would
be faster: where the source is silent its phases are the rounding errors of exactly that algorithm, and they
are audible in the generator's output.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

PARTS = ("encoder", "curves", "decoder", "source", "generator")

_NORMS = 48

_GENERATOR = "/decoder/decoder/generator/"
_ASR = "/encoder/MatMul_1_output_0"
_SHARED = "/encoder/shared/Reshape_output_0"
_PITCH = "/encoder/Reshape_output_0"
_ENERGY = "/encoder/Reshape_1_output_0"
_DURATIONS = "/encoder/Clip_output_0"
_FEATURES = "/decoder/decoder/decode.3/Div_4_output_0"
_PHASE = _GENERATOR + "m_source/l_sin_gen/CumSum_output_0"
_SPECTRA = _GENERATOR + "Concat_3_output_0"
_OVERLAPPED = _GENERATOR + "istft/stft/ConvTranspose_output_0"

_NAMES = {
    _ASR: "asr",
    _SHARED: "shared",
    _PITCH: "pitch",
    _ENERGY: "energy",
    _DURATIONS: "durations",
    _FEATURES: "features",
    _PHASE: "phase",
    _SPECTRA: "spectra",
}
# Surplus samples of the inverse STFT on either side.
_MARGIN = 10
_SPREAD = "spread"  # before the names of added nodes and their tensors
# Gain of the export's inverse STFT, which divides by the windows' sum at 20 samples only.
_OVERLAP_GAIN = 4.0

_FLOAT, _INT = TensorProto.FLOAT, TensorProto.INT64
_TYPES: Mapping[str, tuple[int, Sequence[int | str]]] = {
    "tokens": (_INT, (1, "n")),
    "style": (_FLOAT, (1, 256)),
    "speed": (_FLOAT, (1,)),
    "asr": (_FLOAT, (1, 512, "F")),
    "shared": (_FLOAT, ("F", 1, 512)),
    "pitch": (_FLOAT, (1, "halves")),
    "energy": (_FLOAT, (1, "halves")),
    "durations": (_FLOAT, ("n",)),
    "features": (_FLOAT, (1, 512, "halves")),
    "phase": (_FLOAT, (1, "halves", 9)),
    "spectra": (_FLOAT, (1, 22, "hops")),
    "audio": (_FLOAT, ("samples",)),
    **dict.fromkeys(("gain", "bias", "scale", "shift", "mean", "variance"), (_FLOAT, (1, "C", 1))),
}


class UnknownGraph(Exception):
    """The model is not the graph that these cuts were made for."""


class OtherExport(UnknownGraph):
    """The model is an ONNX model, and its tensors have other names."""


@dataclass(frozen=True, slots=True)
class Norm:
    """Tensor names of one AdaIN: output = gain · (source − mean) / √(variance + ε) + bias."""

    source: str
    mean: str
    variance: str
    gain: str
    bias: str
    output: str
    channels: int


class Surgery:
    """Extracts the parts of the published graph."""

    def __init__(self, model: bytes) -> None:
        """model: the file's bytes. Raises UnknownGraph."""
        try:
            opened = onnx.load_model_from_string(model)
        except Exception as error:  # protobuf's own errors are no public part of onnx
            raise UnknownGraph("no ONNX model") from error
        if _DURATIONS in {output for node in opened.graph.node for output in node.output}:
            spread_durations(opened.graph)
        self._versions: dict[str, Any] = {
            "opset_imports": opened.opset_import,
            "ir_version": opened.ir_version,
        }
        self._nodes = [_renamed(node) for node in opened.graph.node]
        self._constants = {tensor.name: tensor for tensor in opened.graph.initializer}
        self._maker = {output: node for node in self._nodes for output in node.output}
        known = {**_NAMES, _OVERLAPPED: _OVERLAPPED}
        if missing := [old for old, name in known.items() if name not in self._maker]:
            raise OtherExport(f"no tensor {missing[0]}")
        self._norms = list(self._find_norms())
        if len(self._norms) != _NORMS:
            raise UnknownGraph(f"{len(self._norms)} norms in the generator instead of {_NORMS}")

    def part(self, name: str) -> bytes:
        """Return a part by its name. Raises UnknownGraph."""
        made: bytes = getattr(self, name)()
        return made

    def encoder(self) -> bytes:
        """Symbols to linguistic features, durations, and what pitch and energy are predicted from."""
        gives = ("asr", "shared", "durations")
        return self._part("encoder", self._nodes, ("tokens", "style", "speed"), gives)

    def curves(self) -> bytes:
        """Pitch and energy, two branches of residual blocks."""
        return self._part("curves", self._nodes, ("shared", "style"), ("pitch", "energy"))

    def decoder(self) -> bytes:
        """The encoder's output to the generator's input, for a whole utterance."""
        nodes = [*self._nodes, self._packed("gain"), self._packed("bias")]
        takes = ("asr", "pitch", "energy", "style")
        return self._part("decoder", nodes, takes, ("features", "phase", "gain", "bias"))

    def source(self) -> bytes:
        """Spectra of the harmonic source, which give the generator its phase.

        Always computed from the first frame on: the phases grow so large in float32 that a window by itself
        would be rounded differently, audibly so (30 dB away).
        """
        return self._part("source", self._nodes, ("phase", "pitch"), ("spectra",))

    def generator(self) -> bytes:
        """Audio of one window, with the norms as affine maps."""
        norms = {norm.output: norm for norm in self._norms}
        nodes = [
            self._unpacked(name, [f"{output}.{name}" for output in norms]) for name in ("scale", "shift")
        ]
        for node in self._nodes:
            if (norm := norms.get(node.output[0])) is None:
                nodes.append(node)
                continue
            scale, shift, scaled = (f"{norm.output}.{name}" for name in ("scale", "shift", "scaled"))
            nodes.append(helper.make_node("Mul", [norm.source, scale], [scaled]))
            nodes.append(helper.make_node("Add", [scaled, shift], [norm.output]))
        return self._from_features("generator", nodes, takes=("scale", "shift"), gives=())

    def recorder(self) -> bytes:
        """Audio of a whole utterance, and the norms' statistics in it."""
        unpacked = {name: [getattr(norm, name) for norm in self._norms] for name in ("gain", "bias")}
        made = {name for names in unpacked.values() for name in names}
        nodes = [self._unpacked(name, outputs) for name, outputs in unpacked.items()]
        nodes += [node for node in self._nodes if not made & set(node.output)]
        nodes += [self._packed("mean"), self._packed("variance")]
        return self._from_features("recorder", nodes, takes=("gain", "bias"), gives=("mean", "variance"))

    def _find_norms(self) -> Iterator[Norm]:
        for node in self._nodes:
            if node.op_type != "Add" or "/adain" not in node.name or not node.name.startswith(_GENERATOR):
                continue
            product, bias = (self._maker.get(name) for name in node.input)
            if product is None or bias is None or product.op_type != "Mul" or bias.op_type != "Split":
                continue
            gain, unit = product.input
            centred, deviation = (self._maker[name] for name in self._maker[unit].input)
            source, mean = centred.input
            variance = self._maker[deviation.input[0]].input[0]
            channels = numpy_helper.to_array(self._constants[bias.input[1]])[1]
            yield Norm(source, mean, variance, gain, node.input[1], node.output[0], int(channels))

    def _packed(self, kind: str) -> NodeProto:
        """Join a tensor of all norms, such as their gain, to one."""
        return helper.make_node("Concat", [getattr(norm, kind) for norm in self._norms], [kind], axis=1)

    def _unpacked(self, packed: str, names: Sequence[str]) -> NodeProto:
        """Split the norms' channels, which are packed into one tensor."""
        sizes = np.array([norm.channels for norm in self._norms], np.int64)
        self._constants["norm_sizes"] = numpy_helper.from_array(sizes, "norm_sizes")
        return helper.make_node("Split", [packed, "norm_sizes"], list(names), axis=1)

    def _from_features(
        self, name: str, nodes: Iterable[NodeProto], takes: tuple[str, ...], gives: tuple[str, ...]
    ) -> bytes:
        """A graph from the decoder's features to the audio."""
        for constant, value in (
            ("overlap_gain", np.float32(_OVERLAP_GAIN)),
            ("time_axis", np.array([2])),
            ("margin", np.array([_MARGIN])),
            ("minus_margin", np.array([-_MARGIN])),
            ("flat", np.array([-1])),
        ):
            self._constants[constant] = numpy_helper.from_array(np.asarray(value), constant)
        nodes = [
            *(node for node in nodes if "audio" not in node.output),
            helper.make_node("Slice", [_OVERLAPPED, "margin", "minus_margin", "time_axis"], ["overlapped"]),
            helper.make_node("Mul", ["overlapped", "overlap_gain"], ["loud"]),
            helper.make_node("Reshape", ["loud", "flat"], ["audio"]),
        ]
        return self._part(name, nodes, ("features", "spectra", *takes), ("audio", *gives))

    def _part(
        self, name: str, nodes: Sequence[NodeProto], takes: Sequence[str], gives: Sequence[str]
    ) -> bytes:
        """A model of the nodes between the inputs ``takes`` and the outputs ``gives``; nodes: in order."""
        kept: list[NodeProto] = []
        needed = set(gives)
        for node in reversed(nodes):
            if not needed.isdisjoint(node.output):
                kept.append(node)
                needed.update(each for each in node.input if each and each not in takes)
        constants = [self._constants[tensor] for tensor in sorted(needed & self._constants.keys())]
        made = {output for node in kept for output in node.output} | self._constants.keys()
        if missing := sorted(needed - made):
            raise UnknownGraph(f"{name}: nothing makes {missing[0]}")
        inputs, outputs = (
            [helper.make_tensor_value_info(each, *_TYPES[each]) for each in one] for one in (takes, gives)
        )
        graph = helper.make_graph(kept[::-1], name, inputs, outputs, constants)
        return bytes(helper.make_model(graph, **self._versions).SerializeToString())


def _renamed(node: NodeProto) -> NodeProto:
    """Return the node with the names of ``_NAMES`` for its tensors."""
    for tensors in (node.input, node.output):
        tensors[:] = [_NAMES.get(tensor, tensor) for tensor in tensors]
    return node


def spread_durations(graph: GraphProto) -> None:
    """Make speech as long as asked, in a graph that rounds each symbol's duration to whole frames.

    Predicted durations are near whole frames, as those of the training were: 2.0 frames stay 2 at speed 0.95.
    Slower than 1 the durations of speed 1 are therefore divided by the speed and rounded together: what one
    symbol loses by rounding, the next ones get. Raises UnknownGraph; a graph that was changed before is left
    as it is.
    """
    nodes = list(graph.node)
    place = next(
        (at for at, node in enumerate(nodes) if node.op_type == "Div" and "speed" in node.input), None
    )
    if any(node.name.startswith(f"{_SPREAD}.") for node in nodes):
        return
    if place is None:
        raise UnknownGraph("nothing is divided by speed")
    frames = nodes[place].input[0]
    clip = next((node for node in nodes[place:] if node.op_type == "Clip"), None)
    if clip is None or clip.input[0] not in {output for node in nodes[place:] for output in node.output}:
        raise UnknownGraph("nothing is clipped after the division by speed")
    durations = clip.output[0]
    graph.initializer.extend(
        numpy_helper.from_array(np.array(value), f"{_SPREAD}.{name}")
        for name, value in (("axis", np.int64(-1)), ("one_frame", np.float32(1)))
    )
    clip.output[0] = f"{_SPREAD}.quick"
    steps = (
        ("Round", [frames], "one"),
        ("Max", [f"{_SPREAD}.one", f"{_SPREAD}.one_frame"], "own"),
        ("Div", [f"{_SPREAD}.own", "speed"], "asked"),
        ("CumSum", [f"{_SPREAD}.asked", f"{_SPREAD}.axis"], "ends"),
        ("Round", [f"{_SPREAD}.ends"], "rounded_ends"),
        ("Sub", [f"{_SPREAD}.ends", f"{_SPREAD}.asked"], "starts"),
        ("Round", [f"{_SPREAD}.starts"], "rounded_starts"),
        ("Sub", [f"{_SPREAD}.rounded_ends", f"{_SPREAD}.rounded_starts"], "whole"),
        ("Max", [f"{_SPREAD}.whole", f"{_SPREAD}.one_frame"], "slow"),
        ("Less", ["speed", f"{_SPREAD}.one_frame"], "slower"),
    )
    made = [
        helper.make_node(kind, inputs, [f"{_SPREAD}.{output}"], name=f"{_SPREAD}.{output}")
        for kind, inputs, output in steps
    ]
    chosen = [f"{_SPREAD}.slower", f"{_SPREAD}.slow", f"{_SPREAD}.quick"]
    made.append(helper.make_node("Where", chosen, [durations], name=f"{_SPREAD}.durations"))
    after = nodes.index(clip) + 1
    for at, node in enumerate(made):
        graph.node.insert(after + at, node)
