"""A worker that listens on an address, for servers on this machine and on others."""

import asyncio
import logging
from collections.abc import Callable

from kani.core.errors import EngineUnavailable
from kani.engines.remote.address import Address, listen
from kani.engines.remote.channel import Channel, ProtocolError
from kani.engines.remote.handshake import welcome
from kani.engines.worker.service import Worker
from kani.runtime.cancelling import end_tasks

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 256
"""Connections at once. A further one replaces the oldest without a handshake, or is closed."""


async def serve_worker(
    worker: Worker,
    address: Address,
    key: str,
    stop: asyncio.Event,
    announce: Callable[[Address], None],
    drain_s: float = 0.0,
) -> None:
    """Serve a worker, its engine or recogniser started, until ``stop`` is set.

    announce: called once, when servers can connect, with the address, its port 0 replaced; drain_s: most
    seconds for the exchanges that are under way then. Raises EngineUnavailable for an address that cannot be
    listened on.
    """
    connections = _Connections(worker, key)
    try:
        server = await listen(address, connections.accept)
    except (OSError, ValueError) as error:
        reason = f"the worker cannot listen on {address}: {error}"
        raise EngineUnavailable(reason, passing=True) from error
    try:
        port = server.sockets[0].getsockname()[1] if address.path is None else 0
        announce(Address(address.path, address.host, port))
        await stop.wait()
        await worker.drain(drain_s)
    finally:
        server.close()
        await connections.aclose()
        if address.path is not None:
            address.path.unlink(missing_ok=True)


class _Accepted(Channel):
    """A channel that reports its connection."""

    def __init__(self, made: Callable[[], None]) -> None:
        super().__init__()
        self._made = made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._made()


class _Connections:
    def __init__(self, worker: Worker, key: str) -> None:
        self._worker = worker
        self._key = key
        self._tasks: set[asyncio.Task[None]] = set()
        self._unproven: dict[Channel, None] = {}  # those that have not shaken hands, the oldest first
        self._servers = 0
        self._crowded = False

    def accept(self) -> Channel:
        """Return the channel of a connection that is being made."""
        channel = _Accepted(lambda: self._made(channel))
        return channel

    def _made(self, channel: Channel) -> None:
        if self._servers + len(self._unproven) >= MAX_CONNECTIONS and not self._make_place():
            log.warning("a connection was refused: %d servers are connected", self._servers)
            channel.abort("too many connections")
            return
        self._unproven[channel] = None
        task = asyncio.create_task(self._serve(channel), name="connected server")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _make_place(self) -> bool:
        """Close the oldest connection that has not shaken hands; return False if there is none."""
        oldest = next(iter(self._unproven), None)
        if oldest is None:
            return False
        if not self._crowded:
            # Once for a crowd: each of its connections would add a line.
            log.warning("%d connections without a handshake: the oldest are closed", len(self._unproven))
        self._crowded = True
        del self._unproven[oldest]
        oldest.abort("another connection needs its place")
        return True

    async def _serve(self, channel: Channel) -> None:
        try:
            if await self._has_proven(channel):
                self._servers += 1
                try:
                    log.info("a server has connected")
                    await self._worker.serve(channel)
                    count, reason = self._worker.exchanges, channel.reason
                    log.info("a server has gone, %d exchanges of others go on: %s", count, reason)
                finally:
                    self._servers -= 1
        finally:
            channel.close("the worker ends")

    async def _has_proven(self, channel: Channel) -> bool:
        """Shake hands; return False where the peer is refused."""
        try:
            await welcome(channel, self._key)
        except ProtocolError as error:
            # Not of one that was closed for another: that was logged for all.
            if channel in self._unproven:
                log.warning("a connection was refused: %s", error)
            # The refusal itself is still to be sent.
            channel.close(str(error))
            return False
        finally:
            self._unproven.pop(channel, None)
            self._crowded = self._crowded and bool(self._unproven)
        return True

    async def aclose(self) -> None:
        await end_tasks(*self._tasks)
