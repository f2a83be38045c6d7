"""Memory that was freed is the system's again."""

import asyncio
import ctypes
import platform
import sys
import threading

import psutil
import pytest

from kani.server import allocator
from kani.server.allocator import periodic_trim, trim_heap
from tests.support.patience import happens
from tests.support.programs import ran

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


SHARED = """
import ctypes
import os
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from kani.server.allocator import bound_heap

library = ctypes.CDLL(None)
library.malloc.restype = library.fdopen.restype = ctypes.c_void_p
library.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
library.fclose.argtypes = [ctypes.c_void_p]
bound_heap()
threads = 4 * os.cpu_count()
together = Barrier(threads)
with ThreadPoolExecutor(threads) as pool:
    list(pool.map(lambda _: (together.wait(), library.malloc(2**16), together.wait()), range(threads)))
read, write = os.pipe()
report = library.fdopen(write, b"w")
library.malloc_info(0, report)
library.fclose(report)
with os.fdopen(read) as info:
    print(info.read().count("<heap"), os.cpu_count())
"""


def test_threads_share_as_many_arenas_as_there_are_cores() -> None:
    arenas, cores = ran(sys.executable, "-c", SHARED).stdout.split()
    assert int(arenas) <= int(cores)


async def trimmed() -> None:
    """Return once the memory of ``fragment`` is the system's again."""
    before = resident()
    fragment()
    await happens(lambda: resident() - before < BLOCKS * BLOCK_BYTES // 2)


async def test_heap_is_trimmed_repeatedly() -> None:
    async with periodic_trim(0.01):
        await trimmed()
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "allocator"]


async def test_heap_is_trimmed_once_it_has_grown(monkeypatch: pytest.MonkeyPatch) -> None:
    looked, look = asyncio.Event(), allocator.resident_bytes

    def noted() -> int:
        looked.set()
        return look()

    monkeypatch.setattr(allocator, "resident_bytes", noted)
    async with periodic_trim(interval_s=3600, look_every_s=0.01):
        # The trim at the start is done then, and the next one an hour away.
        await looked.wait()
        await trimmed()
