"""The part of the event loop's processor time that the packets of calls may take."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import ClassVar
from weakref import WeakSet

CALLS_SHARE, LEAST_CALLS = 0.8, 6
"""Part of the event loop's processor time that the packets of all calls may take, and among how many calls it
is divided at least. The audio of one takes 0.009."""

BURST_S = 0.25
"""Processor time that a call may take at once: a megabyte of events."""


class ProcessorShare:
    """Processor time of the event loop that the packets of one call may take."""

    _open: ClassVar[WeakSet[ProcessorShare]] = WeakSet()

    def __init__(self) -> None:
        self._left = BURST_S
        self._filled_at = time.monotonic()
        self._begun: float | None = None
        self._open.add(self)

    def close(self) -> None:
        self._open.discard(self)

    def begin(self) -> None:
        """Begin to work for the call, until the next ``rest``."""
        self._begun = time.thread_time()

    async def rest(self, after: float = 0.0) -> None:
        """Let others go on after ``after`` seconds of work, and wait once the call had its share."""
        used = 0.0 if self._begun is None else time.thread_time() - self._begun
        if used < after:
            return
        self._left -= used
        await asyncio.sleep(self._wait_s())
        self.begin()

    def do(self, work: Callable[[], None]) -> None:
        """Do what cannot wait, or nothing if the call had its share."""
        if self._wait_s():
            return
        begun = time.thread_time()
        try:
            work()
        finally:
            self._left -= time.thread_time() - begun

    def _wait_s(self) -> float:
        now, share = time.monotonic(), CALLS_SHARE / max(LEAST_CALLS, len(self._open))
        self._left = min(BURST_S, self._left + share * (now - self._filled_at))
        self._filled_at = now
        return max(0.0, -self._left / share)
