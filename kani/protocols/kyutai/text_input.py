"""Feeds a client's text to its session: words, and the pauses of ``<break>`` tags."""

from __future__ import annotations

from kani.core.errors import TextTooLong
from kani.core.session.session import SpeechSession
from kani.protocols.kyutai.words import MAX_BREAK_TAG_LENGTH, WordAligner, split_text
from kani.protocols.shared.errors import BadMessage
from kani.text.markup.tags import MAX_BREAKS, MAX_TOTAL_BREAKS_S
from kani.text.ssml import begins_document


class TextFeeder:
    """Feeds one session, and times its words.

    max_text: characters that the session accepts; a longer text is refused before it is split.
    """

    def __init__(self, session: SpeechSession, max_text: int) -> None:
        self._session = session
        self._max_text = max_text
        self._breaks = 0
        self._breaks_s = 0.0
        self._document = False
        """True once the text is SSML, in which the session finds the breaks."""
        self.aligner = WordAligner()
        self.has_text = False
        """True once any word was fed."""

    def feed(self, text: str) -> bool:
        """Feed a text; return whether it ends in a word. Raises BadMessage and TextTooLong."""
        if len(text) > self._max_text + MAX_BREAKS * MAX_BREAK_TAG_LENGTH:
            raise TextTooLong(self._max_text)
        line = ""
        self._document = self._document or (not self.has_text and begins_document(text) is True)
        for part in split_text(text, breaks=not self._document):
            line += self.aligner.add(part)
            if isinstance(part, str):
                continue
            self._breaks += 1
            self._breaks_s += part.seconds
            if self._breaks > MAX_BREAKS or self._breaks_s > MAX_TOTAL_BREAKS_S:
                limit = f"at most {MAX_BREAKS}, and {MAX_TOTAL_BREAKS_S:g} s in all"
                raise BadMessage(f"text: too many breaks ({limit})")
            self._feed(line)
            self._session.add_pause(part.seconds)
            line = ""
        self._feed(line)
        return bool(line)

    def _feed(self, line: str) -> None:
        self.has_text = self.has_text or bool(line)
        self._session.feed(line)
