"""Connections to a worker without the key: a crowd of them keeps no server out."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest

from kani.engines.remote.channel import MAX_HANDSHAKE_BYTES, Channel
from kani.engines.remote.connection import WorkerLost
from kani.engines.remote.connectors import RemoteWorker
from kani.engines.worker import server
from kani.engines.worker.service import Worker
from tests.engines.remote.test_remote import KEY, engine_of, segment, working
from tests.support.tone import ToneEngine

PLACES = 16


@pytest.fixture(autouse=True)
def few_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", PLACES)


async def test_silent_crowd_keeps_no_server_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    async with working(Worker(ToneEngine()), tmp_path, tcp=True) as address:
        silent = [await asyncio.open_connection(address.host, address.port) for _ in range(2 * PLACES)]
        engine = engine_of(address)
        await engine.start()
        # The oldest are closed, as many as are too many.
        for reader, _ in silent[: PLACES + 1]:
            with suppress(ConnectionResetError):
                assert await reader.read() == b""
        silent += [await asyncio.open_connection(address.host, address.port) for _ in range(2 * PLACES)]
        assert len([chunk async for chunk in engine.synthesize(segment("uno dos"))]) == 2
        await engine.stop()
        for _, writer in silent:
            writer.close()
    assert caplog.text.count("the oldest are closed") == 1


async def test_connected_server_is_not_closed_for_another(tmp_path: Path) -> None:
    async with working(Worker(ToneEngine()), tmp_path, tcp=True) as address, AsyncExitStack() as stack:
        workers = [RemoteWorker(address, KEY, lambda _: None) for _ in range(PLACES + 1)]
        connections = []
        for worker in workers[:-1]:
            connections.append(await worker.connect())
            stack.push_async_callback(worker.disconnect, connections[-1])
        with pytest.raises(WorkerLost):
            await workers[-1].connect()
        assert not any(connection.channel.lost.is_set() for connection in connections)


def test_little_is_received_into_before_the_handshake() -> None:
    assert len(Channel().get_buffer(1 << 20)) <= 2 * MAX_HANDSHAKE_BYTES
