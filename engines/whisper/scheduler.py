"""Who listens next: the streams of a recogniser share its workers pass by pass."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")


class ScheduledStream(Generic[T]):
    """One stream's place among the others. It has at most one pass waiting or under way.

    urgent: whether somebody waits for this very pass; may change while it waits.
    """

    def __init__(self, turns: PassScheduler[T], begin: Callable[[], Callable[[], T]]) -> None:
        """``begin`` is called when the turn has come, in the event loop; what it returns is done."""
        self.urgent = False
        self._turns = turns
        self._begin = begin
        self._served = 0
        self._asked: asyncio.Future[T] | None = None

    def request_pass(self) -> asyncio.Future[T]:
        """A turn, in turn; what comes of it. Must not be called before the last one has ended."""
        self._asked = asyncio.get_running_loop().create_future()
        self._turns._ask(self)
        return self._asked

    def cancel(self) -> None:
        """Give up the turn, if one is waited for. A pass under way is done in vain."""
        if self._asked is not None:
            self._asked.cancel()
        self._turns._leave(self)

    def _start(self, turn: int, pool: ThreadPoolExecutor) -> None:
        self._served = turn
        asyncio.wrap_future(pool.submit(self._begin())).add_done_callback(self._ended)

    def _ended(self, job: asyncio.Future[T]) -> None:
        error = job.exception()
        if self._asked is not None and not self._asked.done():
            if error is None:
                self._asked.set_result(job.result())
            else:
                self._asked.set_exception(error)
        self._turns._ended()


class PassScheduler(Generic[T]):
    """Gives turns: first to what is urgent, and then to whoever was served longest ago.

    All places belong to one event loop.
    """

    def __init__(self, workers: int) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="listening")
        self._free = workers
        self._waiting: list[ScheduledStream[T]] = []
        self._turn = 0

    def add_stream(self, begin: Callable[[], Callable[[], T]]) -> ScheduledStream[T]:
        """A place for one more stream; see ``Place``."""
        return ScheduledStream(self, begin)

    async def stop(self) -> None:
        """Return when no pass is under way any more; none may be asked for then."""
        await asyncio.to_thread(self._pool.shutdown)

    def _ask(self, place: ScheduledStream[T]) -> None:
        self._waiting.append(place)
        self._hand_on()

    def _leave(self, place: ScheduledStream[T]) -> None:
        if place in self._waiting:
            self._waiting.remove(place)

    def _ended(self) -> None:
        self._free += 1
        self._hand_on()

    def _hand_on(self) -> None:
        while self._waiting and self._free:
            place = min(self._waiting, key=lambda place: (not place.urgent, place._served))
            self._waiting.remove(place)
            self._turn += 1
            self._free -= 1
            place._start(self._turn, self._pool)
