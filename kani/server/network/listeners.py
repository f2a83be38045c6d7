"""Binds the ports of a server before models are loaded, and reads its TLS certificate."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from kani.composition.settings import Settings, SettingsError, variables
from kani.runtime.host_names import is_loopback
from kani_text.foreign.files import read_regular

if TYPE_CHECKING:  # it imports the speech core, which takes most of a start
    from kani.protocols.shared.protocol import Addresses, CompatPort, StreamPort
    from kani.server.network.handover import Handover

BACKLOG = 2048
LOCALHOST = ("127.0.0.1", "::1")
MISSING_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)
PORT_TRIES = 16

RESERVED_FILES = 256
"""Files kept for the server's own use: engines, voices, requests to other servers."""

LATER_FILES = 24
"""Least files that it opens after those that are open before the engines start."""

HTTP_CONNECTIONS = 256
"""Connections beside ``KANI_MAX_CONNECTIONS`` WebSockets: HTTP requests, and those without a request yet."""

MAX_PEM_BYTES = 1 << 20
CERTIFICATE = "KANI_TLS_CERT"
KEY = "KANI_TLS_KEY"


class CannotListen(Exception):
    """An address or a port that cannot be used; ``str()`` names the reason and the remedy."""

    @property
    def taken(self) -> bool:
        """True if another socket has the port, and may free it."""
        return isinstance(self.__cause__, OSError) and self.__cause__.errno == errno.EADDRINUSE


@dataclass(frozen=True, slots=True)
class Listeners:
    """The listening sockets of a server, closed at the end of a ``with`` block."""

    sockets: Sequence[socket.socket]
    port: int  # the one that is always open
    compat: Mapping[CompatPort, int] = field(default_factory=dict)  # further ports that are open
    streams: Mapping[StreamPort, Sequence[socket.socket]] = field(default_factory=dict)
    """Those of protocols without HTTP."""
    handover: Handover | None = None  # between the processes that serve them

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the sockets in this process."""
        for sock in self.all_sockets:
            sock.close()
        if self.handover is not None:
            self.handover.close()

    @property
    def all_sockets(self) -> list[socket.socket]:
        return [*self.sockets, *(sock for sockets in self.streams.values() for sock in sockets)]

    def addresses(self, stream: StreamPort) -> Addresses:
        """Return the IP addresses and ports on which ``stream`` is served."""
        return [sock.getsockname()[:2] for sock in self.streams[stream]]

    @property
    def root_paths(self) -> dict[int, str]:
        """Path that a WebSocket on `/` stands for, by port, where that is not Kani's."""
        return {port: compat.root_path for compat, port in self.compat.items() if compat.root_path}


def open_listeners(
    settings: Settings,
    compat_ports: Sequence[CompatPort],
    stream_ports: Sequence[StreamPort] = (),
    listening: Sequence[socket.socket] | None = None,
) -> Listeners:
    """Listen on the server's port, and on those of compatibility, metrics and streams that are enabled.

    listening: the sockets of the server's port, if they are open already. Raises CannotListen.
    """
    from kani.protocols.shared.protocol import METRICS_PORT

    wanted = [*compat_ports] if settings.compat else []
    if settings.metrics_port is not None:
        wanted.append(METRICS_PORT)
    with ExitStack() as undo:
        sockets = [undo.enter_context(sock) for sock in listening or listen(settings.host, settings.port)]
        port = _port(sockets)
        compat = {}
        for each in wanted:
            opened = listen(settings.host, _number(settings, each), variables(each.setting)[0])
            compat[each] = _port(opened)
            sockets += [undo.enter_context(sock) for sock in opened]
        streams = {}
        for stream in stream_ports:
            if _is_wanted(settings, stream):
                opened = listen(settings.host, settings.value(stream.port), variables(stream.port)[0])
                streams[stream] = [undo.enter_context(sock) for sock in opened]
        undo.pop_all()
    return Listeners(sockets, port, compat, streams)


def _number(settings: Settings, port: CompatPort) -> int:
    number: int = settings.value(port.setting)
    return number + port.after if 0 < number <= 65535 - port.after else 0


def _is_wanted(settings: Settings, stream: StreamPort) -> bool:
    # Such a port asks for no key: one that other machines reach is opened only by its own option.
    return settings.value(stream.option) or (settings.compat and is_loopback(settings.host))


def listen(host: str, port: int, setting: str = "--port") -> list[socket.socket]:
    """Listen on ``host``; connections wait in the backlog until they are accepted.

    ``localhost`` is both loopback addresses, as clients may try either first; ::1 may be missing. Port 0 is
    one free port, the same on every address. setting: named in an error as the place to change the port.
    Raises CannotListen.
    """
    if port == 0:
        return _listen_on_free_port(host, setting)
    with ExitStack() as undo:
        sockets: list[socket.socket] = []
        for family, address in _addresses(host, port):
            try:
                # asyncio switches Nagle's algorithm off only where the protocol is named: without that an
                # answer's body waits up to 40 ms (on Windows 200) for the acknowledgement of its head.
                tcp = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
                sock = undo.enter_context(tcp)
                _bind(sock, address)
            except OSError as error:
                if host == "localhost" and sockets and error.errno in MISSING_IPV6:
                    continue
                raise CannotListen(_reason(error, host, port, setting)) from error
            sockets.append(sock)
        undo.pop_all()
    return sockets


def _listen_on_free_port(host: str, setting: str) -> list[socket.socket]:
    for _ in range(PORT_TRIES):
        with socket.socket() as probe:
            probe.bind(("", 0))
            free: int = probe.getsockname()[1]
        try:
            return listen(host, free, setting)
        except CannotListen as error:
            if not error.taken:
                raise
    raise CannotListen(f"no free port was found on {host}; choose one with {setting}")


def machine_names(host: str) -> frozenset[str]:
    """Return the names of this machine: ``host``, the host name, and that under .local."""
    full = socket.gethostname().rstrip(".").lower()
    short = full.partition(".")[0]
    return frozenset({host.strip("[]").rstrip(".").lower(), full, short, f"{short}.local"} - {""})


def raise_file_limit(count: int) -> int:
    """Raise this process' limit on open files to ``count`` or the hard limit; return the limit reached."""
    if sys.platform == "win32":
        return count
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def files_needed(max_connections: int) -> int:
    """Return the number of open files that a server with ``max_connections`` WebSockets needs."""
    return max_connections + HTTP_CONNECTIONS + RESERVED_FILES


def open_files() -> int:
    """Return how many files this process has open; 0 where the system does not say it."""
    try:
        return sum(1 for _ in Path("/dev/fd").iterdir())
    except OSError:
        return 0


def max_tcp_connections(max_connections: int, files: int, own_files: int) -> int:
    """Return the limit on TCP connections, from the limits on WebSockets and on open files.

    Three quarters of ``files`` are for connections, even where that leaves fewer than ``RESERVED_FILES``; but
    ``own_files``, which are open already, and ``LATER_FILES`` are none of them.
    """
    reserved = max(min(RESERVED_FILES, files // 4), own_files + LATER_FILES)
    return max(min(max_connections + HTTP_CONNECTIONS, files - reserved), 1)


def server_context(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """Return a TLS context (1.2 or later) of two PEM files; None where neither is given.

    certificate: the server's own first, then the intermediate ones. Raises SettingsError, which names the
    setting and the reason.
    """
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        missing = CERTIFICATE if certificate is None else KEY
        raise SettingsError(f"{CERTIFICATE} and {KEY} belong together: {missing} is not set")
    _check_pem(CERTIFICATE, certificate, b"CERTIFICATE-----", "certificate")
    _check_pem(KEY, key, b"PRIVATE KEY-----", "private key")

    def no_password() -> str:
        raise SettingsError(
            f"{KEY}: {key} is encrypted, and the server cannot ask for its password: "
            f"openssl pkey -in {key.name} -out FILE removes it"
        )

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise SettingsError(f"{KEY}: {key} is not the key of the certificate in {certificate}") from error
        reason = (error.reason or str(error)).lower().replace("_", " ")
        raise SettingsError(
            f"{CERTIFICATE}, {KEY}: {certificate} and {key} cannot be used: {reason}"
        ) from error
    return context


def _check_pem(setting: str, file: Path, mark: bytes, content_name: str) -> None:
    try:
        content = read_regular(file, MAX_PEM_BYTES)
    except OSError as error:
        raise SettingsError(f"{setting}: {file} cannot be read: {error.strerror}") from error
    if mark not in content:
        raise SettingsError(f"{setting}: {file} holds no {content_name} in PEM form")


def _port(sockets: Sequence[socket.socket]) -> int:
    port: int = sockets[0].getsockname()[1]
    return port


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


def _bind(sock: socket.socket, address: tuple[Any, ...]) -> None:
    if os.name == "posix" and sys.platform != "cygwin":
        # On POSIX this only ignores connections in TIME_WAIT; elsewhere two servers could share a port.
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
