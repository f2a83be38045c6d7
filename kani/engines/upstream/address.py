"""Addresses of other services, and whether a key may be sent there."""

import ipaddress
from typing import Any
from urllib.parse import urlsplit


def web_address(value: Any, *, path: bool = False) -> Any:
    """Return an address without a slash at its end; path: whether it may have a path. Raises ValueError."""
    parts = urlsplit(value)
    extra = parts.query or parts.fragment or parts.username or (parts.path.strip("/") and not path)
    extra = extra or " " in value or parts.port == 0  # reading the port raises ValueError if it is no number
    if parts.scheme not in ("http", "https") or not parts.hostname or extra:
        version = "/v1" if path else ""
        raise ValueError(
            f"has to be an address like https://api.example{version} or http://localhost:11434{version}, "
            "without a key in it"
        )
    return value.rstrip("/")


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
