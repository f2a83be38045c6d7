"""The error of a client's message that a protocol cannot serve."""

from __future__ import annotations

from kani.text.foreign import Unreadable


class BadMessage(Exception):
    """A client's message, query or body that cannot be served; ``str()`` names the field and the limit."""

    @classmethod
    def of(cls, error: Unreadable, root: str) -> BadMessage:
        """Return the error as "field: reason"; ``root`` names a value that is no field."""
        return cls(f"{error.field or root}: {error.reason}")
