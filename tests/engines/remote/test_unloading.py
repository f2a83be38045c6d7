"""An engine that is unloaded while nothing needs it, and loaded once for all requests that come back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from kani.core.errors import EngineFailed, EngineUnavailable
from kani.engines.remote.address import Address
from kani.engines.remote.connection import Connection
from kani.engines.remote.connectors import RemoteWorker
from kani.engines.remote.engine import RemoteEngine
from kani.engines.remote.link import Link
from kani.engines.remote.unloading import UnloadingLink
from kani.engines.worker.service import Worker
from tests.engines.remote.test_remote import KEY, segment, working
from tests.support.event_loop import settle, virtual_time
from tests.support.tone import ToneEngine

IDLE_S = 300.0


class Gated(RemoteWorker):
    """A connector that counts its connections, and waits for ``may_begin`` and ``may_end``."""

    def __init__(self, address: Address, engine: RemoteEngine) -> None:
        super().__init__(address, KEY, engine.changed)
        self.begun, self.ended, self.broken = 0, 0, False
        self.may_begin, self.may_end = asyncio.Event(), asyncio.Event()
        self.may_begin.set()
        self.may_end.set()

    async def connect(self) -> Connection:
        self.begun += 1
        await self.may_begin.wait()
        if self.broken:
            raise EngineUnavailable("its file is gone")
        return await super().connect()

    async def disconnect(self, connection: Connection) -> None:
        await self.may_end.wait()
        await super().disconnect(connection)
        self.ended += 1


@asynccontextmanager
async def unloading(folder: Path) -> AsyncIterator[tuple[RemoteEngine, Gated, UnloadingLink]]:
    """A tone engine, loaded, that is unloaded after ``IDLE_S`` of a clock that jumps."""
    async with working(Worker(ToneEngine()), folder) as address:
        engine = RemoteEngine("tone")
        door = Gated(address, engine)
        link = UnloadingLink("tone", Link(door))
        engine.use(link)
        await engine.start()
        engine.unload_after(IDLE_S)
        try:
            yield engine, door, link
        finally:
            door.may_begin.set()
            door.may_end.set()
            await engine.stop()
            await settle()
            assert not [task for task in asyncio.all_tasks() if task.get_name() == "tone"]
            assert door.begun - door.ended == door.broken


async def unloaded(link: UnloadingLink) -> None:
    """Let ``IDLE_S`` pass, of a clock that jumps, and what follows."""
    await asyncio.sleep(2 * IDLE_S)
    assert link.state == "unloaded"


async def speak(engine: RemoteEngine) -> int:
    async with aclosing(engine.synthesize(segment("uno dos"))) as chunks:
        return len([chunk async for chunk in chunks])


async def test_idle_engine_is_unloaded_and_comes_back_with_the_next_request(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with unloading(tmp_path) as (engine, door, link):
        expected = await speak(engine)
        with virtual_time():
            await asyncio.sleep(IDLE_S / 2)
            assert link.state == "loaded"
            await unloaded(link)
        assert (door.begun, door.ended, engine.loaded) == (1, 1, False)
        assert engine.info.name == "tone"
        assert await speak(engine) == expected > 0
        assert door.begun == 2 and engine.loaded
    assert [line for line in caplog.messages if line.startswith("tone is")] == [
        "tone is unloaded, after 300 s without a request",
        "tone is loaded again, after 0.0 s",
    ]


async def test_engine_in_use_is_not_unloaded(tmp_path: Path) -> None:
    async with unloading(tmp_path) as (engine, door, link):
        async with aclosing(engine.synthesize(segment("uno dos tres"))) as chunks:
            await anext(chunks)
            with virtual_time():
                await asyncio.sleep(3 * IDLE_S)
            assert link.state == "loaded" and door.begun == 1
        with virtual_time():
            # Half the time, a request, half the time: never idle for the whole of it.
            await asyncio.sleep(IDLE_S / 2)
            await speak(engine)
            await asyncio.sleep(0.6 * IDLE_S)
            assert link.state == "loaded"
            await unloaded(link)


async def test_requests_that_come_together_load_it_once(tmp_path: Path) -> None:
    async with unloading(tmp_path) as (engine, door, link):
        with virtual_time():
            await unloaded(link)
        door.may_begin.clear()
        first, *others = [asyncio.create_task(speak(engine)) for _ in range(5)]
        await settle()
        assert link.state == "loading"
        first.cancel()  # the others wait on
        await asyncio.wait([first])
        door.may_begin.set()
        assert len(set(await asyncio.gather(*others))) == 1
        assert door.begun == 2


async def test_request_during_the_unloading_waits_and_is_spoken(tmp_path: Path) -> None:
    async with unloading(tmp_path) as (engine, door, link):
        door.may_end.clear()
        with virtual_time():
            await asyncio.sleep(2 * IDLE_S)
        assert link.state == "unloading"
        speaking = asyncio.create_task(speak(engine))
        await settle()
        assert not speaking.done() and door.begun == 1
        door.may_end.set()
        assert await speaking > 0
        assert (door.begun, door.ended) == (2, 1)


async def test_engine_that_cannot_come_back_fails_the_request_and_is_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with unloading(tmp_path) as (engine, door, link):
        with virtual_time():
            await unloaded(link)
        door.broken = True
        with pytest.raises(EngineFailed, match="started again"):
            await speak(engine)
        assert "tone cannot be loaded again: its file is gone" in caplog.text
        door.broken = False
        door.begun -= 1
        assert await speak(engine) > 0
