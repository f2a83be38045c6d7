"""Returns freed memory to the system: glibc keeps it in the arenas of the threads that allocated it."""

import asyncio
import ctypes
import mmap
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

TRIM_EVERY_S = 60.0

LOOK_EVERY_S = 5.0
GROWTH_BYTES = 32 * 2**20
"""Growth at which the heap is trimmed at the next look: a crowd of uploads leaves more than 100 MiB of freed
memory between blocks in use."""


_M_ARENA_MAX = -8  # of malloc.h


def bound_heap() -> None:
    """Have all threads share one of glibc's arenas for each core, instead of eight.

    What one thread frees is used again by others. Mapping large blocks one by one would keep as little, but
    each recognition pass would get new pages for them: an eighth of its processor time.
    """
    _call_glibc("mallopt", _M_ARENA_MAX, os.cpu_count() or 1)


def trim_heap() -> None:
    """Return freed memory that lies between blocks in use to the system; does nothing without glibc.

    Takes some milliseconds, and threads that allocate may have to wait meanwhile.
    """
    _call_glibc("malloc_trim", 0)


def _call_glibc(name: str, *arguments: int) -> None:
    function = getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
    if function is not None:
        function(*arguments)


def resident_bytes() -> int:
    """Return the resident memory of this process in bytes; 0 where the system does not tell."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return 0
    return int(pages) * mmap.PAGESIZE


@asynccontextmanager
async def periodic_trim(
    interval_s: float = TRIM_EVERY_S, look_every_s: float = LOOK_EVERY_S
) -> AsyncIterator[None]:
    """Call ``bound_heap``, and ``trim_heap`` in a thread while the body runs: at once, every ``interval_s``
    seconds, and every ``look_every_s`` seconds while the process is ``GROWTH_BYTES`` larger than at the start
    of the interval.
    """

    async def repeat() -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.to_thread(trim_heap)
            end, limit = loop.time() + interval_s, resident_bytes() + GROWTH_BYTES
            while (left_s := end - loop.time()) > 0:
                await asyncio.sleep(min(left_s, look_every_s))
                if resident_bytes() > limit:
                    await asyncio.to_thread(trim_heap)

    bound_heap()
    trimming = asyncio.create_task(repeat(), name="allocator")
    try:
        yield
    finally:
        trimming.cancel()
        with suppress(asyncio.CancelledError):
            await trimming
