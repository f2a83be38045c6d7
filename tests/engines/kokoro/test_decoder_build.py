"""The build of the int8 decoder's files: child process, cache, and the first start of a server."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import httpx
import psutil
import pytest

from engines.kokoro.decoder_build import DecoderBuild
from engines.kokoro.decoder_choice import load_int8_decoder
from engines.kokoro.engine import KokoroEngine
from engines.kokoro.int8.build import PARTS
from engines.kokoro.network.onnx_model import Stopped
from engines.kokoro.network.parts import LoadPart
from speech.errors import EngineUnavailable
from tests.conftest import StartServer
from tests.support.kokoro import copy_cache, is_built
from tests.support.patience import WITHIN_S

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.server
MODULE = "engines.kokoro.int8.build"
FIRST_START = ("--engine", "kokoro", "--recognizer", "none", "--kokoro-decoder", "fast")


def processes() -> list[psutil.Process]:
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if MODULE in process.cmdline():
                found += [process, *process.children(recursive=True)]
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found


class Running:
    """A build in a thread; ``ended`` holds its error, or None."""

    def __init__(self, build: DecoderBuild, part: LoadPart, *, low_priority: bool = True) -> None:
        self.build = build
        self.ended: list[Exception | None] = []
        self._part, self._low_priority = part, low_priority
        self._given = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Running:
        self._thread.start()
        assert self._given.wait(WITHIN_S)
        return self

    def __exit__(self, *_: object) -> None:
        self.build.stop()
        self.join()

    def join(self) -> None:
        self._thread.join(WITHIN_S)
        assert self.ended

    def _give(self, name: str) -> bytes:
        part = self._part(name)
        if name == PARTS[-1]:
            self._given.set()
        return part

    def _run(self) -> None:
        try:
            self.build.run(self._give, low_priority=self._low_priority)
        except (EngineUnavailable, Stopped) as error:
            self.ended.append(error)
        else:
            self.ended.append(None)


def test_low_priority_build_is_killed_with_its_children(part: LoadPart, tmp_path: Path) -> None:
    with Running(DecoderBuild(tmp_path, 2), part) as running:
        started = processes()
        assert started and all(process.nice() == 19 for process in started)
        running.build.stop()
        running.join()
        assert isinstance(running.ended[0], Stopped)
        gone, alive = psutil.wait_procs(started, WITHIN_S)
        assert gone and not alive
    assert not running.build.is_done
    with pytest.raises(Stopped):
        running.build.run(part, low_priority=True)


def test_killed_build_process_is_reported(part: LoadPart, tmp_path: Path) -> None:
    with Running(DecoderBuild(tmp_path, 2), part) as running:
        for process in processes():
            process.kill()
        running.join()
    assert "its build process exited with" in str(running.ended[0])


def test_build_ends_with_its_parent(part: LoadPart, tmp_path: Path) -> None:
    code = (
        "import os, sys, threading\n"
        "from pathlib import Path\n"
        "from engines import weights\n"
        "from engines.kokoro.network import parts_cache\n"
        "from engines.kokoro.decoder_build import DecoderBuild\n"
        "cache = Path(sys.argv[1])\n"
        "part = parts_cache.load(weights.load(weights.KOKORO, models_dir=None, cache_dir=cache), cache)\n"
        "build = DecoderBuild(cache, 2)\n"
        "given = threading.Event()\n"
        "def give(name):\n"
        "    print(name, flush=True)\n"
        "    return part(name)\n"
        "build.run(give, low_priority=True)\n"
    )
    wanting = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    with wanting:
        assert wanting.stdout is not None
        while wanting.stdout.readline().strip() != PARTS[-1]:
            assert wanting.poll() is None
        started = processes()
        wanting.kill()
    assert started
    gone, alive = psutil.wait_procs(started, WITHIN_S)
    assert gone and not alive


def test_unpackable_graph_is_reported(part: LoadPart, almost: Path) -> None:
    build = DecoderBuild(almost, 2)
    with pytest.raises(EngineUnavailable, match=r"weights could not be packed|AVX2"):
        build.run(lambda name: b"no graph" if name == "generator" else part(name), low_priority=False)
    assert not build.is_done


def test_second_build_uses_cache(part: LoadPart, cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    if not is_built(cache, part):
        pytest.skip("the int8 decoder is unavailable on this machine")
    made = {path: path.stat().st_mtime_ns for path in cache.rglob("*.nb?")}
    assert made and len(list(cache.glob("kokoro-fast-*.prepared"))) == 1
    caplog.clear()
    again = DecoderBuild(cache, 2)
    assert again.is_done and not again.is_needed
    with caplog.at_level("INFO"):
        again.run(dict[str, bytes]().__getitem__, low_priority=True)
    assert not caplog.records
    load_int8_decoder(part, again.folder, 2)
    assert made == {path: path.stat().st_mtime_ns for path in cache.rglob("*.nb?")}


@pytest.fixture
def almost(cache: Path, part: LoadPart, tmp_path: Path) -> Path:
    """A cache folder with all files of a build, which is not marked as complete."""
    if not is_built(cache, part):
        pytest.skip("the int8 decoder is unavailable on this machine")
    return copy_cache(cache, tmp_path / "cache", "*.prepared")


def test_unwritable_cache_is_replaced_by_temporary_folder(
    part: LoadPart, almost: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # As by an earlier build, which takes half a minute.
    begun = TemporaryDirectory(dir=tmp_path)
    shutil.copytree(almost, begun.name, dirs_exist_ok=True)
    monkeypatch.setattr("engines.kokoro.decoder_build.TemporaryDirectory", lambda **_: begun)
    file = tmp_path / "file"
    file.write_bytes(b"")
    build = DecoderBuild(file / "cache", 2)
    build.run(part, low_priority=False)
    assert build.is_done and build.folder == Path(begun.name)
    assert file.read_bytes() == b""
    build.close()
    assert not build.folder.exists()


class Greedy(DecoderBuild):
    """Builds at normal priority, since other tests may use all of the processor's time.

    asked: whether a low priority was requested, at each run.
    """

    asked: ClassVar[list[bool]] = []

    def run(self, part: LoadPart, *, low_priority: bool) -> None:
        self.asked.append(low_priority)
        super().run(part, low_priority=False)


@pytest.mark.parametrize(("seconds", "decoders"), [(0.1, ("onnx", "fast")), (0.9, ("fast", "fast"))])
async def test_slow_machine_waits_for_int8_decoder(
    new_engine: Callable[..., KokoroEngine],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    almost: Path,
    seconds: float,
    decoders: tuple[str, str],
) -> None:
    monkeypatch.setattr("engines.kokoro.engine.real_time_factor", lambda generator: seconds)
    monkeypatch.setattr("engines.kokoro.engine.DecoderBuild", Greedy)
    Greedy.asked.clear()
    engine = new_engine(folder=almost)
    with caplog.at_level("INFO"):
        await engine.start()
        at_first = engine.info.decoder
        await engine.wait_until_loaded()
    told = [record.getMessage() for record in caplog.records]
    assert (at_first, engine.info.decoder) == decoders
    assert Greedy.asked == [seconds < 0.5]
    assert any("preparing the fast decoder" in line for line in told)
    assert any("kernels are compiled" in line for line in told)
    assert any("onnxruntime takes 0.90 s" in line for line in told) == (seconds > 0.5)
    again = new_engine(folder=almost)
    await again.start()
    assert again.info.decoder == "fast"


def test_building_server_answers_health_and_stops(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(*FIRST_START, ready=False, KANI_CACHE_DIR=str(tmp_path / "cache"), KANI_PORT="0")
    wait_for_line(server.process, lambda: server.log, "preparing the fast decoder")
    port = next(
        one.laddr.port
        for one in psutil.Process(server.process.pid).net_connections("tcp")
        if one.status == psutil.CONN_LISTEN
    )
    while not (started := processes()):
        if server.process.poll() is not None:
            pytest.skip("the int8 decoder is unavailable on this machine")
        # The line is written before the process begins.
        time.sleep(0.05)
    answer = httpx.get(f"http://localhost:{port}/health", timeout=WITHIN_S)
    assert answer.status_code == 503 and answer.json()["status"] == "starting"
    assert "preparing the fast decoder" in server.terminal
    server.process.terminate()
    assert server.process.wait(WITHIN_S) == 0
    gone, alive = psutil.wait_procs(started, WITHIN_S)
    assert gone and not alive


def wait_for_line(process: subprocess.Popen[bytes], log: Callable[[], str], line: str) -> None:
    until = time.monotonic() + WITHIN_S
    while line not in log():
        assert process.poll() is None and time.monotonic() < until, log()
        # From outside nothing tells when a line is written.
        time.sleep(0.05)
