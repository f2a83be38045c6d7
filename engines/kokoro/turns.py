"""Who computes next, where several streams share the cores window by window."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


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
