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


MAPPED = """
import ctypes
from kani.server.allocator import MAPPED_BYTES, bound_heap
library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p
library.free.argtypes = library.malloc.argtypes = [ctypes.c_size_t]
library.mallinfo2.restype = type("Mallinfo2", (ctypes.Structure,), {"_fields_": [("", ctypes.c_size_t * 10)]})
bound_heap()
library.free(library.malloc(5 * MAPPED_BYTES))  # glibc's own limit becomes as large
before = bytes(library.mallinfo2())
library.malloc(MAPPED_BYTES)
print(*(int.from_bytes(found[24:32], "little") for found in (before, bytes(library.mallinfo2()))))
"""


def test_large_blocks_are_mapped_one_by_one() -> None:
    before, after = ran(sys.executable, "-c", MAPPED).stdout.split()
    assert int(after) == int(before) + 1


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
