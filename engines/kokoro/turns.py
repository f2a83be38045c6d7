"""Who computes next, where several streams share the cores window by window."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class Playback:
    """How long the audio lasts that a stream's listener has got, who plays it as it comes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: float | None = None

    def add(self, seconds: float) -> None:
        """So much more audio has just been made."""
        if seconds or self._until is not None:
            self._until = max(self._until or 0.0, self._clock()) + seconds

    @property
    def due(self) -> float:
        """When there is nothing left to hear, on the clock; −∞ while there has been nothing."""
        return float("-inf") if self._until is None else self._until

    @property
    def left_s(self) -> float:
        """Seconds until then, below 0 afterwards; −∞ while there has been nothing."""
        return self.due - self._clock()


class Turns:
    """Lets so many steps be computed at once; of those that wait, the one that is due first is next.

    So who has heard nothing yet comes before everybody else, and a long text that is far ahead of its
    listener last. Steps that are equally due take turns.
    """

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._asked = 0

    @asynccontextmanager
    async def turn(self, due: float) -> AsyncIterator[None]:
        """A turn to compute one step, which is due at that time (of any clock)."""
        if self._free:
            self._free -= 1
        else:
            ours: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._asked += 1
            heapq.heappush(self._waiting, (due, self._asked, ours))
            try:
                await ours
            except asyncio.CancelledError:
                if ours.done() and not ours.cancelled():
                    # The turn was handed over in the same loop step in which we were cancelled.
                    self._hand_on()
                raise
        try:
            yield
        finally:
            self._hand_on()

    def _hand_on(self) -> None:
        while self._waiting:
            _, _, theirs = heapq.heappop(self._waiting)
            # One that was cancelled while it waited lies here until its turn would have come.
            if not theirs.done():
                theirs.set_result(None)
                return
        self._free += 1
