"""Memory that was freed goes back to the system: glibc keeps it in the arenas of the threads that had it."""

from __future__ import annotations

import asyncio
import ctypes
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

TRIM_EVERY_S = 60.0


def trim_heap() -> None:
    """Give back what was freed and lies between what is in use; nothing where the C library is another one.

    It takes some milliseconds, in which threads that allocate may have to wait.
    """
    give_back = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if give_back is not None:
        give_back(0)


@asynccontextmanager
async def periodic_trim(interval_s: float = TRIM_EVERY_S) -> AsyncIterator[None]:
    """While the body runs, ``trim`` each ``every_s`` seconds, beside the event loop."""

    async def trim_again() -> None:
        while True:
            await asyncio.sleep(interval_s)
            await asyncio.to_thread(trim_heap)

    trimming = asyncio.create_task(trim_again(), name="allocator")
    try:
        yield
    finally:
        trimming.cancel()
        with suppress(asyncio.CancelledError):
            await trimming
