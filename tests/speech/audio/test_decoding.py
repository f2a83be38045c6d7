"""Decoding has threads of its own: whatever clients send, nothing else waits behind it."""

from __future__ import annotations

import asyncio
import threading

import pytest

from speech.audio.decoding import AT_ONCE, RECORDINGS, STREAMS, in_turn


async def test_recordings_hold_up_neither_streams_nor_other_work() -> None:
    """While every thread for recordings is busy, the rest is done at once; one more recording waits."""
    going, done = threading.Event(), list[str]()
    busy = [asyncio.create_task(in_turn(RECORDINGS, going.wait)) for _ in range(AT_ONCE)]
    waiting = asyncio.create_task(in_turn(RECORDINGS, done.append, "recording"))
    given_up = asyncio.create_task(in_turn(RECORDINGS, done.append, "given up"))
    await in_turn(STREAMS, done.append, "stream")
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
        await in_turn(RECORDINGS, lambda: 1 // 0)
