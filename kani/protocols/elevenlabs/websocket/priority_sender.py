"""Outgoing messages of a connection: those of superseded contexts after all others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


def _never() -> bool:
    return False


class PrioritySender:
    """Sends messages one at a time: Starlette's WebSocket supports a single sender."""

    def __init__(self, send: Callable[[str], Awaitable[None]]) -> None:
        self._send = send
        self._lock = asyncio.Lock()
        self._waiting = 0  # messages of normal priority that are not sent yet
        self._none_waiting = asyncio.Event()
        self._none_waiting.set()

    async def send(
        self, message: str, low_priority: Callable[[], bool] = _never, dropped: Callable[[], bool] = _never
    ) -> None:
        """Send a message; while ``low_priority()`` is true, it waits for all other messages.

        It is dropped if ``dropped()`` is true when its turn has come.
        """
        while low_priority() and self._waiting:
            await self._none_waiting.wait()
        if low_priority():
            await self._write(message, dropped)
            return
        self._waiting += 1
        self._none_waiting.clear()
        try:
            await self._write(message, dropped)
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._none_waiting.set()

    async def _write(self, message: str, dropped: Callable[[], bool]) -> None:
        async with self._lock:
            if not dropped():
                await self._send(message)
