"""A server process to measure, started by the command that a user types."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
READY_WITHIN_S = 300.0
STOP_WITHIN_S = 180.0
ASK_AGAIN_S = 0.01
# The machine decides where model files are; every other setting is the default, or what a benchmark passes.
KEPT_VARIABLES = ("KANI_MODELS_DIR", "KANI_CACHE_DIR")


class ServerFailed(Exception):
    """The server did not start, or ended with an error; ``str()`` is its output."""


class Server:
    """A server that is ready inside ``with Server("--engine", "espeak", KANI_THREADS="2") as server:``.

    python: of the environment that it runs in.
    start_s: seconds from spawning the process to the first 200 of /health.
    """

    def __init__(
        self,
        *arguments: str,
        python: str = sys.executable,
        root: Path = ROOT,
        **environment: str,
    ) -> None:
        """root: checkout that the server is started from, this one unless two versions are compared."""
        self._root = root
        self._arguments = arguments
        self._python = python
        self._environment = environment
        self.port = _free_port()
        self.start_s = 0.0

    @property
    def url(self) -> str:
        """Address of the Kani protocol's WebSocket."""
        return f"ws://{HOST}:{self.port}/"

    @property
    def process_id(self) -> int:
        """Id of the server's process."""
        return self._process.pid

    def processor_s(self) -> float:
        """Processor seconds of the server and its child processes so far."""
        server = psutil.Process(self._process.pid)
        used = [process.cpu_times() for process in (server, *server.children(recursive=True))]
        return sum(times.user + times.system for times in used)

    def memory_bytes(self) -> int:
        """Resident memory of the server and its child processes."""
        server = psutil.Process(self._process.pid)
        return sum(process.memory_info().rss for process in (server, *server.children(recursive=True)))

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="benchmark-")
        folder = Path(self._folder.name)
        prefixes = ("KANI_", "TTS_", "LOG_LEVEL")
        outside = {
            name: value
            for name, value in os.environ.items()
            if name in KEPT_VARIABLES or not name.startswith(prefixes)
        }
        # With it each start would compile 570 modules, which a user's first start does for all later ones.
        outside.pop("PYTHONDONTWRITEBYTECODE", None)
        own = {"KANI_DATA_DIR": str(folder / "data"), "KANI_LOG_FILE": str(folder / "server.log")}
        self._terminal = (folder / "terminal").open("w+", encoding="utf-8")
        begun = time.perf_counter()
        self._process = subprocess.Popen(
            [
                self._python,
                str(self._root / "start_websocket_server.py"),
                *("--host", HOST, "--port", str(self.port)),
                *self._arguments,
            ],
            stdin=subprocess.DEVNULL,
            stdout=self._terminal,
            stderr=subprocess.STDOUT,
            env=outside | own | self._environment,
            cwd=folder,
        )
        try:
            self._wait_until_ready(begun + READY_WITHIN_S)
            self.start_s = time.perf_counter() - begun
        except BaseException:
            self._process.kill()
            self._process.wait()
            self._clean()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(STOP_WITHIN_S)
            if code and error is None:
                raise ServerFailed(f"the server ended with {code}:\n{self._printed()}")
        finally:
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
            self._clean()

    def _wait_until_ready(self, deadline: float) -> None:
        while self._health() != 200:
            if self._process.poll() is not None or time.perf_counter() > deadline:
                raise ServerFailed(f"the server did not start:\n{self._printed()}")
            # From outside nothing tells when a port is listened on.
            time.sleep(ASK_AGAIN_S)

    def _health(self) -> int | None:
        with closing(HTTPConnection(HOST, self.port, timeout=READY_WITHIN_S)) as connection:
            try:
                connection.request("GET", "/health")
                return connection.getresponse().status
            except (OSError, HTTPException):
                return None

    def _printed(self) -> str:
        self._terminal.seek(0)
        return self._terminal.read()

    def _clean(self) -> None:
        self._terminal.close()
        self._folder.cleanup()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
