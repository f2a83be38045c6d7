"""The error of a client's message that a protocol cannot serve."""

from __future__ import annotations

import msgspec


class BadMessage(Exception):
    """A client's message, query or body that cannot be served; ``str()`` names the field and the limit."""


def validation_error(error: msgspec.ValidationError, root: str) -> BadMessage:
    """Convert msgspec's error into "field: reason"; ``root`` names a value that is no field."""
    reason, _, path = str(error).partition(" - at `$")
    field = path.rstrip("`").removeprefix(".") or root
    return BadMessage(f"{field}: {reason[:1].lower()}{reason[1:]}")
