"""Client of a language's dictionary in a process of its own.

Loading a dictionary and asking it holds Python's lock (for 0.2 to 0.4 s at the first text), a panic of
haqumei is no Python exception, and the memory is not the server's this way. The process is
``kani.engines.kokoro.text.unspaced.dictionary_worker``; its standard input and output carry pickles: a
request ``tuple of texts`` is answered by ``("end", [result of each])`` or ``("failed", reason)``. It is
started by the first request, and again by the next one after it has ended.
"""

from __future__ import annotations

import atexit
import os
import pickle
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from kani.core.errors import EngineFailed
from kani.runtime.child_process import python_command
from kani_text.languages import english_name

ANSWER_TIMEOUT_S = 10.0
"""Longest time for one answer; a clause takes a millisecond, 10,000 characters 0.2 s."""

START_TIMEOUT_S = 60.0
"""Longest time to load a dictionary; it takes 0.6 s, and 1 s where haqumei unpacks its own."""


class Dictionary:
    """A language's dictionary; use :meth:`shared`. Safe to call from any thread, one request at a time."""

    _shared: ClassVar[dict[tuple[str, Path], Dictionary]] = {}
    _shared_lock = threading.Lock()

    @classmethod
    def shared(cls, language: str, cache_dir: Path) -> Dictionary:
        """Return this process' client; starts nothing. language: ``zh`` or ``ja``."""
        with cls._shared_lock:
            key = (language, cache_dir)
            if key not in cls._shared:
                cls._shared[key] = client = cls(language, cache_dir)
                atexit.register(client.close)
            return cls._shared[key]

    def __init__(self, language: str, cache_dir: Path) -> None:
        self._language = language
        # haqumei unpacks its dictionary into this variable's folder.
        self._environment = {**os.environ, "XDG_CACHE_HOME": str(cache_dir.absolute())}
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def look_up(self, texts: Sequence[str]) -> list[Any]:
        """Return the answer to each text: see ``dictionary_worker``. Blocks; raises EngineFailed."""
        if not texts:
            return []
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._start()
            return list(self._exchange(pickle.dumps(tuple(texts)), ANSWER_TIMEOUT_S))

    def close(self) -> None:
        """End the process; the next request starts another."""
        with self._lock:
            self._end()

    def _start(self) -> None:
        self._end()
        self._process = subprocess.Popen(  # noqa: S603 - our own code
            python_command("kani.engines.kokoro.text.unspaced.dictionary_worker", self._language),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._environment,
        )
        self._exchange(b"", START_TIMEOUT_S)

    def _exchange(self, sent: bytes, timeout_s: float) -> Any:
        """Write ``sent`` and return the answer. Raises EngineFailed, with the process ended."""
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        watchdog = threading.Timer(timeout_s, process.kill)
        watchdog.start()
        try:
            process.stdin.write(sent)
            process.stdin.flush()
            kind, content = pickle.load(process.stdout)  # noqa: S301 - our own process writes it
        except (EOFError, BrokenPipeError, pickle.UnpicklingError):
            kind, content = "failed", "its dictionary's process crashed or hung"
        finally:
            watchdog.cancel()
        if kind == "failed":
            self._end()
            raise EngineFailed(f"{english_name(self._language)} cannot be read: {content}")
        return content

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            # Buffered bytes for a process that has ended.
            with suppress(BrokenPipeError):
                pipe.close()  # type: ignore[union-attr]
