"""Voices that become better while nobody waits: one embedding after the other, behind everybody's speech."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from speech.errors import SpeechError

log = logging.getLogger(__name__)

MOST_WAITING = 256
"""How many wait to be refined; what is asked for beyond is done when it is asked for again."""


class Refinement:
    """Does one thing after the other in the background, each once, as long as it is wanted."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[tuple[str, ...], Callable[[], Awaitable[None]]] = OrderedDict()
        self._under_way: tuple[str, ...] | None = None
        self._work: asyncio.Task[None] | None = None
        self._worker: asyncio.Task[None] | None = None

    def ask(self, name: tuple[str, ...], work: Callable[[], Awaitable[None]]) -> None:
        """Do ``work`` some time, unless what is named so waits or is under way already."""
        if name == self._under_way or name in self._waiting or len(self._waiting) >= MOST_WAITING:
            return
        self._waiting[name] = work
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._run(), name="refinement")

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def has(self, first: str) -> bool:
        """Whether anything waits or is under way whose name begins so."""
        return any(name[0] == first for name in (*self._waiting, *filter(None, [self._under_way])))

    async def forget(self, first: str) -> None:
        """Do nothing more whose name begins so; returns once nothing of it is under way."""
        for name in [name for name in self._waiting if name[0] == first]:
            del self._waiting[name]
        if self._under_way is not None and self._under_way[0] == first:
            await self._end_work()

    async def stop(self) -> None:
        """End all of it."""
        self._waiting.clear()
        await self._end_work()
        if self._worker is not None:
            await asyncio.wait([self._worker])

    async def _end_work(self) -> None:
        if self._work is not None and not self._work.done():
            self._work.cancel()
            await asyncio.wait([self._work])

    async def _run(self) -> None:
        while self._waiting:
            name, work = self._waiting.popitem(last=False)
            self._under_way = name
            self._work = asyncio.create_task(_awaited(work), name=f"refinement of {name[0]}")
            try:
                await asyncio.wait([self._work])
                if not self._work.cancelled() and (error := self._work.exception()) is not None:
                    level = logging.WARNING if isinstance(error, SpeechError | OSError) else logging.ERROR
                    log.log(level, "a voice was not refined: %s", error, exc_info=level > logging.WARNING)
            finally:
                self._under_way = None


async def _awaited(work: Callable[[], Awaitable[None]]) -> None:
    await work()
