"""Schedules the recognition passes of all streams and recordings over the worker threads."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


LONGEST_WAIT_S = 10.0
"""Seconds after which a background pass is treated like one of a stream: live ones are never without work."""

SPEECH_S = 10.0
"""Seconds for which recordings leave a core to speech that was asked for: who listens asks for more soon."""


class ScheduledStream(Generic[T]):
    """One stream in the queue; it has at most one pass waiting or running.

    urgent: whether live speech waits for this pass; may change while the pass waits.
    """

    def __init__(self, scheduler: PassScheduler[T], begin: Callable[[], Callable[[], T]]) -> None:
        """begin: called in the event loop when a worker is free; returns the work for its thread."""
        self.urgent = False
        self._scheduler = scheduler
        self._begin = begin
        # One that was never served counts from its opening: those that wait longer go first.
        self._last_served = scheduler._passes
        self._result: asyncio.Future[T] | None = None

    def request_pass(self) -> asyncio.Future[T]:
        """Queue a pass, and return its future result. The pass before must have ended."""
        self._result = asyncio.get_running_loop().create_future()
        self._scheduler._enqueue(self)
        return self._result

    def close(self) -> None:
        """Cancel the pass, and count the stream as live no longer."""
        self.cancel()
        self._scheduler._close(self)

    def cancel(self) -> None:
        """Cancel the pass. One that is running goes on in its thread, and its result is dropped."""
        if self._result is not None:
            self._result.cancel()
        self._scheduler._remove(self)

    def _start(self, number: int, pool: ThreadPoolExecutor) -> None:
        self._last_served = number
        asyncio.wrap_future(pool.submit(self._begin())).add_done_callback(self._ended)

    def _ended(self, job: asyncio.Future[T]) -> None:
        _hand_over(job, self._result)
        self._scheduler._pass_ended()


class BackgroundPass(Generic[T]):
    """One pass over a part of a recording, which waits for live streams."""

    def __init__(self, scheduler: PassScheduler[Any], work: Callable[[], T], *, waited_for: bool) -> None:
        self._scheduler = scheduler
        self._work = work
        self.waited_for = waited_for
        self.waits_since_s = scheduler._clock()
        """Time of the scheduler's clock."""
        self.result: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        """Result of ``work``; raises what it raises."""

    def cancel(self) -> None:
        """Cancel the pass. One that is running goes on in its thread, and its result is dropped."""
        self.result.cancel()
        # Retrieved, or asyncio logs the error as never retrieved.
        if self.result.done() and not self.result.cancelled():
            self.result.exception()
        self._scheduler._drop(self)

    def _start(self, pool: ThreadPoolExecutor) -> None:
        asyncio.wrap_future(pool.submit(self._work)).add_done_callback(self._ended)

    def _ended(self, job: asyncio.Future[T]) -> None:
        _hand_over(job, self.result)
        self._scheduler._background_ended()


def _hand_over(job: asyncio.Future[T], result: asyncio.Future[T] | None) -> None:
    """Give a job's result or error to what waits for it."""
    error = job.exception()
    if result is not None and not result.done():
        if error is None:
            result.set_result(job.result())
        else:
            result.set_exception(error)


class PassScheduler(Generic[T]):
    """Starts urgent passes first, then those of the stream that was served longest ago, then recordings'.

    While a stream is open, and for ten seconds after speech is asked for, one worker of several is kept free
    of recordings: their passes take up to some seconds, and neither a live pass nor the first sound waits for
    one or shares the last core with it. A pass that is waited for may take that worker. All streams belong to
    one event loop.
    """

    def __init__(self, workers: int, clock: Callable[[], float] = time.monotonic) -> None:
        """workers: threads, and passes at once; clock: in seconds."""
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="recognition")
        self._workers = self._free = workers
        self._clock = clock
        self._live: set[ScheduledStream[T]] = set()
        self._waiting: list[ScheduledStream[T]] = []
        self._background: list[BackgroundPass[Any]] = []
        self._background_running = 0
        self._passes = 0
        self._speech_until_s = -math.inf

    def add_stream(self, begin: Callable[[], Callable[[], T]]) -> ScheduledStream[T]:
        """Return the queue entry of a new stream, see ``ScheduledStream``; close it at the stream's end."""
        stream = ScheduledStream(self, begin)
        self._live.add(stream)
        return stream

    def run_in_background(self, work: Callable[[], R], *, waited_for: bool = False) -> BackgroundPass[R]:
        """Queue ``work`` after all live streams: in order, but what is ``waited_for`` before the rest."""
        one: BackgroundPass[R] = BackgroundPass(self, work, waited_for=waited_for)
        ahead = [other for other in self._background if other.waited_for or not waited_for]
        self._background.insert(len(ahead), one)
        self._start_waiting()
        return one

    def leave_core(self) -> None:
        """Keep a worker free of recordings for ``SPEECH_S`` from now on."""
        self._speech_until_s = self._clock() + SPEECH_S

    async def stop(self) -> None:
        """Return when no pass is running; no further pass may be requested."""
        await asyncio.to_thread(self._pool.shutdown)

    def _enqueue(self, stream: ScheduledStream[T]) -> None:
        self._waiting.append(stream)
        self._start_waiting()

    def _remove(self, stream: ScheduledStream[T]) -> None:
        if stream in self._waiting:
            self._waiting.remove(stream)

    def _close(self, stream: ScheduledStream[T]) -> None:
        self._live.discard(stream)
        self._start_waiting()

    def _drop(self, one: BackgroundPass[Any]) -> None:
        if one in self._background:
            self._background.remove(one)

    def _pass_ended(self) -> None:
        self._free += 1
        self._start_waiting()

    def _background_ended(self) -> None:
        self._background_running -= 1
        self._pass_ended()

    def _start_waiting(self) -> None:
        while self._free:
            stream = min(
                self._waiting, key=lambda stream: (not stream.urgent, stream._last_served), default=None
            )
            one = self._next_background()
            if one and (stream is None or (self._is_late(one) and not stream.urgent)):
                self._background.remove(one)
                self._background_running += 1
                one._start(self._pool)
            elif stream:
                self._waiting.remove(stream)
                self._passes += 1
                stream._start(self._passes, self._pool)
            else:
                break
            self._free -= 1

    def _next_background(self) -> BackgroundPass[Any] | None:
        """Return what has waited longest if that is late, or recordings would never be next; else the first.

        None if none may start now.
        """
        if not self._background:
            return None
        kept_free = 1 if self._workers > 1 and (self._live or self._clock() < self._speech_until_s) else 0
        first = self._background[0]  # those that are waited for stand first
        oldest = min(self._background, key=lambda one: one.waits_since_s)
        if self._background_running < self._workers - kept_free:
            if self._is_late(oldest):
                return oldest
            if self._free > kept_free:
                return first
        return first if first.waited_for else None

    def _is_late(self, one: BackgroundPass[Any]) -> bool:
        return self._clock() - one.waits_since_s >= LONGEST_WAIT_S
