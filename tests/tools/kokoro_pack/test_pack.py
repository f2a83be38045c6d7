"""Kokoro's own network as it is packed: its levels, its files and what is said of them."""

import hashlib
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import onnx
import pytest

from kani.engines.kokoro.litert.packed import GENERATOR_FILE, NETWORK, PROSODY_FILE
from kani.engines.kokoro.network.parts import LoadPart
from tools.kokoro_pack.__main__ import main
from tools.kokoro_pack.graph_surgery import UnknownGraph
from tools.kokoro_pack.pack import ORIGIN_FILE, pack_published
from tools.kokoro_pack.packing.features import curve_content, feature_content, read_curve_blocks
from tools.kokoro_pack.packing.part import Part
from tools.kokoro_pack.packing.weights import quantise_weight
from tools.kokoro_pack.published import KOKORO


def test_levels_are_within_half_a_step_of_weights() -> None:
    weight = np.random.default_rng(1).standard_normal((6, 8, 3)).astype(np.float32)
    weight[3] = 0
    levels, scale = quantise_weight(weight)
    assert np.abs(levels).max() == 127
    assert (np.abs(levels * scale[:, None, None] - weight) <= scale[:, None, None] * 0.501).all()


def test_curves_have_the_published_levels_and_others_are_refused(part: LoadPart, tmp_path: Path) -> None:
    blocks = read_curve_blocks(Part("curves", part("curves"), "/encoder/", "encoder.predictor."))
    graph = onnx.load_model_from_string(part("curves")).graph
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    nodes = {node.name: node.input for node in graph.node}
    for name, block in blocks.items():
        for kind, convolution in (("conv1", block.first), ("conv2", block.second)):
            _, levels, _, zero = nodes[f"/encoder/{name}/{kind}/Conv_quant"]
            assert np.array_equal(convolution.levels, constants[levels].astype(int) - constants[zero])
    with pytest.raises(UnknownGraph, match="in the curves"):
        curve_content(part("source"))
    with pytest.raises(UnknownGraph, match="no layer"):
        feature_content(part("source"))
    with pytest.raises(UnknownGraph, match="no ONNX model"):
        pack_published(b"not a model", tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_files_that_ship_are_those_that_the_tool_makes(published: bytes, tmp_path: Path) -> None:
    """To the last byte, but for the features: processors round the product that smooths them otherwise."""
    pack_published(published, tmp_path)
    assert {path.name for path in NETWORK.iterdir()} == {PROSODY_FILE, GENERATOR_FILE, ORIGIN_FILE, "LICENSE"}
    assert (tmp_path / GENERATOR_FILE).read_bytes() == (NETWORK / GENERATOR_FILE).read_bytes()
    made, ships = ZipFile(tmp_path / PROSODY_FILE), ZipFile(NETWORK / PROSODY_FILE)
    assert made.namelist() == ships.namelist()
    for name in ships.namelist():
        one, other = (np.frombuffer(file.read(name), np.uint8) for file in (made, ships))
        differ = np.count_nonzero(one != other) if len(one) == len(other) else len(other)
        share = {"features.tflite": 1e-3, "features.factor.npy": 0.3}.get(name, 0.0)
        assert differ <= share * len(other), name


def test_origin_has_the_checksums_of_the_files() -> None:
    origin = (NETWORK / ORIGIN_FILE).read_text(encoding="utf-8")
    assert KOKORO.sha256 in origin and "Apache-2.0" in origin and "hexgrad" in origin
    told = [line.split() for line in origin.splitlines() if line.endswith(".zip")]
    assert len(told) == 2
    for sha256, size, name in told:
        content = (NETWORK / name).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (sha256, int(size))
        # A registry takes files of 100 MB at most, and so does a hub of repositories.
        assert len(content) < 100_000_000
    assert "Apache License" in (NETWORK / "LICENSE").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["checkpoint"], "needs a folder and its languages"),
        (["checkpoint", "folder"], "needs a folder and its languages"),
        (["--languages", "de"], "needs a folder and its languages"),
    ],
)
def test_command_line_is_checked(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    assert told in capsys.readouterr().err
