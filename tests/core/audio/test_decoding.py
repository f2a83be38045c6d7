"""Decoding runs in its own threads and blocks no other work."""

from __future__ import annotations

import asyncio
import threading

import pytest

from kani.core.audio.decoding import RECORDING_POOL, STREAM_POOL, THREADS_PER_POOL, run_in_pool


async def test_recordings_block_neither_streams_nor_other_work() -> None:
    going, done = threading.Event(), list[str]()
    busy = [asyncio.create_task(run_in_pool(RECORDING_POOL, going.wait)) for _ in range(THREADS_PER_POOL)]
    waiting = asyncio.create_task(run_in_pool(RECORDING_POOL, done.append, "recording"))
    given_up = asyncio.create_task(run_in_pool(RECORDING_POOL, done.append, "given up"))
    await run_in_pool(STREAM_POOL, done.append, "stream")
    await asyncio.to_thread(done.append, "other")
    given_up.cancel()
    await asyncio.wait([given_up])
    assert done == ["stream", "other"]
    going.set()
    await asyncio.gather(*busy, waiting)
    assert done == ["stream", "other", "recording"]


async def test_decoding_error_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        await run_in_pool(RECORDING_POOL, lambda: 1 // 0)
