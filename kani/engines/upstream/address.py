"""Rule for the addresses that a key may be sent to."""

import ipaddress
from urllib.parse import urlsplit


def is_confidential(base_url: str) -> bool:
    """Return whether ``base_url`` is encrypted, or stays on this machine."""
    parts = urlsplit(base_url)
    if parts.scheme == "https":
        return True
    host = parts.hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
