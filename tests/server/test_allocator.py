"""Memory that was freed is the system's again."""

from __future__ import annotations

import asyncio
import ctypes
import platform
import sys
import threading

import psutil
import pytest

from kani.server.allocator import periodic_trim, trim_heap
from tests.support.patience import happens

BLOCK_BYTES = 64 * 1024
BLOCKS = 1600

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.libc_ver()[0] != "glibc", reason="only glibc keeps freed memory so"
)


def fragment() -> None:
    """Take 100 MiB in an arena of a thread and free it; a block in use after it keeps it from going back."""
    library = ctypes.CDLL(None)
    library.malloc.restype = ctypes.c_void_p
    library.malloc.argtypes = [ctypes.c_size_t]
    library.free.argtypes = [ctypes.c_void_p]

    def work() -> None:
        blocks = [library.malloc(BLOCK_BYTES) for _ in range(BLOCKS)]
        for block in blocks:
            ctypes.memset(block, 1, BLOCK_BYTES)
        for number, block in enumerate(blocks):
            if number % 100:
                library.free(block)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def resident() -> int:
    return int(psutil.Process().memory_info().rss)


def test_memory_freed_in_a_thread_is_returned() -> None:
    fragment()
    before = resident()
    trim_heap()
    assert before - resident() > BLOCKS * BLOCK_BYTES // 2


async def test_heap_is_trimmed_repeatedly() -> None:
    async with periodic_trim(0.01):
        fragment()
        before = resident()
        await happens(lambda: before - resident() >= BLOCKS * BLOCK_BYTES // 2)
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "allocator"]


async def test_heap_is_trimmed_once_it_has_grown() -> None:
    async with periodic_trim(interval_s=3600, look_every_s=0.01):
        # Let the trim at the start pass: its thread is done, and the next one an hour away.
        await asyncio.sleep(0.1)
        fragment()
        before = resident()
        await happens(lambda: before - resident() >= BLOCKS * BLOCK_BYTES // 2)
