"""Tasks that wait for a place by their deadline, and keep it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager

from tests.support.event_loop import settle

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
