"""Who computes where: a window takes one core, and a second one only where one is idle."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Generic, TypeVar

from engines.kokoro.network.onnx_model import ModelFailed

_Made = TypeVar("_Made")


class SharedTask(Generic[_Made]):
    """Something to be made: by a spare thread, if it comes to it before the one who needs it does."""

    def __init__(self, make: Callable[[], _Made], spare: ThreadPoolExecutor | None) -> None:
        self._make = make
        self._future: Future[_Made] | None = spare.submit(make) if spare else None

    def result(self) -> _Made:
        """What was made; made here and now if nobody has begun it. Raises what making it raised."""
        if self._future is None or self._future.cancel():
            return self._make()
        return self._future.result()


class CorePool:
    """The cores that windows are computed on. Nobody waits for one; who helps has one that would be idle."""

    def __init__(self, count: int) -> None:
        self._lock = threading.Lock()
        self._idle = count
        self._spares = [ThreadPoolExecutor(1, thread_name_prefix="kokoro-spare") for _ in range(count // 2)]

    @contextmanager
    def acquire(self) -> Iterator[ThreadPoolExecutor | None]:
        """While it lasts a window is computed here; gives one who helps, where a core is idle by then.

        What torch fails at becomes ModelFailed.
        """
        with self._lock:
            self._idle -= 1
            spare = self._spares.pop() if self._idle > 0 and self._spares else None
            self._idle -= spare is not None
        try:
            yield spare
        except (RuntimeError, MemoryError) as error:
            # torch's, or the system's.
            raise ModelFailed(str(error)) from error
        finally:
            with self._lock:
                self._idle += 1
                if spare is not None:
                    self._idle += 1
                    self._spares.append(spare)

    def close(self) -> None:
        """End the threads; nothing is being computed any more."""
        for spare in self._spares:
            spare.shutdown()
