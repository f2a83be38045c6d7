"""Hands connections over to the process that serves calls with state of their own: the owner.

A WebRTC call, the relay's queue and an audiobook are in the memory of one process: of several fronts, the
first. The others send it the socket of a connection and what they read of the request. The owner serves that
connection as if it had accepted it.
"""

import asyncio
import errno
import os
import socket
from contextlib import suppress
from urllib.parse import parse_qs, unquote

import h11

from kani.core import shared_numbers

MAX_BYTES = 2**18
"""Longest message: a head has 64 KiB at most, and what was read after it is not much longer."""


def is_owned(call: tuple[str, str, str], owned: tuple[str, ...]) -> bool:
    """Return whether the owner has to answer; call: method, path and query; owned: see ``one_process``."""
    method, path, query = call
    parameters = parse_qs(query, keep_blank_values=True)
    return any(
        each.startswith(owned)
        for each in (path, f"{method} {path}", *(f"{path}?{name}" for name in parameters))
    )


class Handover:
    """Sockets between the processes of a server, made before they are forked.

    So connections that wait survive a restart of the owner.
    """

    def __init__(self, owned: tuple[str, ...]) -> None:
        self._owned = owned
        self._owner, self._others = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._owner.setblocking(False)
        self._others.setblocking(False)
        self._others.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * MAX_BYTES)

    @property
    def is_owner(self) -> bool:
        """True in the process that owns the calls."""
        return shared_numbers.shared is not None and shared_numbers.shared.row == 0

    def pass_on(self, request: h11.Request, rest: bytes, transport: asyncio.Transport) -> bool:
        """Send a connection to the owner, and forget it here; return False where it has to stay.

        rest: bytes after the head that are read already.
        """
        path, _, query = request.target.decode("ascii").partition("?")
        method = request.method.decode("ascii")
        if not is_owned((method, unquote(path), query), self._owned):
            return False
        if transport.get_write_buffer_size():  # of the answer before: the client did not wait for it
            return False
        lines = [b"%b %b HTTP/%b" % (request.method, request.target, request.http_version)]
        lines += [b"%b: %b" % header for header in request.headers.raw_items()]
        message = b"\r\n".join([*lines, b"", rest])
        try:
            socket.send_fds(self._others, [message], [transport.get_extra_info("socket").fileno()])
        except OSError:  # too many wait
            return False
        transport.abort()  # ends nothing: the owner has the socket too
        return True

    async def receive(self) -> tuple[socket.socket, bytes]:
        """Wait for the next connection; return its socket and what was read of it.

        Raises OSError if this process has too many open files: that connection is lost.
        """
        loop = asyncio.get_running_loop()
        while True:
            readable = asyncio.Event()
            loop.add_reader(self._owner, readable.set)
            try:
                await readable.wait()
            finally:
                loop.remove_reader(self._owner)
            with suppress(BlockingIOError):
                message, files, *_ = socket.recv_fds(self._owner, MAX_BYTES, 1, socket.MSG_CMSG_CLOEXEC)
                if not files:
                    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
                return socket.socket(fileno=files[0]), message

    def close(self) -> None:
        """Close both ends, with the connections that wait."""
        self._owner.close()
        self._others.close()
