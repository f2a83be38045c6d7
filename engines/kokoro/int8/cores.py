"""Core pool: a window is computed on one core, with a helper thread if another core is idle."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Generic, TypeVar

from engines.kokoro.network.onnx_model import ModelFailed

_Made = TypeVar("_Made")


class SharedTask(Generic[_Made]):
    """A computation offered to a helper thread; the caller does it itself if the helper has not begun."""

    def __init__(self, make: Callable[[], _Made], spare: ThreadPoolExecutor | None) -> None:
        self._make = make
        self._future: Future[_Made] | None = spare.submit(make) if spare else None

    def result(self) -> _Made:
        """The result, computed here if the helper has not begun. Raises what the computation raised."""
        if self._future is None or self._future.cancel():
            return self._make()
        return self._future.result()


class CorePool:
    """Counts busy cores and lends a helper thread where a core is idle. Windows never wait for a core."""

    def __init__(self, count: int) -> None:
        self._lock = threading.Lock()
        self._idle = count
        self._spares = [ThreadPoolExecutor(1, thread_name_prefix="kokoro-spare") for _ in range(count // 2)]

    @contextmanager
    def acquire(self) -> Iterator[ThreadPoolExecutor | None]:
        """Occupy a core while a window is computed; yields a helper thread if another core is idle.

        torch's errors become ModelFailed.
        """
        with self._lock:
            self._idle -= 1
            spare = self._spares.pop() if self._idle > 0 and self._spares else None
            self._idle -= spare is not None
        try:
            yield spare
        except (RuntimeError, MemoryError) as error:
            # Raised by torch, or by the system.
            raise ModelFailed(str(error)) from error
        finally:
            with self._lock:
                self._idle += 1
                if spare is not None:
                    self._idle += 1
                    self._spares.append(spare)

    def close(self) -> None:
        """End the helper threads; call it once nothing is computed."""
        for spare in self._spares:
            spare.shutdown()
