"""What Kyutai's dialect tells whoever counts and times it."""

from __future__ import annotations


class Meter:
    """Callbacks; each returns at once and never raises. This one keeps nothing.

    A step is a frame of 80 ms, spoken or heard.
    """

    def speaking_opened(self) -> None:
        """A client connected to hear speech."""

    def speaking_closed(self, steps: int) -> None:
        """It has gone, after so many steps."""

    def spoke(self, steps: int, seconds: float) -> None:
        """So many steps were ready ``seconds`` after those before them, or after their text."""

    def waited_for_words(self) -> None:
        """What was there is spoken without what may still come, which was waited for long enough."""

    def listening_opened(self) -> None:
        """A client connected to be heard."""

    def listening_closed(self, steps: int) -> None:
        """It has gone, after so many steps."""

    def listened(self, seconds: float) -> None:
        """A step was told ``seconds`` after its audio was there."""

    def voice_made(self, seconds: float) -> None:
        """A recording was turned into a voice."""
