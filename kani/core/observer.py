"""Callbacks that receive the core's events and durations."""

from collections.abc import Callable


class Observer:
    """Callbacks of a service, which do nothing here. Each returns at once and never raises.

    ``protocol`` is the name that a session was opened with, ``engine`` an engine's name.
    """

    def engine_ready(self, engine: str, slots: Callable[[], int]) -> None:
        """An engine has started; ``slots`` returns its current number of slots."""

    def watch_loaded(self, engine: str, loaded: Callable[[], bool]) -> None:
        """An engine or a recogniser is there; ``loaded`` returns whether it is in memory now."""

    def watch_slots(self, waiting: Callable[[], int], in_use: Callable[[], int]) -> None:
        """``waiting`` returns how many segments wait for a slot now, ``in_use`` how many have one."""

    def session_opened(self, protocol: str) -> None:
        """A session was admitted."""

    def session_closed(self, protocol: str) -> None:
        """A session ended, however it ended."""

    def synthesis_ended(self, protocol: str, outcome: str, seconds: float, characters: int) -> None:
        """A speech session ended, ``seconds`` after it was opened, with ``characters`` of text.

        outcome: "completed": all text was spoken; "cancelled": the client cancelled or left, or the server
        stopped; "failed": an engine failed; "timeout": the client waited longer than the limit; "refused":
        the queue was full; "invalid": the request could not be spoken.
        """

    def slot_acquired(self, protocol: str, engine: str, seconds: float) -> None:
        """A segment got its slot, after ``seconds`` in the queue (most often 0)."""

    def first_audio(self, protocol: str, engine: str, seconds: float) -> None:
        """A session's first audio was ready, ``seconds`` after its first text."""

    def segment_synthesized(self, protocol: str, engine: str, wall_s: float, audio_s: float) -> None:
        """An engine synthesized a segment of ``audio_s`` seconds in ``wall_s`` seconds."""

    def timing_estimated(self, protocol: str, engine: str) -> None:
        """A segment's words could not be aligned with its audio: their times are estimates."""

    def session_cancelled(self, protocol: str) -> None:
        """A session was cancelled, or left by its client, before its speech was complete."""

    def session_refused(self, protocol: str, reason: str) -> None:
        """A session was not admitted: "sessions", "queue", "rate" or "draining"."""

    def engine_failed(self, protocol: str, engine: str) -> None:
        """An engine failed."""

    def recognition_opened(self, protocol: str) -> None:
        """A recognition session was admitted (``session_opened`` is called too)."""

    def recognition_closed(self, protocol: str) -> None:
        """A recognition session ended, however it ended."""

    def audio_recognized(self, protocol: str, audio_s: float, lag_s: float) -> None:
        """``audio_s`` seconds more were recognised, ``lag_s`` seconds later than possible."""

    def turn_stage(self, protocol: str, stage: str, seconds: float) -> None:
        """A stretch of a conversation's turn took ``seconds``.

        stage: "decided": from the user's last sound to the end of the turn; "heard": to its last word;
        "first_token": from the request to the model's first text; "first_audio": to the first audio of it.
        """

    def early_answer(self, protocol: str, outcome: str) -> None:
        """An answer was begun in a pause of the user: "started", and later "used" or "dropped"."""
