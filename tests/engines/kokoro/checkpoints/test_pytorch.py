"""A PyTorch checkpoint of the embedded weights says what the published graph says in float32."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, numpy_helper

from kani.core.errors import EngineUnavailable
from kani.core.types import Segment
from kani.engines.kokoro.checkpoints.build import PARTS, build
from kani.engines.kokoro.checkpoints.graph_weights import fill, sources, weight_names
from kani.engines.kokoro.checkpoints.onnx_weights import read_onnx_weights
from kani.engines.kokoro.checkpoints.pytorch_weights import read_weights
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.network.float_graph import to_float
from kani.engines.kokoro.network.graph_surgery import UnknownGraph
from kani.engines.kokoro.network.norm_recorder import RECORDER, StatisticsRecorder
from kani.engines.kokoro.network.onnx_model import Array, Stop
from kani.engines.kokoro.network.parts import SplitModel
from kani.engines.kokoro.settings import KokoroSettings
from kani.engines.plugin import Resources
from tests.engines.kokoro.checkpoints.conftest import MakeFolder
from tests.judges.judge import hear, words_of
from tests.support.kokoro import agreement_db, chunks_of, joined, symbols_and_style

# Loads and runs the published model.
pytestmark = pytest.mark.heard

PLAIN = re.compile(r"noise_convs|_proj")
"""Convolutions with a weight of one piece."""

TEXT = "The quick brown fox jumps over the lazy dog."


def gates(weight: Array) -> Array:
    """The rows of four gates in PyTorch's order: input, forget, cell, output."""
    into, out, forget, cell = np.split(weight, 4)
    return np.concatenate([into, forget, cell, out])


def state_of(graph: ModelProto) -> dict[str, dict[str, torch.Tensor]]:
    """The graph's weights as Kokoro's modules have them, the convolutions' as lengths and directions."""
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}
    nodes = {name: node for node in graph.graph.node for name in node.input}
    state: dict[str, Array] = {}
    for constant, source in sources(graph).items():
        array, name, node = arrays[constant], source.weights[0], nodes[constant]
        if "Reciprocal" in constant:
            continue
        if array.dtype.itemsize == 1:
            # A table of embeddings: rows are looked up as bytes.
            scaled = node if node.op_type == "DequantizeLinear" else nodes[node.output[0]]
            scale, zero = (arrays[each].astype(np.float32) for each in scaled.input[1:3])
            state[name] = (array.astype(np.float32) - zero) * scale
        elif node.op_type == "LSTM":
            for way, both in zip(("", "_reverse"), array, strict=True):
                module, _, kind = name.removesuffix("_l0").rpartition(".")
                if kind == "bias_ih":
                    into, again = np.split(both, 2)
                    state[f"{module}.bias_ih_l0{way}"] = gates(into)
                    state[f"{module}.bias_hh_l0{way}"] = gates(again)
                else:
                    state[name + way] = gates(both)
        elif node.op_type == "MatMul":
            state[name] = array.T
        elif array.ndim == 3 and name.endswith("weight") and not PLAIN.search(name):
            state[name + "_v"] = 3 * array
            state[name + "_g"] = np.sqrt(np.square(array).sum(axis=(1, 2), keepdims=True))
        else:
            state[name] = array
    modules: dict[str, dict[str, torch.Tensor]] = {}
    for name, array in state.items():
        module, _, rest = name.partition(".")
        modules.setdefault(module, {})[f"module.{rest}"] = torch.from_numpy(array.copy())
    return modules


def saved(value: object) -> bytes:
    content = io.BytesIO()
    torch.save(value, content)
    return content.getvalue()


@pytest.fixture(scope="module")
def as_float(published: bytes) -> ModelProto:
    return to_float(onnx.load_model_from_string(published))


@pytest.fixture(scope="module")
def state(as_float: ModelProto) -> dict[str, dict[str, torch.Tensor]]:
    return state_of(as_float)


def spoken(published: bytes, checkpoint: bytes) -> Array:
    """A sentence as a whole, by the checkpoint's own norms."""
    with zipfile.ZipFile(io.BytesIO(build(published, checkpoint))) as archive:
        parts = {name: archive.read(f"{name}.onnx") for name in PARTS}
    model = SplitModel.on_onnxruntime(parts.__getitem__, 2)
    symbols, style = symbols_and_style(TEXT, "af_heart", "en")
    stop = Stop()
    features = model.decode_features(model.predict_prosody(symbols, style, 1.0, stop), style, stop)
    return StatisticsRecorder(parts[RECORDER], 2).record(features, stop)[0]


@pytest.fixture(scope="module")
def expected(published: bytes, as_float: ModelProto) -> Array:
    return spoken(published, as_float.SerializeToString())


def test_weights_are_those_of_the_graph(
    published: bytes, as_float: ModelProto, state: dict[str, dict[str, torch.Tensor]]
) -> None:
    graph = to_float(onnx.load_model_from_string(published))
    fill(graph, read_weights(saved(state)))
    for given, own in zip(as_float.graph.initializer, graph.graph.initializer, strict=True):
        one, other = numpy_helper.to_array(given), numpy_helper.to_array(own)
        if one.dtype != other.dtype:
            continue  # a table of embeddings: its bytes became numbers
        assert np.allclose(one, other, rtol=1e-6, atol=1e-9), own.name


def exported_elsewhere(graph: ModelProto) -> ModelProto:
    """The graph with the names of another exporter, which drops those of the constants that it folded."""
    other = ModelProto()
    other.CopyFrom(graph)
    names: dict[str, str] = {}
    turned = {node.input[1] for node in graph.graph.node if node.op_type == "MatMul"}
    for number, tensor in enumerate(other.graph.initializer):
        own = tensor.name.removesuffix("_quantized").replace("decoder.decoder.", "encoder.decoder.", 1)
        kept = own.startswith("encoder.") and tensor.name not in turned
        names[tensor.name] = own.replace("encoder.", "kmodel.", 1) if kept else f"onnx::{number}"
        tensor.name = names[tensor.name]
    for node in other.graph.node:
        node.name = node.name.replace("/decoder/decoder/", "/decoder/", 1).replace("/encoder/", "/", 1)
        inputs = [names.get(name, name) for name in node.input]
        del node.input[:]
        node.input.extend(inputs)
    return other


def test_weights_of_another_export_are_found(
    published: bytes, state: dict[str, dict[str, torch.Tensor]]
) -> None:
    graph = to_float(onnx.load_model_from_string(published))
    expected = read_weights(saved(state))
    fill(graph, expected)
    wanted = weight_names(graph)
    found = read_onnx_weights(exported_elsewhere(graph), wanted)
    assert not wanted - found.keys()
    for name in wanted:
        assert np.array_equal(found[name], expected[name]), name


def test_samples_are_those_of_the_graph(
    published: bytes, expected: Array, state: dict[str, dict[str, torch.Tensor]]
) -> None:
    got = spoken(published, saved(state))
    assert len(got) == len(expected) > 48_000
    # The lengths of the convolutions' weights are divided out and multiplied in again, and the phases of the
    # source add up all differences before.
    assert agreement_db(expected, got) > 25


def test_other_weights_are_other_samples(
    published: bytes, expected: Array, state: dict[str, dict[str, torch.Tensor]]
) -> None:
    text_encoder = dict(state["text_encoder"])
    text_encoder["module.embedding.weight"] = torch.roll(text_encoder["module.embedding.weight"], 1, 0)
    other = spoken(published, saved(state | {"text_encoder": text_encoder}))
    assert len(other) != len(expected) or agreement_db(expected, other) < 10


def test_checkpoint_that_does_not_fit_is_refused(
    published: bytes, state: dict[str, dict[str, torch.Tensor]]
) -> None:
    decoder = dict(state["decoder"])
    kept = decoder.pop("module.encode.conv1.bias")
    with pytest.raises(UnknownGraph, match=r"the checkpoint has no decoder.encode.conv1.bias"):
        build(published, saved(state | {"decoder": decoder}))
    decoder["module.encode.conv1.bias"] = kept[:-1]
    with pytest.raises(UnknownGraph, match=r"decoder.encode.conv1.bias has another shape .*\(1023,\)"):
        build(published, saved(state | {"decoder": decoder}))


async def test_checkpoint_is_heard(
    make_folder: MakeFolder, state: dict[str, dict[str, torch.Tensor]], cache: Path
) -> None:
    folder = make_folder("en", af_sky="af_sky")
    (folder / "model.onnx").unlink()
    torch.save(state, folder / "kokoro-v1_0.pth")
    settings = KokoroSettings(decoder="onnx", student="never", models=(("en", str(folder)),))
    engine = KokoroEngine(settings, Resources(cache))
    await engine.start()
    said, spans = joined(await chunks_of(engine, Segment(TEXT, "af_sky", "en")))
    await engine.stop()
    assert words_of(hear(said, 24_000, "en"), "en") == words_of(TEXT, "en")
    assert len(spans) == len(TEXT.split())


async def test_broken_checkpoint_names_the_setting(make_folder: MakeFolder, tmp_path: Path) -> None:
    folder = make_folder("de")
    (folder / "model.onnx").unlink()
    torch.save({"bert": {}}, folder / "model.pth")
    engine = KokoroEngine(
        KokoroSettings(decoder="onnx", student="never", models=(("de", str(folder)),)), Resources(tmp_path)
    )
    with pytest.raises(EngineUnavailable, match=r"^KANI_KOKORO_MODELS: .* used: it is no checkpoint of"):
        await engine.start()
    await engine.stop()
