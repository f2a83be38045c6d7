"""The build cache of the split network: found, broken, unwritable, and shared by two servers."""

import errno
import io
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from kani.core.errors import EngineUnavailable
from kani.engines.kokoro.network import parts_cache
from kani.engines.kokoro.network.graph_surgery import PARTS
from kani.runtime.build_cache import BuildCache
from tests.running.sources import ROOT

# Each build is a process.
pytestmark = pytest.mark.server
SPLITTING = "splitting the network into parts"
BROKEN = "is broken and is built again"


def sums_of(path: Path) -> dict[str, int]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {entry.filename: entry.CRC for entry in archive.infolist()}


@pytest.fixture(scope="module")
def made(published: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parts")
    parts_cache.load(published, folder)
    (path,) = folder.glob("*.zip")
    return path


def flipped(whole: bytes, at: int) -> bytes:
    return whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: whole[: len(whole) // 2],
        lambda whole: flipped(whole, len(whole) // 2),
        *(
            # Bytes of its table of contents.
            lambda whole, offset=offset: flipped(whole, whole.index(b"PK\x01\x02") + offset)
            for offset in (8, 10, 16, 42)
        ),
    ],
)
def test_broken_file_is_built_again_and_a_whole_one_used(
    made: Path,
    tmp_path: Path,
    published: bytes,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    damage: Callable[[bytes], bytes],
) -> None:
    whole, cached = made.read_bytes(), tmp_path / made.name
    # Each build takes seconds and gives the same.
    monkeypatch.setattr(BuildCache, "_run", lambda self, source: whole)
    cached.write_bytes(damage(whole))
    part = parts_cache.load(published, cached.parent)
    assert BROKEN in caplog.text
    assert cached.read_bytes() == whole
    assert onnx.load_model_from_string(part("encoder")).graph.name == "encoder"
    caplog.clear()
    before = {path: path.stat().st_mtime_ns for path in cached.parent.iterdir()}
    part = parts_cache.load(published, cached.parent)
    assert not caplog.text
    assert {path: path.stat().st_mtime_ns for path in cached.parent.iterdir()} == before
    # The parts stay readable after the cache is cleared.
    cached.unlink()
    for name in PARTS:
        assert onnx.load_model_from_string(part(name)).graph.name == name


def test_memory_replaces_cache(tmp_path: Path, published: bytes, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    part = parts_cache.load(published, file / "cache")
    assert "the cache folder cannot be written" in caplog.text
    assert caplog.text.count(SPLITTING) == 1
    assert onnx.load_model_from_string(part("decoder")).graph.name == "decoder"
    assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(EngineUnavailable, match=r"no ONNX model.*requirements.txt"):
        parts_cache.load(b"not a model", tmp_path)
    assert not list(tmp_path.glob("kokoro-parts-*"))


def load_own(folder: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
    """Load an archive of this test into a folder."""
    cache = BuildCache("own", "kani.runtime.build_cache", "making", "it is made again", **options)
    whole = io.BytesIO()
    zipfile.ZipFile(whole, "w").close()
    monkeypatch.setattr(BuildCache, "_run", lambda self, source: whole.getvalue())
    cache.load(b"source", folder)


def test_archive_deletes_those_that_it_replaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that has one open reads on; one that another version may be writing stays."""
    folder = tmp_path / "not" / "there" / "yet"
    folder.mkdir(parents=True)
    for name in ("older-0123.zip", "other-0123.zip", "own-0123.zip", "own-0123.partial"):
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.writestr("entry", b"content")
    with zipfile.ZipFile(folder / "older-0123.zip") as in_use:
        load_own(folder, monkeypatch, replaces=("older",))
        assert in_use.read("entry") == b"content"
    assert sorted(path.name.partition("-")[0] for path in folder.glob("*.zip")) == ["other", "own"]
    assert not (folder / "own-0123.zip").exists() and (folder / "own-0123.partial").exists()


def test_full_disk_leaves_no_part_of_an_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fill(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[:1])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fill)
    load_own(tmp_path, monkeypatch)
    assert "the cache folder cannot be written (No space left on device)" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == ["own.lock"]


def test_concurrent_starts_build_once(tmp_path: Path, made: Path) -> None:
    code = (
        "import logging, pathlib, sys; from kani.runtime import weights\n"
        "from kani.engines.kokoro.network import parts_cache\n"
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
    assert told.count(SPLITTING) == 1
    (path,) = (tmp_path / "cache").glob("*.zip")
    assert sums_of(path) == sums_of(made)
