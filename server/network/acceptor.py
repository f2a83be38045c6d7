"""Connections of listening sockets, accepted a few at a time.

Not by the event loop's own server, which accepts all that wait in one go, and counts none before its TLS
handshake: a crowd that says nothing could take every file before one of it is closed for want of room.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable, Iterator

from server.network.tcp_connections import TcpConnection, TcpTable

log = logging.getLogger("server")

ACCEPT_BATCH = 32
"""Connections that are accepted before others have their turn, and before those that were closed to make
room have given back their files."""

OUT_OF_FILES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
OUT_OF_FILES_PAUSE_S = 0.1
"""Pause after the machine ran out of files (seconds): no event says when one is free again."""


class Acceptor:
    """Accepts connections, counts them in ``table``, and begins TLS on each where ``tls`` is given.

    new_protocol: makes what speaks on one.
    """

    def __init__(
        self,
        table: TcpTable,
        new_protocol: Callable[[TcpConnection], asyncio.Protocol],
        tls: ssl.SSLContext | None,
    ) -> None:
        self._table = table
        self._new_protocol = new_protocol
        self._tls = tls
        self._beginning: set[asyncio.Task[None]] = set()

    async def accept(self, listener: socket.socket) -> None:
        """Accept what comes to ``listener`` until this is cancelled."""
        listener.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    first, _ = await loop.sock_accept(listener)
                    self._begin(first)
                    for sock in _waiting(listener):
                        self._begin(sock)
                except OSError as error:
                    # Any other is of one connection that broke before it was accepted.
                    if error.errno in OUT_OF_FILES:
                        log.warning("no connection can be accepted: %s", error.strerror)
                        await asyncio.sleep(OUT_OF_FILES_PAUSE_S)
                await asyncio.sleep(0)
        finally:
            for task in self._beginning:
                task.cancel()

    def _begin(self, sock: socket.socket) -> None:
        def end() -> None:
            task.cancel()

        tcp = self._table.admit(end)
        if tcp is None:
            sock.close()
            return

        def begun(task: asyncio.Task[None]) -> None:
            self._beginning.discard(task)
            error = asyncio.CancelledError() if task.cancelled() else task.exception()
            if error is None:
                return
            tcp.closed()
            sock.close()
            # A client that leaves, or whose TLS cannot be understood, is nothing to report.
            if not isinstance(error, OSError | asyncio.CancelledError):
                raise error

        task = asyncio.create_task(self._connect(sock, tcp), name="new connection")
        self._beginning.add(task)
        task.add_done_callback(begun)

    async def _connect(self, sock: socket.socket, tcp: TcpConnection) -> None:
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(lambda: self._new_protocol(tcp), sock, ssl=self._tls)


def _waiting(listener: socket.socket) -> Iterator[socket.socket]:
    """Further connections that wait to be accepted, few enough to take them at once. Raises OSError."""
    for _ in range(ACCEPT_BATCH - 1):
        try:
            yield listener.accept()[0]
        except (BlockingIOError, InterruptedError):
            return
