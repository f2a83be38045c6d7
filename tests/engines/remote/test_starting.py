"""Workers that are children of this process, and stall or take long before they are ready."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from kani.engines.plugin import Resources
from kani.engines.remote.connection import Connection, WorkerLost
from kani.engines.remote.connectors import ChildWorker
from kani.engines.remote.messages import Launch
from tests.engines.remote import starting_engine
from tests.support.patience import WITHIN_S

pytestmark = pytest.mark.server

LEASE_S = 6


@asynccontextmanager
async def starting(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[asyncio.Task[Connection], ChildWorker, psutil.Process]]:
    """A worker whose engine has begun to start: what waits for it, and its process."""
    monkeypatch.setattr("kani.engines.remote.connection.START_LEASE_S", LEASE_S)
    begun, before = asyncio.Event(), set(psutil.Process().children())
    loop = asyncio.get_running_loop()

    class Told(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            loop.call_soon_threadsafe(begun.set)

    told, logger = Told(), logging.getLogger(starting_engine.__name__)
    logger.addHandler(told)
    launch = Launch("espeak", 20, "engine", {}, Resources(folder), starting_engine.__name__)
    connector = ChildWorker(launch, lambda ready: None, lambda: None)
    connecting = asyncio.create_task(connector.connect())
    try:
        async with asyncio.timeout(WITHIN_S):
            await begun.wait()
            (child,) = set(psutil.Process().children()) - before
            yield connecting, connector, child
    finally:
        logger.removeHandler(told)
        connecting.cancel()
        await asyncio.wait([connecting])


async def test_worker_that_stalls_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with starting(tmp_path, monkeypatch) as (connecting, _, child):
        child.send_signal(signal.SIGSTOP)
        with pytest.raises(WorkerLost, match=f"no sign of life for {LEASE_S} s"):
            await connecting
        assert not child.is_running()


async def test_worker_that_loads_for_long_is_awaited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with starting(tmp_path, monkeypatch) as (connecting, connector, child):
        done, _ = await asyncio.wait([connecting], timeout=1.5 * LEASE_S)
        assert not done
        (tmp_path / starting_engine.GO).touch()
        connection = await connecting
        assert child.is_running()
        await connector.disconnect(connection)
