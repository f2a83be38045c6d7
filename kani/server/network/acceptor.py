"""Accepts the connections of listening sockets in small batches.

The event loop's own server accepts every waiting connection at once and counts none before its TLS handshake:
a crowd of silent clients could use up all open files before the first of them is closed.
"""

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from kani.core import shared_numbers
from kani.server.network.handover import Handover
from kani.server.network.tcp_connections import TcpConnection, TcpTable

log = logging.getLogger("server")

ACCEPT_BATCH = 32
"""Connections accepted before the event loop runs other tasks, such as those that release the files of closed
connections."""

TURN_S, TURNS = 0.01, 10
"""Seconds between two looks whether a process of this server with fewer connections has accepted one that
waits; and the looks after which it is accepted here all the same."""

NewProtocol = Callable[[TcpConnection], asyncio.BaseProtocol]
"""Returns the protocol of a connection."""

OUT_OF_FILES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
OUT_OF_FILES_PAUSE_S = 0.1
"""Pause after the machine ran out of files (seconds): no event signals that one is free again."""


@dataclass(eq=False)
class Acceptor:
    """Accepts connections, counts them, and starts TLS on each if it has a context for that."""

    _table: TcpTable
    _new_protocol: NewProtocol
    _tls: ssl.SSLContext | None
    _starting: set[asyncio.Task[None]] = field(default_factory=set)

    async def accept(self, listener: socket.socket) -> None:
        """Accept the connections of ``listener`` until cancelled."""
        listener.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    if shared_numbers.shared is None:
                        self._start((await loop.sock_accept(listener))[0])
                        for sock in _waiting(listener):
                            self._start(sock)
                    else:
                        await self._accept_in_turn(listener)
                except OSError as error:
                    await self._relieve(error)
                await asyncio.sleep(0)
        finally:
            for task in self._starting:
                task.cancel()

    async def take_over(self, handover: Handover, resumed: Callable[[bytes], NewProtocol]) -> None:
        """Serve the connections that other processes hand over, until cancelled.

        resumed: returns the factory of a connection's protocol, given the bytes that were read already.
        """
        await self._table.accepts.wait()
        while True:
            try:
                sock, first = await handover.receive()
                self._start(sock, resumed(first))
            except OSError as error:
                await self._relieve(error)

    async def _relieve(self, error: OSError) -> None:
        # Any other error is of one connection that broke before it was accepted.
        if error.errno in OUT_OF_FILES and not self._table.relieve():
            log.warning("no connection can be accepted: %s", error.strerror)
            await asyncio.sleep(OUT_OF_FILES_PAUSE_S)

    async def _accept_in_turn(self, listener: socket.socket) -> None:
        """Accept one of a listener that other processes accept from too. Raises OSError.

        So connections that live long are spread evenly over the processes.
        """
        await self._table.accepts.wait()
        loop, readable = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(listener, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(listener)
        for _ in range(TURNS):
            if not self._table.has_most:
                break
            await asyncio.sleep(TURN_S)
        with suppress(BlockingIOError):
            self._start(listener.accept()[0])

    def _start(self, sock: socket.socket, new_protocol: NewProtocol | None = None) -> None:
        def close() -> None:
            task.cancel()

        tcp = self._table.admit(close)
        if tcp is None:
            sock.close()
            return

        def started(task: asyncio.Task[None]) -> None:
            self._starting.discard(task)
            error = asyncio.CancelledError() if task.cancelled() else task.exception()
            if error is None:
                return
            tcp.closed()
            sock.close()
            # A client that disconnects or fails the TLS handshake is no error of the server.
            if not isinstance(error, OSError | asyncio.CancelledError):
                raise error

        task = asyncio.create_task(
            self._connect(sock, tcp, new_protocol or self._new_protocol), name="new connection"
        )
        self._starting.add(task)
        task.add_done_callback(started)

    async def _connect(self, sock: socket.socket, tcp: TcpConnection, new_protocol: NewProtocol) -> None:
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(partial(new_protocol, tcp), sock, ssl=self._tls)


def _waiting(listener: socket.socket) -> Iterator[socket.socket]:
    """Yield further waiting connections, up to the size of a batch. Raises OSError."""
    for _ in range(ACCEPT_BATCH - 1):
        try:
            yield listener.accept()[0]
        except (BlockingIOError, InterruptedError):
            return
