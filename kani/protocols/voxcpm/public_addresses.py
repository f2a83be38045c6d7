"""DNS lookups that never block the event loop, and a check for public addresses."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from contextlib import suppress

from kani.core.errors import Busy

MAX_LOOKUPS = 64
"""Concurrent lookups. A lookup cannot be cancelled: one that hangs outlives its request."""

_NOT_PUBLIC_4 = tuple(
    ipaddress.IPv4Network(network)
    for network in """
    0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24
    192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15
    198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 168.63.129.16/32
    """.split()
)
"""IANA's special-purpose registry and multicast; the last one is Azure's, for its own machines."""

_GLOBAL_UNICAST_6 = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(
    ipaddress.IPv6Network(network) for network in "2001::/23 2001:db8::/32 2002::/16 3fff::/20".split()
)
"""Protocol assignments with Teredo, documentation, 6to4, documentation."""

_EMBEDDING_6 = tuple(ipaddress.IPv6Network(network) for network in "::ffff:0:0/96 64:ff9b::/96".split())
"""IPv4-mapped, and NAT64's well-known prefix (RFC 6052): the last 32 bits are an IPv4 address."""


def is_public_address(address: str) -> bool:
    """Return whether an IP address, as text, is reachable from the whole Internet.

    An address that embeds an IPv4 address (mapped, NAT64) is as public as that one. 6to4 and Teredo embed
    one too and are never public: no servers use them. Raises ValueError if ``address`` is none.
    """
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        if not any(ip in network for network in _EMBEDDING_6):
            return ip in _GLOBAL_UNICAST_6 and not any(ip in network for network in _NOT_PUBLIC_6)
        ip = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return not any(ip in network for network in _NOT_PUBLIC_4)


def is_own_address(address: str) -> bool:
    """Return whether an IP address is this machine's own: its services may be closed to other machines.

    Sends nothing: connecting a datagram socket only selects a route.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 9))
            return bool(probe.getsockname()[0] == address)
    except OSError:
        return False


class Resolver:
    """The system's resolver, each lookup in a daemon thread of its own."""

    def __init__(self) -> None:
        self._running = 0

    async def resolve(self, host: str, port: int) -> list[str]:
        """Return the addresses of ``host`` as text, the preferred one first; none if the name is unknown.

        A number in any form that the system reads (``0x7f.1``, ``2130706433``) is resolved as an address.
        Raises Busy while MAX_LOOKUPS are running.
        """
        if self._running >= MAX_LOOKUPS:
            raise Busy("too many names are being looked up: try again later")
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[str]] = loop.create_future()

        def settle(addresses: list[str]) -> None:
            self._running -= 1
            if not found.done():
                found.set_result(addresses)

        def ask() -> None:
            addresses = _addresses(host, port)
            # The loop may have been closed meanwhile.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(settle, addresses)

        self._running += 1
        # No thread pool: Python would wait for its threads when the process ends.
        threading.Thread(target=ask, name=f"lookup {self._running}", daemon=True).start()
        return await found


def _addresses(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
