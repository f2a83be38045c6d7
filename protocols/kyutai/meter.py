"""What Kyutai's dialect tells whoever counts and times it."""

from __future__ import annotations


class Meter:
    """Callbacks; each returns at once and never raises. This one keeps nothing.

    A step is a frame of 80 ms, spoken or heard.
    """

    def speech_opened(self) -> None:
        """A client connected to hear speech."""

    def speech_closed(self, steps: int) -> None:
        """It has gone, after so many steps."""

    def frames_spoken(self, steps: int, seconds: float) -> None:
        """So many steps were ready ``seconds`` after those before them, or after their text."""

    def idle_flushed(self) -> None:
        """What was there is spoken without what may still come, which was waited for long enough."""

    def recognition_opened(self) -> None:
        """A client connected to be heard."""

    def recognition_closed(self, steps: int) -> None:
        """It has gone, after so many steps."""

    def frame_recognized(self, seconds: float) -> None:
        """A step was told ``seconds`` after its audio was there."""

    def voice_embedded(self, seconds: float) -> None:
        """A recording was turned into a voice."""
