"""What VoxCPM's dialect tells whoever counts and times it."""

from __future__ import annotations


class Meter:
    """Callbacks; each returns at once and never raises. This one keeps nothing.

    mode: "streaming" or "non_streaming"; status: "success", "failed" or "cancelled"; code: one of the
    protocol's error codes.
    """

    def connected(self) -> None:
        """A client connected."""

    def disconnected(self) -> None:
        """It has gone."""

    def request_queued(self) -> None:
        """A request came, and waits for its turn."""

    def request_started(self) -> None:
        """It has its turn."""

    def request_ended(self, mode: str, status: str, seconds: float, begun: bool) -> None:
        """A request is over, so long after it came; begun: whether it had its turn."""

    def request_spoken(self, seconds: float) -> None:
        """A request was spoken to its end; so much audio it was."""

    def error_sent(self, code: str) -> None:
        """A client was told of an error."""
