"""Core pool: a window is computed on one core, with a helper thread if another core is idle."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Generic, TypeVar

from kani.engines.kokoro.network.onnx_model import ModelFailed

_Result = TypeVar("_Result")


class SharedTask(Generic[_Result]):
    """A computation offered to a helper thread; the caller does it itself if the helper has not begun."""

    def __init__(self, compute: Callable[[], _Result], helper: ThreadPoolExecutor | None) -> None:
        self._compute = compute
        self._future: Future[_Result] | None = helper.submit(compute) if helper else None

    def result(self) -> _Result:
        """The result, computed here if the helper has not begun. Raises what the computation raised."""
        if self._future is None or self._future.cancel():
            return self._compute()
        return self._future.result()


class CorePool:
    """Counts busy cores and lends a helper thread where a core is idle. Windows never wait for a core."""

    def __init__(self, count: int) -> None:
        self._lock = threading.Lock()
        self._idle = count
        self._helpers = [ThreadPoolExecutor(1, thread_name_prefix="kokoro-helper") for _ in range(count // 2)]
        self.ahead = ThreadPoolExecutor(1, "kokoro-ahead") if count > 1 else None
        """Computes what the next windows need while cores are busy; None on a single core."""

    @contextmanager
    def acquire(self) -> Iterator[ThreadPoolExecutor | None]:
        """Occupy a core while a window is computed; yields a helper thread if another core is idle.

        Errors of the libraries that compute become ModelFailed.
        """
        with self._lock:
            self._idle -= 1
            helper = self._helpers.pop() if self._idle > 0 and self._helpers else None
            self._idle -= helper is not None
        try:
            yield helper
        except (RuntimeError, MemoryError) as error:
            # Raised by LiteRT, or by the system.
            raise ModelFailed(str(error)) from error
        finally:
            with self._lock:
                self._idle += 1
                if helper is not None:
                    self._idle += 1
                    self._helpers.append(helper)

    def close(self) -> None:
        """End the helper threads; call it once nothing is computed."""
        for helper in self._helpers:
            helper.shutdown()
        if self.ahead is not None:
            self.ahead.shutdown()
