"""The buffer between an engine and its reader."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from speech.errors import EngineFailed, SpeechCancelled
from speech.session.playout_buffer import PlayoutBuffer
from speech.types import SpeechChunk


def second(value: float = 0.0) -> SpeechChunk:
    """A second of audio."""
    return SpeechChunk(np.full(1000, value, np.float32), 1000, 0.0)


async def test_the_writer_waits_at_high_water_and_goes_on_at_low_water() -> None:
    """Full at the limit; room again when half is taken."""
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


async def test_what_was_put_comes_before_the_end_and_the_error() -> None:
    """Chunks that are there are delivered first, then the error the writer closed with."""
    buffer = PlayoutBuffer(4.0)
    buffer.put(second())
    buffer.close(EngineFailed("broken"))
    buffer.close(SpeechCancelled())
    assert await buffer.get() is not None
    with pytest.raises(EngineFailed):
        await buffer.get()


async def test_the_end_is_none_for_ever() -> None:
    """After a clean close there is nothing, however often one asks."""
    buffer = PlayoutBuffer(4.0)
    buffer.close()
    assert await buffer.get() is None
    assert await buffer.get() is None


async def test_a_discarded_buffer_forgets_and_takes_nothing() -> None:
    """A cancel is heard at once: what lay in the buffer is gone, and what comes later too."""
    buffer = PlayoutBuffer(4.0)
    buffer.put(second())
    buffer.discard(SpeechCancelled())
    buffer.put(second())
    with pytest.raises(SpeechCancelled):
        await buffer.get()


async def test_a_reader_that_waits_is_woken() -> None:
    """A reader that came first gets the chunk when it is put."""
    buffer = PlayoutBuffer(4.0)
    reader = asyncio.create_task(buffer.get())
    await asyncio.sleep(0)
    chunk = second(0.5)
    buffer.put(chunk)
    assert await asyncio.wait_for(reader, 300) is chunk
