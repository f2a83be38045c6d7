"""Names looked up without holding anybody up, and which addresses are public."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from contextlib import suppress

from speech.errors import Busy

MAX_LOOKUPS = 64
"""Lookups under way at most. Nobody can end one: one that hangs outlives whoever asked."""

_NOT_PUBLIC_4 = tuple(
    ipaddress.IPv4Network(network)
    for network in """
    0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24
    192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15
    198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 168.63.129.16/32
    """.split()
)
"""IANA's special-purpose registry and multicast; the last is where Azure answers its own machines."""

_GLOBAL_UNICAST_6 = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(
    ipaddress.IPv6Network(network) for network in "2001::/23 2001:db8::/32 2002::/16 3fff::/20".split()
)
"""Protocol assignments with Teredo, documentation, 6to4, documentation again."""

_EMBEDDING_6 = tuple(ipaddress.IPv6Network(network) for network in "::ffff:0:0/96 64:ff9b::/96".split())
"""IPv4-mapped, and NAT64's well-known prefix (RFC 6052): the last 32 bits are an IPv4 address."""


def is_public_address(address: str) -> bool:
    """Whether an IP address, as text, is one that anybody in the Internet can mean.

    An address that carries an IPv4 address (mapped, NAT64) is as public as that one; 6to4 and Teredo
    carry one too, and are never public: nobody serves anything there. Raises ValueError for what is
    no address.
    """
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        if not any(ip in network for network in _EMBEDDING_6):
            return ip in _GLOBAL_UNICAST_6 and not any(ip in network for network in _NOT_PUBLIC_6)
        ip = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return not any(ip in network for network in _NOT_PUBLIC_4)


def is_own_address(address: str) -> bool:
    """Whether an IP address is this machine's: what listens there may be closed to everybody else.

    Nothing is sent: a datagram socket that connects only learns its route.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 9))
            return bool(probe.getsockname()[0] == address)
    except OSError:
        return False


class Resolver:
    """The system's resolver, each lookup in a thread of its own that nobody waits for in the end."""

    def __init__(self) -> None:
        self._under_way = 0

    async def resolve(self, host: str, port: int) -> list[str]:
        """The addresses of ``host`` as text, the preferred one first; none if there is no such name.

        A number in any form that the system reads (``0x7f.1``, ``2130706433``) is the address that
        it stands for. Raises Busy while MAX_LOOKUPS are under way.
        """
        if self._under_way >= MAX_LOOKUPS:
            raise Busy("too many names are being looked up: try again later")
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[str]] = loop.create_future()

        def settle(addresses: list[str]) -> None:
            self._under_way -= 1
            if not found.done():
                found.set_result(addresses)

        def ask() -> None:
            addresses = _addresses(host, port)
            # The loop may have ended meanwhile.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(settle, addresses)

        self._under_way += 1
        # No pool: at the end of the process Python would wait for a pool's threads.
        threading.Thread(target=ask, name=f"lookup {self._under_way}", daemon=True).start()
        return await found


def _addresses(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
