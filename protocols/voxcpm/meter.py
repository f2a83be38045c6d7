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

    def queued(self) -> None:
        """A request came, and waits for its turn."""

    def started(self) -> None:
        """It has its turn."""

    def ended(self, mode: str, status: str, seconds: float, begun: bool) -> None:
        """A request is over, so long after it came; begun: whether it had its turn."""

    def spoke(self, seconds: float) -> None:
        """A request was spoken to its end; so much audio it was."""

    def refused(self, code: str) -> None:
        """A client was told of an error."""
