"""Names and addresses of hosts, as they are written: none is resolved."""

import ipaddress
from urllib.parse import urlsplit

_PRIVATE_DOMAINS = (".localhost", ".local", ".lan", ".internal", ".home.arpa")


def is_loopback(host: str) -> bool:
    """Return True if ``host`` (a name or an address, without a port) can only mean this machine.

    No name is resolved, as a resolver's answer can change: ``localhost`` and names under it count.
    """
    name = host.strip("[]").rstrip(".").lower()
    address = _address(name)
    return address.is_loopback if address else name == "localhost" or name.endswith(".localhost")


def is_private(host: str) -> bool:
    """Return True if ``host`` is of this machine or of a private network, as its address or name says.

    No name is resolved: one without a dot, and one under a domain that the internet does not have, counts.
    """
    name = host.strip("[]").rstrip(".").lower()
    if address := _address(name):
        return address.is_private
    return bool(name) and ("." not in name or name.endswith(_PRIVATE_DOMAINS))


def host_name(host: str) -> str:
    """Name in a Host header, or in an Origin after its scheme: without port, lower case; empty if invalid."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def is_ip_address(name: str) -> bool:
    """Return True if ``name`` is an IP address, which no DNS record can redirect."""
    return _address(name) is not None


def is_confidential(address: str) -> bool:
    """Return True if a key may be sent to an address: it is encrypted, or stays on this machine."""
    parts = urlsplit(address)
    number = _address(parts.hostname or "")
    # A resolver may send a name under localhost to another machine.
    stays = parts.hostname == "localhost" if number is None else number.is_loopback
    return parts.scheme == "https" or stays


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
