"""The cut network in the cache folder: there or not, whole or broken, for one server or two."""

from __future__ import annotations

import logging
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest

from engines import weights
from engines.kokoro.network import parts_cache
from engines.kokoro.network.graph_surgery import PARTS
from speech.errors import EngineUnavailable

ROOT = Path(__file__).parents[4]
CUTTING = "cutting the network into parts"
BROKEN = "is broken and is made anew"


def sums_of(path: Path) -> dict[str, int]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {entry.filename: entry.CRC for entry in archive.infolist()}


@pytest.fixture(scope="module")
def published() -> bytes:
    return weights.load(weights.KOKORO, models_dir=None, cache_dir=Path("unused"))


@pytest.fixture(scope="module")
def made(published: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parts")
    parts_cache.load(published, folder)
    (path,) = folder.glob("*.zip")
    return path


@pytest.fixture
def cached(made: Path, tmp_path: Path) -> Path:
    path = tmp_path / made.name
    path.write_bytes(made.read_bytes())
    return path


@pytest.fixture(autouse=True)
def _told(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.INFO):
        yield


def test_what_was_cut_is_found_again(
    cached: Path, published: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    before = cached.stat().st_mtime_ns
    part = parts_cache.load(published, cached.parent)
    assert CUTTING not in caplog.text
    assert cached.stat().st_mtime_ns == before
    assert [path.name for path in cached.parent.iterdir()] == [cached.name]
    for name in PARTS:
        assert onnx.load_model_from_string(part(name)).graph.name == name


def test_the_parts_stay_readable_when_the_cache_is_cleared(cached: Path, published: bytes) -> None:
    part = parts_cache.load(published, cached.parent)
    cached.unlink()
    assert onnx.load_model_from_string(part("recorder")).graph.name == "recorder"


@pytest.mark.parametrize("damage", ["flipped", "truncated", "emptied"])
def test_a_broken_file_is_made_anew(
    cached: Path, published: bytes, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    sums, whole = sums_of(cached), cached.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    cached.write_bytes({"flipped": flipped, "truncated": whole[:middle], "emptied": b""}[damage])
    part = parts_cache.load(published, cached.parent)
    assert caplog.text.count(BROKEN) >= 1 and caplog.text.count(CUTTING) == 1
    assert sums_of(cached) == sums
    assert onnx.load_model_from_string(part("generator")).graph.name == "generator"
    caplog.clear()
    parts_cache.load(published, cached.parent)
    assert not caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("offset", [7, 8, 10, 16, 20, 42])
def test_damage_to_the_table_of_contents_is_no_failure(cached: Path, published: bytes, offset: int) -> None:
    content = bytearray(cached.read_bytes())
    content[content.index(b"PK\x01\x02") + offset] ^= 0xFF
    cached.write_bytes(content)
    part = parts_cache.load(published, cached.parent)
    assert onnx.load_model_from_string(part("encoder")).graph.name == "encoder"


def test_a_cache_that_cannot_be_written_is_lived_with(
    tmp_path: Path, published: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    part = parts_cache.load(published, file / "cache")
    assert "the cache folder cannot be written" in caplog.text
    assert caplog.text.count(CUTTING) == 1
    assert onnx.load_model_from_string(part("decoder")).graph.name == "decoder"
    assert list(tmp_path.iterdir()) == [file]


def test_what_other_versions_left_is_cleared_away(
    tmp_path: Path, published: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "not" / "there" / "yet"
    folder.mkdir(parents=True)
    for name in ("kokoro-parts-0123.zip", "kokoro-parts-0123.partial", "kokoro-v1.0.int8.onnx"):
        (folder / name).write_bytes(b"old")
    parts_cache.load(published, folder)
    assert caplog.text.count(CUTTING) == 1
    left = {path.name for path in folder.iterdir()} - {"kokoro-parts.lock"}
    assert len(left) == 2 and "kokoro-v1.0.int8.onnx" in left
    assert not any("0123" in name for name in left)


def test_two_servers_that_start_at_once_share_one_cut(tmp_path: Path, made: Path) -> None:
    code = (
        "import logging, pathlib, sys; from engines import weights\n"
        "from engines.kokoro.network import parts_cache\n"
        "logging.basicConfig(level=logging.INFO, stream=sys.stdout, format='%(message)s')\n"
        "model = weights.load(weights.KOKORO, models_dir=None, cache_dir=pathlib.Path('unused'))\n"
        "part = parts_cache.load(model, pathlib.Path(sys.argv[1]))\n"
        "print('generator of', len(part('generator')), 'bytes')\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "cache")]
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
        for _ in range(2)
    ]
    outputs = [process.communicate() for process in started]
    assert [process.returncode for process in started] == [0, 0], outputs
    told = "".join(output for output, _ in outputs)
    assert told.count("generator of") == 2
    assert told.count(CUTTING) == 1
    (path,) = (tmp_path / "cache").glob("*.zip")
    assert sums_of(path) == sums_of(made)


def test_another_graph_is_refused_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match=r"no ONNX model.*KANI_KOKORO_DECODING=whole"):
        parts_cache.load(b"not a model", tmp_path)
    assert not list(tmp_path.glob("kokoro-parts-*"))
