"""Names and addresses of hosts, as they are written: none is resolved."""

import ipaddress
from urllib.parse import urlsplit

_PRIVATE_DOMAINS = (".localhost", ".local", ".lan", ".internal", ".home.arpa")


def is_loopback(host: str) -> bool:
    """Return True if ``host`` (a name or an address, without a port) can only mean this machine.

    No name is resolved, as a resolver's answer can change: ``localhost`` and names under it count.
    """
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_private(host: str) -> bool:
    """Return True if ``host`` is of this machine or of a private network, as its address or name says.

    No name is resolved: one without a dot, and one under a domain that the internet does not have, counts.
    """
    name = host.strip("[]").rstrip(".").lower()
    try:
        return ipaddress.ip_address(name).is_private
    except ValueError:
        return bool(name) and ("." not in name or name.endswith(_PRIVATE_DOMAINS))


def host_name(host: str) -> str:
    """Name in a Host header, or in an Origin after its scheme: without port, lower case; empty if invalid."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def is_ip_address(name: str) -> bool:
    """Return True if ``name`` is an IP address, which no DNS record can redirect."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_confidential(address: str) -> bool:
    """Return True if a key may be sent to an address: it is encrypted, or stays on this machine."""
    parts = urlsplit(address)
    return parts.scheme == "https" or is_loopback(parts.hostname or "")
