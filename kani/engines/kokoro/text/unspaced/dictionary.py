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
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from kani.core.errors import EngineFailed
from kani.runtime.child_process import python_command
from kani.runtime.pickling_process import PicklingProcess, ProcessEnded
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
        environment = {**os.environ, "XDG_CACHE_HOME": str(cache_dir.absolute())}
        command = python_command("kani.engines.kokoro.text.unspaced.dictionary_worker", language)
        self._process = PicklingProcess(command, START_TIMEOUT_S, environment)
        self._lock = threading.Lock()

    def look_up(self, texts: Sequence[str]) -> list[Any]:
        """Return the answer to each text: see ``dictionary_worker``. Blocks; raises EngineFailed."""
        if not texts:
            return []
        with self._lock:
            try:
                kind, content = self._process.exchange(pickle.dumps(tuple(texts)), ANSWER_TIMEOUT_S)
            except ProcessEnded as error:
                kind, content = "failed", f"its dictionary {error}"
            if kind == "failed":
                self._process.close()
                raise EngineFailed(f"{english_name(self._language)} cannot be read: {content}")
            return list(content)

    def close(self) -> None:
        """End the process; the next request starts another."""
        with self._lock:
            self._process.close()
