"""A checkpoint, published or PyTorch's: its weights in Kokoro's graph, and its speech once it is packed."""

import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, helper, numpy_helper

from kani.core.errors import EngineUnavailable
from kani.core.types import Segment
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.network.onnx_model import Array, Stop
from kani.engines.kokoro.network.parts import Generator
from kani.engines.kokoro.settings import KokoroSettings
from kani.engines.kokoro.synthesizer import NetworkSynthesizer
from kani.engines.kokoro.voices import Voices
from kani.engines.plugin import Resources
from tests.engines.checkpoints import saved
from tests.engines.packages import life
from tests.judges.judge import edit_distance, hear, words_of
from tests.support.kokoro import (
    Writer,
    agreement_db,
    chunks_of,
    joined,
    measured,
    one_utterance,
    symbols_and_style,
)
from tests.support.sound_measures import log_spectral_distance
from tests.tools.kokoro_pack.conftest import MakeFolder
from tools.kokoro_pack.__main__ import main
from tools.kokoro_pack.checkpoints.filling import filled
from tools.kokoro_pack.checkpoints.graph_weights import fill, sources, weight_names
from tools.kokoro_pack.checkpoints.onnx_weights import read_onnx_weights
from tools.kokoro_pack.checkpoints.pytorch_weights import read_weights
from tools.kokoro_pack.float_graph import to_float
from tools.kokoro_pack.graph_surgery import UnknownGraph
from tools.kokoro_pack.onnx_generator import on_onnxruntime
from tools.kokoro_pack.statistics import StatisticsRecorder

# Loads and runs the published model.
pytestmark = pytest.mark.heard

GERMAN = "Wir fahren morgen mit dem Zug nach Berlin."


def gates(weight: Array) -> Array:
    """The rows of four gates in PyTorch's order: input, forget, cell, output."""
    into, out, forget, cell = np.split(weight, 4)
    return np.concatenate([into, forget, cell, out])


PLAIN = re.compile(r"noise_convs|_proj")
"""Convolutions with a weight of one piece."""


@pytest.fixture(scope="module")
def as_float(published: bytes) -> ModelProto:
    return to_float(onnx.load_model_from_string(published))


@pytest.fixture(scope="module")
def state(as_float: ModelProto) -> dict[str, dict[str, torch.Tensor]]:
    """The graph's weights as Kokoro's modules have them, the convolutions' as lengths and directions."""
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in as_float.graph.initializer}
    nodes = {name: node for node in as_float.graph.node for name in node.input}
    state: dict[str, Array] = {}
    for constant, source in sources(as_float).items():
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


def spoken(published: bytes, checkpoint: bytes) -> Array:
    """A sentence as a whole, by the checkpoint's own norms."""
    part = filled(published, checkpoint).part
    model = on_onnxruntime(part, 2)
    symbols, style = symbols_and_style("The quick brown fox jumps over the lazy dog.", "af_heart", "en")
    stop = Stop()
    features = model.decode_features(model.predict_prosody(symbols, style, 1.0, stop), style, stop)
    return StatisticsRecorder(part("recorder"), 2).record(features, stop)[0]


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
        node.input[:] = [names.get(name, name) for name in node.input]
    return other


def test_weights_are_those_of_the_graph_and_of_other_exports(
    published: bytes, as_float: ModelProto, state: dict[str, dict[str, torch.Tensor]]
) -> None:
    graph = to_float(onnx.load_model_from_string(published))
    expected = read_weights(saved(state))
    fill(graph, expected)
    for given, own in zip(as_float.graph.initializer, graph.graph.initializer, strict=True):
        one, other = numpy_helper.to_array(given), numpy_helper.to_array(own)
        # A table of embeddings has another type: its bytes became numbers.
        assert one.dtype != other.dtype or np.allclose(one, other, rtol=1e-6, atol=1e-9), own.name
    wanted = weight_names(graph)
    found = read_onnx_weights(exported_elsewhere(graph), wanted)
    assert not wanted - found.keys()
    for name in wanted:
        assert np.array_equal(found[name], expected[name]), name


def test_samples_are_those_of_the_graph_and_its_weights(
    published: bytes, as_float: ModelProto, state: dict[str, dict[str, torch.Tensor]]
) -> None:
    expected, got = spoken(published, as_float.SerializeToString()), spoken(published, saved(state))
    assert len(got) == len(expected) > 48_000
    # The lengths of the convolutions' weights are divided out and multiplied in again, and the phases of the
    # source add up all differences before.
    assert agreement_db(expected, got) > 25
    text_encoder = dict(state["text_encoder"])
    text_encoder["module.embedding.weight"] = torch.roll(text_encoder["module.embedding.weight"], 1, 0)
    other = spoken(published, saved(state | {"text_encoder": text_encoder}))
    assert len(other) != len(expected) or agreement_db(expected, other) < 10


def test_unfitting_checkpoint_is_refused(published: bytes, state: dict[str, dict[str, torch.Tensor]]) -> None:
    decoder = dict(state["decoder"])
    kept = decoder.pop("module.encode.conv1.bias")
    with pytest.raises(UnknownGraph, match=r"the checkpoint has no decoder.encode.conv1.bias"):
        filled(published, saved(state | {"decoder": decoder}))
    decoder["module.encode.conv1.bias"] = kept[:-1]
    with pytest.raises(UnknownGraph, match=r"decoder.encode.conv1.bias has another shape .*\(1023,\)"):
        filled(published, saved(state | {"decoder": decoder}))


SPOKEN = Segment("A brown fox sleeps under the tree and dreams of winter.", "af_sky", "en")


@pytest.fixture(scope="module")
def packed(
    tmp_path_factory: pytest.TempPathFactory, published: bytes, state: dict[str, dict[str, torch.Tensor]]
) -> Path:
    """A PyTorch checkpoint of the embedded weights with a voice for each of two languages, packed."""
    folder = tmp_path_factory.mktemp("checkpoint")
    (folder / "voices").mkdir()
    torch.save(state, folder / "kokoro.pth")
    for voice, source in (("af_sky", "af_sky"), ("dm_martin", "im_nicola")):
        np.save(folder / "voices" / f"{voice}.npy", Voices().table(source).astype(np.float32))
    made = tmp_path_factory.mktemp("packed")
    main([str(folder), str(made), "--languages", "en,de"])
    return made


def decoded(synthesizer: NetworkSynthesizer, generators: list[Generator]) -> list[Array]:
    prepared = synthesizer.prepare(one_utterance(SPOKEN.text, "en").symbols, SPOKEN, Stop())
    features, norms = prepared.features, prepared.norms
    return [
        synthesizer.model.decode_window(replace(features, generator=one), norms, 0, features.frames, Stop())
        for one in generators
    ]


async def test_packed_checkpoint_speaks_its_languages_and_is_as_good_as_what_ships(
    packed: Path, published: bytes, state: dict[str, dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    settings = KokoroSettings(student="never", models=(("en", str(packed)), ("de", str(packed))))
    async with life.started(KokoroEngine(settings, Resources(tmp_path))) as engine:
        await measured(engine)
        checkpoint = engine._checkpoints.speaking(SPOKEN)
        assert checkpoint is not None and engine._model is not None
        said, spans = joined(await chunks_of(engine, SPOKEN))
        # "the tree and dreams" may be heard as "the tree in dreams".
        assert edit_distance(words_of(SPOKEN.text, "en"), words_of(hear(said, 24_000, "en"), "en")) <= 1
        assert len(spans) == len(SPOKEN.text.split())
        assert joined(await chunks_of(engine, Segment("Hola, ¿qué tal?", "ef_dora", "es")))[0].any()
        # Unfinished text is spoken.
        writer, begun = Writer(GERMAN, 2, first=5), Segment("", "dm_martin", "de")
        said, spans = joined([chunk async for chunk in engine.stream(begun, writer.text)])
        assert writer.waited and len(spans) == len(GERMAN.split())
        # The network never learned German, so a word or two may be heard as others.
        meant, heard = (re.findall(r"\w+", text.lower()) for text in (GERMAN, hear(said, 24_000, "de")))
        assert edit_distance(meant, heard) <= 2, heard
        exact = on_onnxruntime(filled(published, saved(state)).part, 2).decoder.generator
        generators = [exact, checkpoint.synthesizer.model.decoder.generator, engine._model.decoder.generator]
        expected, own, shipped = decoded(checkpoint.synthesizer, generators)
        assert log_spectral_distance(own, expected) < log_spectral_distance(shipped, expected) + 0.1
    assert not [*os.scandir(tmp_path)]


async def test_broken_network_of_a_checkpoint_is_named(packed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    shutil.copytree(packed, folder)
    (folder / "generator.zip").write_bytes((packed / "generator.zip").read_bytes()[:-1000])
    settings = KokoroSettings(student="never", models=(("en", str(folder)),))
    with pytest.raises(EngineUnavailable, match=r"^KANI_KOKORO_MODELS: .* cannot be used: File is not a zip"):
        async with life.started(KokoroEngine(settings, Resources(tmp_path))):
            pass


def test_other_network_is_refused(
    make_folder: MakeFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    identity = helper.make_graph([helper.make_node("Identity", ["a"], ["b"])], "other", [], [])
    for name, content, reason in (
        ("model.onnx", b"not ONNX", "no ONNX model"),
        ("model.onnx", helper.make_model(identity).SerializeToString(), "the checkpoint has no predictor"),
        ("model.pth", saved({"bert": {}}), "it is no checkpoint of"),
    ):
        folder = make_folder(f"{len(content)} bytes", content)
        (folder / "model.onnx").rename(folder / name)
        with pytest.raises(SystemExit, match=f"^it cannot be packed: {reason}"):
            main([str(folder), str(tmp_path / "made"), "--languages", "de"])
    assert not (tmp_path / "made").exists()
