"""A client's text, fed to a session: its words, and the rests between them."""

from __future__ import annotations

from protocols.kyutai.messages import BadMessage
from protocols.kyutai.words import LONGEST_TAG, WordTimes, parts
from speech.errors import TextTooLong
from speech.session.session import SpeechSession
from speech.text.markup.tags import LONGEST_BREAKS_S, MOST_BREAKS


class Feeder:
    """Feeds one session; ``times`` tells when each word is spoken, ``begun`` whether there were any."""

    def __init__(self, session: SpeechSession, max_text: int) -> None:
        """max_text: characters that the session takes, so that nothing longer is even looked at."""
        self._session = session
        self._max_text = max_text
        self._breaks = 0
        self._breaks_s = 0.0
        self.times = WordTimes()
        self.begun = False

    def feed(self, text: str) -> bool:
        """Feed what a ``Text`` says; whether it ends in a word. Raises BadMessage and TextTooLong."""
        if len(text) > self._max_text + MOST_BREAKS * LONGEST_TAG:
            raise TextTooLong(self._max_text)
        line = ""
        for part in parts(text):
            line += self.times.add(part)
            if isinstance(part, str):
                continue
            self._breaks += 1
            self._breaks_s += part.seconds
            if self._breaks > MOST_BREAKS or self._breaks_s > LONGEST_BREAKS_S:
                limit = f"at most {MOST_BREAKS}, and {LONGEST_BREAKS_S:g} s in all"
                raise BadMessage(f"text: too many breaks ({limit})")
            self._feed(line)
            self._session.rest(part.seconds)
            line = ""
        self._feed(line)
        return bool(line)

    def _feed(self, line: str) -> None:
        self.begun = self.begun or bool(line)
        self._session.feed(line)
