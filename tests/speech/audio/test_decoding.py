"""Decoding has threads of its own: whatever clients send, nothing else waits behind it."""

from __future__ import annotations

import asyncio
import threading

import pytest

from speech.audio.decoding import RECORDING_POOL, STREAM_POOL, THREADS_PER_POOL, run_in_pool


async def test_recordings_hold_up_neither_streams_nor_other_work() -> None:
    """While every thread for recordings is busy, the rest is done at once; one more recording waits."""
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


async def test_what_decoding_raises_comes_through() -> None:
    """An error is the caller's."""
    with pytest.raises(ZeroDivisionError):
        await run_in_pool(RECORDING_POOL, lambda: 1 // 0)
