"""A server of one's own to measure: the command a user types, in a process of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
READY_WITHIN_S = 120.0
STOP_WITHIN_S = 30.0
ASK_AGAIN_S = 0.01
# Where model files are is the machine's affair; every other setting is the default, but for those below.
KEPT_VARIABLES = ("KANI_MODELS_DIR", "KANI_CACHE_DIR")
# One that changed in the middle would make two measurements of one.
_ALWAYS = {"KANI_KOKORO_DECODER": "onnx"}


class ServerFailed(Exception):
    """The server did not start, or did not end well; ``str()`` is what it printed."""


class Server:
    """``with Server("--engine", "espeak", KANI_THREADS="2") as server:``, ready inside.

    start_s: seconds from spawning the process to /health's first 200.
    """

    def __init__(self, *arguments: str, **environment: str) -> None:
        self._arguments = arguments
        self._environment = environment
        self.port = _free_port()
        self.start_s = 0.0

    @property
    def url(self) -> str:
        """The WebSocket of the Kani protocol."""
        return f"ws://{HOST}:{self.port}/"

    @property
    def process_id(self) -> int:
        """The server's process."""
        return self._process.pid

    def memory_bytes(self) -> int:
        """Resident memory of the server and the processes it started."""
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
        own = {"KANI_DATA_DIR": str(folder / "data"), "KANI_LOG_FILE": str(folder / "server.log")}
        self._terminal = (folder / "terminal").open("w+", encoding="utf-8")
        begun = time.perf_counter()
        self._process = subprocess.Popen(
            [
                sys.executable,
                str(ROOT / "start_websocket_server.py"),
                *("--host", HOST, "--port", str(self.port)),
                *self._arguments,
            ],
            stdin=subprocess.DEVNULL,
            stdout=self._terminal,
            stderr=subprocess.STDOUT,
            env=outside | own | _ALWAYS | self._environment,
            cwd=folder,
        )
        try:
            self._wait_until_ready(begun + READY_WITHIN_S)
        except BaseException:
            self._process.kill()
            self._process.wait()
            self._clean()
            raise
        self.start_s = time.perf_counter() - begun
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
        connection = HTTPConnection(HOST, self.port, timeout=READY_WITHIN_S)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status
        except (OSError, HTTPException):
            return None
        finally:
            connection.close()

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
