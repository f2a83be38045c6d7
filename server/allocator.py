"""Returns freed memory to the system: glibc keeps it in the arenas of the threads that allocated it."""

from __future__ import annotations

import asyncio
import ctypes
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

TRIM_EVERY_S = 60.0


def trim_heap() -> None:
    """Return freed memory that lies between blocks in use to the system; does nothing without glibc.

    Takes some milliseconds, in which threads that allocate may have to wait.
    """
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if malloc_trim is not None:
        malloc_trim(0)


@asynccontextmanager
async def periodic_trim(interval_s: float = TRIM_EVERY_S) -> AsyncIterator[None]:
    """Call ``trim_heap`` in a thread at once and every ``interval_s`` seconds while the body runs."""

    async def repeat() -> None:
        while True:
            await asyncio.to_thread(trim_heap)
            await asyncio.sleep(interval_s)

    trimming = asyncio.create_task(repeat(), name="allocator")
    try:
        yield
    finally:
        trimming.cancel()
        with suppress(asyncio.CancelledError):
            await trimming
