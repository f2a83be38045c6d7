"""The buffer between an engine and its reader."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from kani.core.errors import EngineFailed, SpeechCancelled
from kani.core.session.playout_buffer import PlayoutBuffer
from kani.core.types import SpeechChunk


def second(value: float = 0.0) -> SpeechChunk:
    return SpeechChunk(np.full(1000, value, np.float32), 1000, 0.0)


async def test_writer_waits_from_high_to_low_water() -> None:
    buffer = PlayoutBuffer(4.0)
    for _ in range(4):
        await asyncio.wait_for(buffer.wait_writable(), 300)
        buffer.put(second())
    assert buffer.above_high_water
    waiting = asyncio.create_task(buffer.wait_writable())
    for _ in range(2):
        assert not waiting.done()
        await buffer.get()
        await asyncio.sleep(0)
    await asyncio.wait_for(waiting, 300)
    assert not buffer.above_high_water
    assert buffer.buffered_s == 2.0


async def test_reader_gets_chunks_before_first_error() -> None:
    buffer = PlayoutBuffer(4.0)
    buffer.put(second())
    buffer.close(EngineFailed("broken"))
    buffer.close(SpeechCancelled())
    assert await buffer.get() is not None
    with pytest.raises(EngineFailed):
        await buffer.get()


async def test_closed_buffer_keeps_returning_none() -> None:
    buffer = PlayoutBuffer(4.0)
    buffer.close()
    assert await buffer.get() is None
    assert await buffer.get() is None


async def test_discarded_buffer_drops_earlier_and_later_chunks() -> None:
    buffer = PlayoutBuffer(4.0)
    buffer.put(second())
    buffer.discard(SpeechCancelled())
    buffer.put(second())
    with pytest.raises(SpeechCancelled):
        await buffer.get()


async def test_put_wakes_waiting_reader() -> None:
    buffer = PlayoutBuffer(4.0)
    reader = asyncio.create_task(buffer.get())
    await asyncio.sleep(0)
    chunk = second(0.5)
    buffer.put(chunk)
    assert await asyncio.wait_for(reader, 300) is chunk
