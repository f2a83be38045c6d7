"""What the core tells whoever counts and times it."""

from __future__ import annotations


class Observer:
    """Callbacks of a service; each returns at once and never raises. This one keeps nothing.

    ``protocol`` is the name a dialect opened its session with, ``engine`` an engine's name.
    """

    def session_opened(self, protocol: str) -> None:
        """A session was admitted."""

    def session_closed(self, protocol: str) -> None:
        """A session ended, however it ended."""

    def first_audio(self, protocol: str, engine: str, seconds: float) -> None:
        """A session's first audio was ready, ``seconds`` after its first text."""

    def segment_spoken(self, protocol: str, engine: str, wall_s: float, audio_s: float) -> None:
        """An engine spoke a segment of ``audio_s`` seconds in ``wall_s`` seconds."""

    def cancelled(self, protocol: str) -> None:
        """A session was ended by its client before its speech was complete."""

    def refused(self, protocol: str, reason: str) -> None:
        """A session was not admitted: "sessions", "queue", "rate" or "draining"."""

    def failed(self, protocol: str, engine: str) -> None:
        """An engine broke."""

    def waiting(self, count: int) -> None:
        """So many syntheses wait for an engine place now."""

    def speaking(self, count: int) -> None:
        """So many engine places are taken now."""
