"""Real servers for the tests: the command a user types, in a process of its own, on a free port."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

import kani  # turns telemetry off, here and in all that the tests start
from tests.running import alone, limit, optional
from tests.running.smoke import SMOKE
from tests.support import patience
from tests.support.servers.address import FREE_PORTS, Addressed

if TYPE_CHECKING:
    from kani.engines.kokoro.engine import KokoroEngine

ROOT = Path(__file__).resolve().parent.parent
# Guards against a server that hangs, not limits of its speed.
READY_WITHIN_S = patience.WITHIN_S
SETTLED_WITHIN_S = 2 * patience.WITHIN_S
STOP_WITHIN_S = 180.0
LOOK_AGAIN_S = 0.05
# Characters of a log in a failure's message: a run of an hour has too many to find what went wrong.
SHOWN = 6000
ADDRESS = re.compile(r"address +wss?://(?P<host>\S+):(?P<port>\d+)\b")
# Made of a model once (its parts, the packed network), shared by every test of a run:
# pytest-xdist's workers are started with this process' environment.
SHARED = "TESTS_CACHE"
if SHARED not in os.environ:
    CACHE = tempfile.TemporaryDirectory(prefix="tests-cache-")
    os.environ[SHARED] = CACHE.name
patience.have_clients_wait()
WYOMING = re.compile(r"wyoming +tcp://\S+:(?P<port>\d+)")
COMPAT = re.compile(r"also +(?:ws|http)s?://\S+:(?P<port>\d+) \((?P<protocol>.+)\)")


class ServerProcess(Addressed):
    """A running ``start_websocket_server.py``.

    folder holds its kept voices (``data``) and its log; ``banner`` is what it printed when it was
    ready; ``compat`` the ports that --compat opened, each by the protocol that the banner names. No
    setting of the machine's environment reaches it. behind: a command that runs it, as prlimit does.
    """

    def __init__(self, folder: Path, *arguments: str, behind: Sequence[str] = (), **environment: str) -> None:
        self.folder = folder
        self.log_file = folder / "websocket_server.log"
        self._terminal_path = folder / "terminal.log"
        self._terminal = self._terminal_path.open("wb")
        own = FREE_PORTS | {
            "KANI_DATA_DIR": str(folder / "data"),
            "KANI_CACHE_DIR": os.environ[SHARED],
            "KANI_LOG_FILE": str(self.log_file),
            "KANI_HOST": "localhost",
            "PYTHONUNBUFFERED": "1",
        }
        names = ("KANI_", "TTS_", "ELEVEN_", "LIVEKIT_", "LOG_", "PORT")
        outside = {name: value for name, value in os.environ.items() if not name.startswith(names)}
        self.process = subprocess.Popen(
            [*behind, sys.executable, str(ROOT / "start_websocket_server.py"), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._terminal,
            env=outside | own | environment,
            cwd=folder,
        )
        self._ending = False
        self.banner = ""
        self.port = 0
        self.compat: dict[str, int] = {}
        self.wyoming_port = 0

    @property
    def terminal(self) -> str:
        return self._terminal_path.read_text(encoding="utf-8")

    @property
    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8") if self.log_file.exists() else ""

    def wait_until_ready(self) -> None:
        """Read the banner; fail with what the server complained of if there is none in time."""
        assert self.process.stdout is not None
        output = self.process.stdout.fileno()
        deadline = time.monotonic() + READY_WITHIN_S
        seen = b""
        while b"Ctrl+C\n" not in seen:
            readable, _, _ = select.select([output], [], [], max(0.0, deadline - time.monotonic()))
            piece = os.read(output, 65536) if readable else b""
            if not piece:
                self.kill()
                pytest.fail(f"the server was not ready in {READY_WITHIN_S:g} s:\n{self.terminal}")
            seen += piece
        self.banner = seen.decode()
        address = next(match for line in self.banner.splitlines() if (match := ADDRESS.search(line)))
        self.host, self.port = address["host"], int(address["port"])
        if wyoming := WYOMING.search(self.banner):
            self.wyoming_port = int(wyoming["port"])
        self.compat = {match["protocol"]: int(match["port"]) for match in COMPAT.finditer(self.banner)}

    def wait_until_settled(self) -> None:
        """Return once Kokoro, if it speaks here, has named its decoder in the log."""
        if "(kokoro " not in self.banner:
            return
        deadline = time.monotonic() + SETTLED_WITHIN_S
        while "Kokoro decoder: " not in self.log:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                pytest.fail(f"Kokoro's decoder was not settled in {SETTLED_WITHIN_S:g} s:\n{self.terminal}")
            time.sleep(LOOK_AGAIN_S)

    def send_signal(self, number: int) -> None:
        self._ending |= number in (signal.SIGTERM, signal.SIGINT)
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait for the end; the exit code."""
        try:
            return self.process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill()
            pytest.fail(f"the server did not end in {STOP_WITHIN_S:g} s:\n{self.terminal}")

    def stop(self) -> None:
        """End it as an administrator would, and see that it ends well and had nothing to hide.

        A server that is ending gets no second signal, which would cut its last steps short.
        """
        if self.process.poll() is None and not self._ending:
            self.send_signal(signal.SIGTERM)
        code = self.wait()
        self.close()
        said = self.terminal + self.log
        assert code == 0, f"exit code {code}:\n{said[-SHOWN:]}"
        traceback = said.find("Traceback")
        assert traceback < 0, said[max(0, traceback - SHOWN // 4) : traceback + SHOWN]

    def leave(self) -> None:
        """Stop it, unless the test has seen its end already."""
        if self.process.poll() is None:
            self.stop()
        self.close()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.close()

    def close(self) -> None:
        """Close this side's files."""
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._terminal.close()


STARTING = frozenset({"server", "compat_server", "espeak_server", "start_server", "browser"})
"""Fixtures that start a process; tests that use one, also through others, are of the tier ``server``.

Nothing else has such a name: a parameter of a test is a fixture, too.
"""
LOADING_KOKORO = "engines/kokoro", "tools/kokoro_pack"
KOKORO = frozenset({"engine", "onnx_engine", "part"})
"""Fixtures of tests/engines/conftest.py that load Kokoro; tests that use one are of the tier ``heard``."""


# At a desk each property is tried with a few examples, new ones every time; with CI set hypothesis loads its
# own profile: 100 examples, the same ones in every run.
hypothesis.settings.register_profile("dev", max_examples=25, deadline=None)
if "CI" not in os.environ:
    hypothesis.settings.load_profile("dev")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test its tier: ``heard`` by its own marker, ``server`` by its fixtures, or the first."""
    smoke = {ROOT / "tests" / name for name in SMOKE}
    for item in items:
        if item.path in smoke and item.get_closest_marker("full") is None:
            item.add_marker(pytest.mark.smoke)
        fixtures = set(getattr(item, "fixturenames", ()))
        own_conftest = any(item.path.is_relative_to(ROOT / "tests" / each) for each in LOADING_KOKORO)
        if item.get_closest_marker("slow") is not None or (own_conftest and KOKORO & fixtures):
            item.add_marker(pytest.mark.heard)
        elif item.get_closest_marker("heard") is None and STARTING & fixtures:
            item.add_marker(pytest.mark.server)


def pytest_collection_finish() -> None:
    """Keep what collection made, which lives to the end of the run, out of later garbage collections."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Run a test marked ``alone`` when no other runs."""
    with alone.turn(alone=item.get_closest_marker("alone") is not None):
        return (yield)


def pytest_configure(config: pytest.Config) -> None:
    """Register what skips and ends tests; as a conftest's, hooks would not see the conftests of folders."""
    config.pluginmanager.register(optional)
    config.pluginmanager.register(limit)
    if config.pluginmanager.hasplugin("xdist"):
        from tests.running import by_file

        config.pluginmanager.register(by_file)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep half surrogates, which a test may log, out of what goes from process to process."""
    report = yield
    report.sections = [
        (name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections
    ]
    return report


StartServer = Callable[..., ServerProcess]


@pytest.fixture(scope="session")
def cache() -> Path:
    """The cache folder of all test servers."""
    return Path(os.environ[SHARED])


@pytest.fixture(scope="session")
def kokoro(cache: Path) -> Iterator[KokoroEngine]:
    """Kokoro as the server starts it, once for all tests; its weights are the package's.

    Its decoder is LiteRT's wherever that runs.
    """
    from kani.engines.kokoro.engine import KokoroEngine
    from kani.engines.kokoro.settings import KokoroSettings
    from kani.engines.plugin import Resources
    from tests.support.kokoro import measured

    made = KokoroEngine(KokoroSettings(), Resources(cache))

    async def start() -> None:
        await made.start()
        await measured(made)

    asyncio.run(start())
    yield made
    asyncio.run(made.stop())


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that refuses connections: it is taken, and nothing listens on it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartServer]:
    """Start a server of one's own: ``start_server("--engine", "espeak", KANI_MAX_TEXT="50")``.

    It is ready when this returns, and its decoder settled, unless ``ready=False`` (or ``settled=False``);
    if it still runs when the test ends, it is stopped and has to end well.
    """
    with ExitStack() as still_running:

        def start(
            *arguments: str,
            ready: bool = True,
            settled: bool = True,
            behind: Sequence[str] = (),
            **environment: str,
        ) -> ServerProcess:
            folder = tmp_path_factory.mktemp("server")
            server = ServerProcess(folder, *arguments, behind=behind, **environment)
            still_running.callback(server.leave)
            if ready:
                server.wait_until_ready()
                if settled:
                    server.wait_until_settled()
            return server

        yield start


@contextmanager
def server_process(folder: Path, *options: str, **environment: str) -> Iterator[ServerProcess]:
    """A server that is ready, and stopped at the end."""
    running = ServerProcess(folder, *options, **environment)
    running.wait_until_ready()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with every setting at its default, for the whole run."""
    with server_process(tmp_path_factory.mktemp("server")) as running:
        running.wait_until_settled()
        yield running


@pytest.fixture(scope="session")
def compat_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that speaks only by espeak-ng and opens every protocol's own port; for the whole run."""
    options = ("--engine", "espeak", "--compat")
    with server_process(tmp_path_factory.mktemp("compat_server"), *options) as running:
        yield running


@pytest.fixture(scope="session")
def espeak_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with espeak-ng as its only engine, which is fast; for the whole run."""
    with server_process(tmp_path_factory.mktemp("espeak_server"), "--engine", "espeak") as running:
        yield running


@pytest.fixture(scope="module")
def speech() -> Iterator[kani.Speech]:
    with kani.Speech("espeak") as opened:
        yield opened
