"""A client's text, fed to a session: its words, and the rests between them."""

from __future__ import annotations

from dialects.kyutai.messages import BadMessage
from dialects.kyutai.words import WordTimes, parts
from speech.session import SpeechSession

MOST_BREAKS = 1000
"""Rests that one session may ask for: they cost no text, so the limit of that does not hold them."""


class Feeder:
    """Feeds one session; ``times`` tells when each word is spoken."""

    def __init__(self, session: SpeechSession) -> None:
        self._session = session
        self._breaks = 0
        self.times = WordTimes()

    def feed(self, text: str) -> bool:
        """Feed what a ``Text`` says; whether it ends in a word. Raises BadMessage and TextTooLong."""
        line = ""
        for part in parts(text):
            line += self.times.add(part)
            if isinstance(part, str):
                continue
            self._breaks += 1
            if self._breaks > MOST_BREAKS:
                raise BadMessage(f"text: too many breaks (at most {MOST_BREAKS})")
            self._session.feed(line)
            self._session.rest(part.seconds)
            line = ""
        self._session.feed(line)
        return bool(line)
