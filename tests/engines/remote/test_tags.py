"""Messages with tags: what a machine between a server and a worker does to them is noticed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from kani.core.errors import EngineFailed
from kani.core.types import SpeechChunk
from kani.engines.remote.address import Address
from kani.engines.remote.messages import Ended
from kani.engines.remote.tags import TAG_BYTES, Tags
from kani.engines.worker.service import Worker
from tests.engines.remote.test_remote import engine_of, segment, until, working
from tests.support.tone import ToneEngine

TEXT = "uno dos tres cuatro"
CHANGED = "a message that the peer has not sent in this place"
LENGTH_BYTES = 4

UNCHANGED = {"server": 2, "worker": 4}
"""Frames that pass: the handshake, and of a worker its description and the first audio."""

Change = Callable[[list[bytes]], list[bytes]]
"""Makes frames of some; an empty list while more of them are needed."""


def flip(frame: bytes) -> bytes:
    """Change the last bit of the message, before its tag."""
    message, tag = bytearray(frame[:-TAG_BYTES]), frame[-TAG_BYTES:]
    message[-1] ^= 1
    return bytes(message) + tag


CHANGES: dict[str, Change] = {
    "changed": lambda frames: [flip(frames[0])],
    "repeated": lambda frames: [frames[0], frames[0]],
    "dropped": lambda frames: frames[1:2],
    "moved": lambda frames: frames[1::-1] if len(frames) > 1 else [],
    "added": lambda frames: [msgspec.msgpack.encode(Ended(1)) + bytes(TAG_BYTES), *frames],
    "without a tag": lambda frames: [frames[0][:-TAG_BYTES]],
    "shorter than a tag": lambda frames: [b""],
}


class Between:
    """A machine between a server and a worker, which changes frames of the first connection once."""

    def __init__(self, worker: Address, side: str, change: Change) -> None:
        self._worker = worker
        self._side = side
        self._change: Change | None = change
        self._pumps: list[asyncio.Task[None]] = []

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        worker_reader, worker_writer = await asyncio.open_connection(self._worker.host, self._worker.port)
        self._pumps.append(asyncio.create_task(self._pump("server", reader, worker_writer)))
        self._pumps.append(asyncio.create_task(self._pump("worker", worker_reader, writer)))

    async def _pump(self, side: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passed, held = 0, list[bytes]()
        try:
            while True:
                length = int.from_bytes(await reader.readexactly(LENGTH_BYTES), "big")
                frames = [await reader.readexactly(length)]
                passed += 1
                if self._change is not None and side == self._side and passed > UNCHANGED[side]:
                    held += frames
                    if frames := self._change(held):
                        self._change = None
                for frame in frames:
                    writer.write(len(frame).to_bytes(LENGTH_BYTES, "big") + frame)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


@asynccontextmanager
async def between(worker: Address, side: str, change: Change) -> AsyncIterator[Address]:
    server = await asyncio.start_server(Between(worker, side, change).connect, "127.0.0.1", 0)
    async with server:
        yield Address(host="127.0.0.1", port=server.sockets[0].getsockname()[1])


@pytest.mark.parametrize("side", UNCHANGED)
@pytest.mark.parametrize("change", CHANGES)
async def test_change_on_the_way_ends_the_connection(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, side: str, change: str
) -> None:
    caplog.set_level(logging.INFO)
    engine = ToneEngine(places=2)
    async with (
        working(Worker(engine), tmp_path, tcp=True) as address,
        between(address, side, CHANGES[change]) as changed_way,
    ):
        engine_there = engine_of(changed_way)
        await engine_there.start()

        async def speak() -> list[SpeechChunk]:
            async with aclosing(engine_there.synthesize(segment(TEXT))) as chunks:
                return [chunk async for chunk in chunks]

        outcomes = await asyncio.gather(speak(), speak(), return_exceptions=True)
        await until(lambda: CHANGED in caplog.text)
        await engine_there.stop()
    failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert all(isinstance(failure, EngineFailed) for failure in failures)
    # Segments without a sound so far are begun again by another connection.
    assert bool(failures) == (side == "worker")
    assert all(len(outcome) == 4 for outcome in outcomes if isinstance(outcome, list))


def test_tags_differ_by_key_place_and_message() -> None:
    first, same, other = Tags(b"a" * 32), Tags(b"a" * 32), Tags(b"b" * 32)
    tags = [first.next(b"x"), first.next(b"x"), first.next(b"y"), other.next(b"x")]
    assert len(set(tags)) == len(tags) and {len(tag) for tag in tags} == {TAG_BYTES}
    assert same.accepts(memoryview(b"x"), memoryview(tags[0]))
    assert not same.accepts(memoryview(b"x"), memoryview(tags[0]))
