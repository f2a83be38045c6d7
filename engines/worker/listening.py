"""A worker that listens on an address, for servers on this machine and on others."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from engines.remote.address import Address, listen
from engines.remote.channel import Channel, ProtocolError
from engines.remote.handshake import check_key, welcome
from engines.worker.service import Worker
from speech.engine import Engine
from speech.errors import EngineUnavailable
from speech.recognizer import Recognizer

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 256
"""Connections at once, those that have not shaken hands included; a further one is closed."""


async def start_and_serve(
    served: Engine | Recognizer,
    new_worker: Callable[[], Worker],
    address: Address,
    key: str,
    stop: asyncio.Event,
    announce: Callable[[Address], None],
    drain_s: float,
) -> None:
    """Start an engine or a recogniser, and serve it until ``stop`` is set; see ``serve_worker``.

    new_worker: returns the worker that has it; announce: called once, when servers can connect, with the
    address, whose port 0 is replaced. Raises EngineUnavailable, also for an address that cannot be listened
    on.
    """
    check_key(address, key)
    await served.start()
    try:
        await serve_worker(new_worker(), address, key, stop, announce, drain_s)
    finally:
        await served.stop()


async def serve_worker(
    worker: Worker,
    address: Address,
    key: str,
    stop: asyncio.Event,
    announce: Callable[[Address], None],
    drain_s: float = 0.0,
) -> None:
    """Serve a worker whose engine or recogniser has started; otherwise as ``start_and_serve``.

    drain_s: most seconds for the exchanges that are under way when ``stop`` is set.
    """
    tasks: set[asyncio.Task[None]] = set()

    def accept() -> Channel:
        channel = _Accepted(lambda: _accepted(channel))
        return channel

    def _accepted(channel: Channel) -> None:
        if len(tasks) >= MAX_CONNECTIONS:
            channel.abort("too many connections")
            return
        task = asyncio.create_task(_serve_one(worker, channel, key), name="connected server")
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    try:
        server = await listen(address, accept)
    except (OSError, ValueError) as error:
        raise EngineUnavailable(f"the worker cannot listen on {address}: {error}") from error
    try:
        port = server.sockets[0].getsockname()[1] if address.path is None else 0
        announce(Address(address.path, address.host, port))
        await stop.wait()
        await worker.drain(drain_s)
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if address.path is not None:
            address.path.unlink(missing_ok=True)


class _Accepted(Channel):
    """A channel that reports its connection."""

    def __init__(self, made: Callable[[], None]) -> None:
        super().__init__()
        self._made = made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See ``asyncio.Protocol``."""
        super().connection_made(transport)
        self._made()


async def _serve_one(worker: Worker, channel: Channel, key: str) -> None:
    try:
        await welcome(channel, key)
        log.info("a server has connected")
        await worker.serve(channel)
        log.info("a server has gone, %d exchanges of others go on: %s", worker.exchanges, channel.reason)
    except ProtocolError as error:
        log.warning("a connection was refused: %s", error)
        # The refusal itself is still to be sent.
        channel.close(str(error))
    finally:
        channel.close("the worker ends")
