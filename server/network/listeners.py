"""The sockets a server listens on, taken before anything slow begins."""

from __future__ import annotations

import errno
import os
import socket
import sys
from contextlib import ExitStack
from typing import Any

BACKLOG = 2048
LOCALHOST = ("127.0.0.1", "::1")
MISSING_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)
PORT_TRIES = 16

RESERVED_FILES = 256
"""Files that the server keeps for itself: engines, voices, services that it asks."""

HTTP_CONNECTIONS = 256
"""Connections beside ``KANI_MAX_CONNECTIONS`` WebSockets: requests, and those that have sent none yet."""


class CannotListen(Exception):
    """An address that cannot be listened on; ``str()`` holds the reason and the cure."""


def listen(host: str, port: int, setting: str = "--port") -> list[socket.socket]:
    """Listen on ``host``; connections wait in the backlog until someone accepts them.

    ``localhost`` is both loopback addresses, as clients may try either first; the second may be
    missing. Port 0 is one free port, the same on every address. setting: where the port can be
    changed. Raises CannotListen.
    """
    if port == 0:
        for _ in range(PORT_TRIES):
            with socket.socket() as probe:
                probe.bind(("", 0))
                free: int = probe.getsockname()[1]
            try:
                return listen(host, free, setting)
            except CannotListen as error:
                if not isinstance(error.__cause__, OSError) or error.__cause__.errno != errno.EADDRINUSE:
                    raise
        raise CannotListen(f"no free port was found on {host}; choose one with {setting}")
    with ExitStack() as undo:
        sockets: list[socket.socket] = []
        for family, address in _addresses(host, port):
            try:
                sock = undo.enter_context(socket.socket(family, socket.SOCK_STREAM))
                _listen(sock, address)
            except OSError as error:
                if host == "localhost" and sockets and error.errno in MISSING_IPV6:
                    continue
                raise CannotListen(_reason(error, host, port, setting)) from error
            sockets.append(sock)
        undo.pop_all()
    return sockets


def machine_names(host: str) -> frozenset[str]:
    """What a machine that listens on ``host`` is called: that, its own name, and that under .local."""
    full = socket.gethostname().rstrip(".").lower()
    short = full.partition(".")[0]
    return frozenset({host.strip("[]").rstrip(".").lower(), full, short, f"{short}.local"} - {""})


def raise_file_limit(count: int) -> int:
    """Let this process have ``count`` files and sockets open, as far as the machine lets it; how many."""
    if sys.platform == "win32":
        return count
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def files_needed(max_connections: int) -> int:
    """Files and sockets of a server with so many WebSockets at most."""
    return max_connections + HTTP_CONNECTIONS + RESERVED_FILES


def max_tcp_connections(max_connections: int, files: int) -> int:
    """TCP connections that may be open at once, with so many WebSockets and ``files`` files at most.

    Where there are few files, a quarter of them is spared.
    """
    return min(max_connections + HTTP_CONNECTIONS, files - min(RESERVED_FILES, files // 4))


def _addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, tuple[Any, ...]]]:
    names = LOCALHOST if host == "localhost" else (host.strip("[]"),)
    try:
        found = [
            info
            for name in names
            for info in socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        ]
    except (socket.gaierror, UnicodeError) as error:
        raise CannotListen(f"{host!r} is no address of this machine; choose one with --host") from error
    return list(dict.fromkeys((info[0], info[4]) for info in found))


def _listen(sock: socket.socket, address: tuple[Any, ...]) -> None:
    if os.name == "posix" and sys.platform != "cygwin":
        # On POSIX this only ignores connections that are being forgotten; elsewhere it would let
        # two servers take one port.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind(address)
    sock.listen(BACKLOG)
    sock.setblocking(False)


def _reason(error: OSError, host: str, port: int, setting: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} on {host} is taken, perhaps by another server of this kind: stop that one, "
            f"or choose another port with {setting}"
        )
    if error.errno == errno.EACCES:
        return f"port {port} needs an administrator's rights; choose one above 1023 with {setting}"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host!r} is no address of this machine; choose one with --host"
    return f"cannot listen on {host} port {port}: {error.strerror or error}"
