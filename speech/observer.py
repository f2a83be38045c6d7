"""What the core tells whoever counts and times it."""

from __future__ import annotations

from collections.abc import Callable


class Observer:
    """Callbacks of a service; each returns at once and never raises. This one keeps nothing.

    ``protocol`` is the name a dialect opened its session with, ``engine`` an engine's name.
    """

    def engine_ready(self, engine: str, slots: Callable[[], int]) -> None:
        """An engine has started; ``places`` tells how many segments it speaks at once now, at most."""

    def session_opened(self, protocol: str) -> None:
        """A session was admitted."""

    def session_closed(self, protocol: str) -> None:
        """A session ended, however it ended."""

    def synthesis_ended(self, protocol: str, outcome: str, seconds: float, characters: int) -> None:
        """How a session that spoke ended, ``seconds`` after it was opened, given so many characters.

        outcome: "completed": all of it was spoken; "cancelled": its client ended it or left, or the
        server stopped; "failed": an engine broke; "timeout": its client waited longer than the server
        lets it; "refused": too many syntheses waited already; "invalid": it could not be spoken.
        """

    def slot_acquired(self, protocol: str, engine: str, seconds: float) -> None:
        """A segment got its engine place after so long in the queue, most often at once."""

    def first_audio(self, protocol: str, engine: str, seconds: float) -> None:
        """A session's first audio was ready, ``seconds`` after its first text."""

    def segment_synthesized(self, protocol: str, engine: str, wall_s: float, audio_s: float) -> None:
        """An engine spoke a segment of ``audio_s`` seconds in ``wall_s`` seconds."""

    def timing_estimated(self, protocol: str, engine: str) -> None:
        """The words of a segment were not found in its audio: their times are estimates."""

    def session_cancelled(self, protocol: str) -> None:
        """A session was ended by its client before its speech was complete."""

    def session_refused(self, protocol: str, reason: str) -> None:
        """A session was not admitted: "sessions", "queue", "rate" or "draining"."""

    def engine_failed(self, protocol: str, engine: str) -> None:
        """An engine broke."""

    def waiting_changed(self, count: int) -> None:
        """So many syntheses wait for an engine place now."""

    def slots_in_use_changed(self, count: int) -> None:
        """So many engine places are taken now."""

    def recognition_opened(self, protocol: str) -> None:
        """A session that listens was admitted (``session_opened`` is told too)."""

    def recognition_closed(self, protocol: str) -> None:
        """It ended, however it ended."""

    def audio_recognized(self, protocol: str, audio_s: float, lag_s: float) -> None:
        """``audio_s`` seconds more were heard, ``behind_s`` seconds after they could have been."""
