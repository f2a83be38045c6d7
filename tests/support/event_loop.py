"""Stepping the event loop in tests, its clock, and tasks that wait for a place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any


async def settle() -> None:
    """Let every task run as far as it can."""
    for _ in range(30):
        await asyncio.sleep(0)


class Idleness:
    """Counts how often the running loop had nothing to do and waited."""

    def __init__(self) -> None:
        self.waits = 0
        self._loop: Any = asyncio.get_running_loop()
        self._select = self._loop._selector.select
        self._loop._selector.select = self._counted

    def _counted(self, timeout: float | None) -> list[Any]:
        self.waits += timeout is None or timeout > 0
        return list(self._select(timeout))

    def stop(self) -> int:
        """Return the count, and end it."""
        del self._loop._selector.select
        return self.waits


@contextmanager
def virtual_time() -> Iterator[None]:
    """Inside, the running loop waits for no timer: its clock jumps to the next one that is due.

    The clock stands still otherwise, also while jobs of ``run_in_executor`` run.
    """
    loop: Any = asyncio.get_running_loop()
    now, jobs = loop.time(), set[asyncio.Future[Any]]()
    select, submit = loop._selector.select, loop.run_in_executor

    def jump(timeout: float | None) -> list[Any]:
        nonlocal now
        if timeout is None or jobs:
            return list(select(None if jobs and timeout else timeout))
        events = list(select(0))
        now += 0 if events else timeout
        return events

    def submitted(*arguments: Any) -> asyncio.Future[Any]:
        job = submit(*arguments)
        jobs.add(job)
        job.add_done_callback(jobs.discard)
        return job  # type: ignore[no-any-return]

    loop.time, loop._selector.select, loop.run_in_executor = lambda: now, jump, submitted
    try:
        yield
    finally:
        del loop.time, loop._selector.select, loop.run_in_executor


Place = Callable[[float], AbstractAsyncContextManager[object]]
"""Waits for a place that is due at a time; has it inside."""


class Holder:
    """Waits for a place, appends itself to ``log`` when it has it, and keeps it until ``ended`` is set."""

    def __init__(self, place: Place, due: float, log: list[Holder]) -> None:
        self.due = due
        self.has_place = False
        self.began, self.ended = asyncio.Event(), asyncio.Event()
        self._place, self._log = place, log
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async with self._place(self.due):
            self.has_place = True
            self.began.set()
            self._log.append(self)
            try:
                await self.ended.wait()
            finally:
                self.has_place = False

    async def leave(self) -> None:
        assert self.has_place
        self.ended.set()
        await self.task
        await settle()

    async def cancel(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])
        await settle()


async def holders(place: Place, dues: Iterable[float], log: list[Holder]) -> list[Holder]:
    """Start one for each time; each is there before the next."""
    made = []
    for due in dues:
        made.append(Holder(place, due, log))
        await settle()
    return made
