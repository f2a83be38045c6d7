"""The packed network: its weights, its cache, and what it depends on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from kani.engines.kokoro.litert.packing.curves import pack_curves
from kani.engines.kokoro.litert.packing.features import pack_features
from kani.engines.kokoro.litert.packing.store import GENERATOR, PROSODY, load_packed
from kani.engines.kokoro.litert.packing.weights import quantise_weight
from kani.engines.kokoro.network.graph_surgery import UnknownGraph
from kani.engines.kokoro.network.parts import LoadPart
from kani.runtime import build_cache
from kani.runtime.build_cache import BuildCache, BuildFailed
from kani.runtime.weights import KOKORO
from tests.support.kokoro import CHANNELS

ROOT = Path(__file__).parents[4]
PLAIN = {
    *("__init__", "accented_ipa", "build_cache", "onnx_model", "parts_cache"),
    *("vocabulary", "voice_mix", "voices"),
}
"""Modules that the packing imports, and that the packed network does not depend on."""


def test_levels_are_within_half_a_step_of_weights() -> None:
    weight = np.random.default_rng(1).standard_normal((6, 8, 3)).astype(np.float32)
    weight[3] = 0
    levels, scale = quantise_weight(weight)
    assert np.abs(levels).max() == 127
    assert (np.abs(levels * scale[:, None, None] - weight) <= scale[:, None, None] * 0.501).all()


def test_curves_have_the_published_levels(part: LoadPart) -> None:
    packed = pack_curves(part("curves"))
    graph = onnx.load_model_from_string(part("curves")).graph
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    found = 0
    for node in graph.node:
        if node.op_type == "ConvInteger" and "_proj" not in node.name:
            name = node.name.removeprefix("/encoder/").removesuffix("/Conv_quant").replace("/", ".")
            published = constants[node.input[1]].astype(int) - constants[node.input[3]].astype(int)
            assert np.array_equal(packed[f"{name}.levels"], published)
            found += 1
    assert found == len([name for name in packed if name.endswith(".levels")]) > 10


def test_other_parts_are_refused(part: LoadPart) -> None:
    with pytest.raises(UnknownGraph, match="in the curves"):
        pack_curves(part("source"))
    with pytest.raises(UnknownGraph, match="no layer"):
        pack_features(part("source"))


SHA256 = KOKORO.sha256


def unread() -> bytes:
    pytest.fail("the model was read")


def test_other_graph_cannot_be_packed(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match="no ONNX model"):
        load_packed("0" * 64, lambda: b"not a model", tmp_path)
    assert not list(tmp_path.glob("*.zip"))


@pytest.fixture(scope="module")
def packed(published: bytes, cache: Path) -> dict[str, bytes]:
    """The archives of the shared cache folder by their names."""
    load_packed(SHA256, lambda: published, cache)
    found = [path for half in (PROSODY, GENERATOR) for path in cache.glob(f"{half.name}-*.zip")]
    return {path.name: path.read_bytes() for path in found}


def test_model_is_not_read_where_cache_has_it(packed: dict[str, bytes], cache: Path) -> None:
    assert len(packed) == 2
    network = load_packed(SHA256, unread, cache)
    assert network.generator.content("generator.tflite")[4:8] == b"TFL3"
    assert network.generator.array("offset").shape == (CHANNELS,)


def test_broken_archive_is_packed_again(
    packed: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    whole = {name: content for name, content in packed.items() if "generator" in name}
    for name, content in packed.items():
        (tmp_path / name).write_bytes(content[: len(content) // 2] if name in whole else content)
    # Packing takes seconds and gives the same.
    monkeypatch.setattr(BuildCache, "_run", lambda self, source: next(iter(whole.values())))
    assert load_packed(SHA256, lambda: b"a model", tmp_path).generator.array("offset").shape == (CHANNELS,)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.zip")} == packed
    assert caplog.text.count("is broken and is built again") == 1


def test_second_checkout_with_the_same_cache_starts_without_packing_anew(
    packed: dict[str, bytes], cache: Path, tmp_path: Path
) -> None:
    ignored = shutil.ignore_patterns("__pycache__", "web", "student", "voxcpm", "runtime/*/data")
    shutil.copytree(ROOT / "kani", tmp_path / "kani", ignore=ignored)
    shutil.copy(ROOT / "websocket_config.py", tmp_path)
    code = (
        "import logging, pathlib, sys\n"
        "from kani.engines.kokoro.litert.packing import store\n"
        "from kani.runtime.weights import KOKORO\n"
        "logging.basicConfig(level=logging.INFO, stream=sys.stdout)\n"
        "unread = lambda: sys.exit('the model was read')\n"
        "store.load_packed(KOKORO.sha256, unread, pathlib.Path(sys.argv[1]))\n"
        "print(store.__file__)\n"
    )
    kept = {path: path.stat().st_mtime_ns for path in cache.glob("*.zip")}
    command = [sys.executable, "-c", code, str(cache)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines() == [str(tmp_path / "kani/engines/kokoro/litert/packing/store.py")]
    assert {path: path.stat().st_mtime_ns for path in cache.glob("*.zip")} == kept


def test_key_is_of_contents_not_of_places_and_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, model = GENERATOR, SHA256
    key = kind._key(model)
    other = tmp_path / "other"
    shutil.copytree(ROOT / "kani/engines/kokoro", other / "kani/engines/kokoro")
    moved = replace(kind, sources=[other / source.relative_to(ROOT) for source in kind.sources])
    for source in moved.sources:
        os.utime(source, (1, 1))
    monkeypatch.setattr(build_cache, "FOLDER", other)
    assert moved._key(model) == key
    assert moved._key("0" * 64) != key
    for source in (*moved.sources, other / "kani/engines/kokoro/litert/packing/pack.py"):
        before = source.read_bytes()
        source.write_bytes(before + b"\n")
        assert moved._key(model) != key, source
        source.write_bytes(before)


def test_all_modules_of_packing_are_in_the_key() -> None:
    code = (
        "import sys\n"
        "import kani.engines.kokoro.litert.packing.pack\n"
        "own = [module for name, module in sys.modules.items() if name.startswith('kani.engines.kokoro.')]\n"
        "print(*(module.__file__ for module in own), sep='\\n')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    imported = {Path(line) for line in done.stdout.splitlines()}
    counted = {path for path in imported if path.stem not in PLAIN}
    module = ROOT.joinpath(*GENERATOR.module.split(".")).with_suffix(".py")
    assert counted == {module, *(path for path in GENERATOR.sources if path.suffix == ".py")}
