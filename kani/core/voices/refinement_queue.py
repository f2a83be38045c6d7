"""Background queue that refines embeddings one after the other."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any

from kani.core.errors import SpeechError, UnknownVoice
from kani.core.recent import Recent

log = logging.getLogger(__name__)

MAX_WAITING = 256
"""Queued refinements at most; a dropped one is queued again at the next request for it."""


MAX_REMEMBERED = 4096
"""Remember at most this many finished refinements, which are not repeated."""

Work = Callable[[], Coroutine[Any, Any, None]]

JobKey = tuple[str, str, str]
"""The key of the sound, the embedding model, and the language."""


class RefinementQueue:
    """Runs queued jobs one after the other in the background, each key once."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[JobKey, Work] = OrderedDict()
        self._done: Recent[JobKey, None] = Recent(MAX_REMEMBERED)
        self._running: JobKey | None = None
        self._stopped = False
        self._task: asyncio.Task[None] | None = None
        self._worker: asyncio.Task[None] | None = None

    def submit(self, name: JobKey, work: Work) -> None:
        """Queue ``work`` unless the job of this key is queued, running, or done."""
        if self._stopped or len(self._waiting) >= MAX_WAITING:
            return
        if name == self._running or name in self._waiting or name in self._done:
            return
        self._waiting[name] = work
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._run(), name="refinement")

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def is_pending(self, sound: str, model: str) -> bool:
        """Check if any job of this sound and model is queued or running."""
        names = (*self._waiting, *filter(None, [self._running]))
        return any(name[:2] == (sound, model) for name in names)

    async def forget(self, prefix: str) -> None:
        """Drop the jobs of sound keys that begin with ``prefix``; returns once none of them is running."""
        for known in (self._waiting, self._done):
            for name in [name for name in known if name[0].startswith(prefix)]:
                del known[name]
        if self._running is not None and self._running[0].startswith(prefix):
            await self._cancel_running()

    async def stop(self) -> None:
        """End the running job, drop the queued ones, and refuse new ones."""
        self._stopped = True
        self._waiting.clear()
        await self._cancel_running()
        if self._worker is not None:
            await asyncio.wait([self._worker])

    async def _cancel_running(self) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while self._waiting:
            name, work = self._waiting.popitem(last=False)
            self._running = name
            self._task = asyncio.create_task(work(), name=f"refinement of {name[0]}")
            try:
                await asyncio.wait([self._task])
                self._finished(name, self._task)
            finally:
                self._running = None

    def _finished(self, name: JobKey, work: asyncio.Task[None]) -> None:
        if work.cancelled():
            return
        match work.exception():
            case None:
                self._done.keep(name, None)
            case UnknownVoice():
                # The voice was deleted meanwhile; its name belongs in no log.
                pass
            case SpeechError() | OSError() as error:
                log.warning("refinement of a voice failed: %s", error)
            case error:
                log.error("refinement of a voice failed", exc_info=error)
