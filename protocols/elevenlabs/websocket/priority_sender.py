"""The messages of a connection on their way out: those of superseded contexts behind all others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


def _never() -> bool:
    return False


class PrioritySender:
    """Sends messages in turn: Starlette's socket has one sender."""

    def __init__(self, send: Callable[[str], Awaitable[None]]) -> None:
        self._send = send
        self._sending = asyncio.Lock()
        self._ahead = 0
        self._none_ahead = asyncio.Event()
        self._none_ahead.set()

    async def send(self, message: str, low_priority: Callable[[], bool] = _never) -> None:
        """Send a message; as long as ``behind`` says so, only while no other is waiting to be sent."""
        while low_priority() and self._ahead:
            await self._none_ahead.wait()
        if low_priority():
            await self._write(message)
            return
        self._ahead += 1
        self._none_ahead.clear()
        try:
            await self._write(message)
        finally:
            self._ahead -= 1
            if not self._ahead:
                self._none_ahead.set()

    async def _write(self, message: str) -> None:
        async with self._sending:
            await self._send(message)
