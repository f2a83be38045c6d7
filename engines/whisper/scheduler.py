"""Schedules the recognition passes of all streams over the worker threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")


class ScheduledStream(Generic[T]):
    """One stream in the queue; it has at most one pass waiting or running.

    urgent: whether live speech waits for this pass; may change while the pass waits.
    """

    def __init__(self, scheduler: PassScheduler[T], begin: Callable[[], Callable[[], T]]) -> None:
        """begin: called in the event loop when a worker is free; returns the work for its thread."""
        self.urgent = False
        self._scheduler = scheduler
        self._begin = begin
        self._last_served = 0
        self._result: asyncio.Future[T] | None = None

    def request_pass(self) -> asyncio.Future[T]:
        """Queue a pass, and return its future result. The pass before must have ended."""
        self._result = asyncio.get_running_loop().create_future()
        self._scheduler._enqueue(self)
        return self._result

    def cancel(self) -> None:
        """Cancel the pass. One that is running goes on in its thread, and its result is dropped."""
        if self._result is not None:
            self._result.cancel()
        self._scheduler._remove(self)

    def _start(self, number: int, pool: ThreadPoolExecutor) -> None:
        self._last_served = number
        asyncio.wrap_future(pool.submit(self._begin())).add_done_callback(self._ended)

    def _ended(self, job: asyncio.Future[T]) -> None:
        error = job.exception()
        if self._result is not None and not self._result.done():
            if error is None:
                self._result.set_result(job.result())
            else:
                self._result.set_exception(error)
        self._scheduler._pass_ended()


class PassScheduler(Generic[T]):
    """Starts urgent passes first, and then those of the stream that was served longest ago.

    All streams belong to one event loop.
    """

    def __init__(self, workers: int) -> None:
        """workers: threads, and passes at once."""
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="whisper")
        self._free = workers
        self._waiting: list[ScheduledStream[T]] = []
        self._passes = 0

    def add_stream(self, begin: Callable[[], Callable[[], T]]) -> ScheduledStream[T]:
        """Return the queue entry of a new stream, see ``ScheduledStream``."""
        return ScheduledStream(self, begin)

    async def stop(self) -> None:
        """Return when no pass is running; no further pass may be requested."""
        await asyncio.to_thread(self._pool.shutdown)

    def _enqueue(self, stream: ScheduledStream[T]) -> None:
        self._waiting.append(stream)
        self._start_waiting()

    def _remove(self, stream: ScheduledStream[T]) -> None:
        if stream in self._waiting:
            self._waiting.remove(stream)

    def _pass_ended(self) -> None:
        self._free += 1
        self._start_waiting()

    def _start_waiting(self) -> None:
        while self._waiting and self._free:
            stream = min(self._waiting, key=lambda stream: (not stream.urgent, stream._last_served))
            self._waiting.remove(stream)
            self._passes += 1
            self._free -= 1
            stream._start(self._passes, self._pool)
