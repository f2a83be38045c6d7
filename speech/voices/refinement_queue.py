"""Voices that become better while nobody waits: one embedding after the other, behind everybody's speech."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from speech.errors import SpeechError, UnknownVoice

log = logging.getLogger(__name__)

MAX_WAITING = 256
"""How many wait to be refined; what is asked for beyond is done when it is asked for again."""


MAX_REMEMBERED = 4096
"""Of so many it is known that they were refined, and need not be again."""

JobKey = tuple[str, str, str]
"""What is refined: the sound, the model that puts it in numbers, and the language."""


class RefinementQueue:
    """Does one thing after the other in the background, each once, as long as it is wanted."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[JobKey, Callable[[], Awaitable[None]]] = OrderedDict()
        self._done: OrderedDict[JobKey, None] = OrderedDict()
        self._under_way: JobKey | None = None
        self._stopped = False
        self._work: asyncio.Task[None] | None = None
        self._worker: asyncio.Task[None] | None = None

    def submit(self, name: JobKey, work: Callable[[], Awaitable[None]]) -> None:
        """Do ``work`` some time, unless what is named so waits, is under way, or was done already."""
        if self._stopped or len(self._waiting) >= MAX_WAITING:
            return
        if name == self._under_way or name in self._waiting or name in self._done:
            return
        self._waiting[name] = work
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._run(), name="refinement")

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def is_pending(self, sound: str, model: str) -> bool:
        """Whether anything of it waits or is under way."""
        names = (*self._waiting, *filter(None, [self._under_way]))
        return any(name[:2] == (sound, model) for name in names)

    async def forget(self, sounds: str) -> None:
        """Do nothing more with what is called so, or begins so; returns once nothing of it is under way."""
        for known in (self._waiting, self._done):
            for name in [name for name in known if name[0].startswith(sounds)]:
                del known[name]
        if self._under_way is not None and self._under_way[0].startswith(sounds):
            await self._end_work()

    async def stop(self) -> None:
        """End all of it, and begin nothing any more."""
        self._stopped = True
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
                self._ended(name, self._work)
            finally:
                self._under_way = None

    def _ended(self, name: JobKey, work: asyncio.Task[None]) -> None:
        if work.cancelled():
            return
        match work.exception():
            case None:
                self._done[name] = None
                while len(self._done) > MAX_REMEMBERED:
                    self._done.popitem(last=False)
            case UnknownVoice():
                # It was deleted meanwhile; its name is nobody's affair.
                pass
            case SpeechError() | OSError() as error:
                log.warning("a voice was not refined: %s", error)
            case error:
                log.error("a voice was not refined", exc_info=error)


async def _awaited(work: Callable[[], Awaitable[None]]) -> None:
    await work()
