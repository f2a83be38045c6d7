"""Joins text tokens to words with times.

The model writes one token for each frame: END_OF_PADDING where a word begins, the word's pieces, and padding
until the next. The word's time is that of the audio ``Delays.text`` frames before its token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kani.engines.kyutai.delays import Delays
from kani.engines.kyutai.step import Token

END_OF_PADDING = 0
MAX_WORD_TOKENS = 64
"""Tokens after which a word ends without padding: a model that writes on and on must not fill the memory."""


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word with its punctuation, without spaces; times in seconds since the audio began."""

    text: str
    start_s: float
    end_s: float
    tokens: tuple[int, ...]
    log_probability: float
    """Log probability of its least likely token."""


class WordAssembler:
    """The words of one stream."""

    def __init__(self, delays: Delays, padding: int, decode: Callable[[Sequence[int]], str]) -> None:
        """padding: the token between words; decode: returns the text of tokens."""
        self._delays = delays
        self._ending = (END_OF_PADDING, padding)
        self._decode = decode
        self._tokens: list[Token] = []
        self._begun_s: float | None = None
        self._last_end_s = 0.0

    @property
    def pending(self) -> bool:
        """True within a word, before its end is known."""
        return bool(self._tokens)

    @property
    def pending_since_s(self) -> float:
        """Start of the word that is pending."""
        assert self._begun_s is not None
        return self._begun_s

    def take(self, token: Token) -> list[TimedWord]:
        """Accept the next token; returns the words that it ends."""
        now_s = self._delays.time_s(token.position)
        if now_s < 0:
            # Text that the model writes before any audio can have reached it is no speech.
            return []
        if token.number not in self._ending:
            if not self._tokens and self._begun_s is None:
                self._begun_s = now_s
            self._tokens.append(token)
            return self.finish(now_s) if len(self._tokens) >= MAX_WORD_TOKENS else []
        words = self.finish(now_s)
        if token.number == END_OF_PADDING:
            self._begun_s = now_s
        return words

    def finish(self, now_s: float) -> list[TimedWord]:
        """End the word at ``now_s``; several if its text has spaces, none if there is no text."""
        tokens, begun_s = self._tokens, self._begun_s
        if not tokens or begun_s is None:
            return []
        self._tokens, self._begun_s = [], None
        numbers = tuple(token.number for token in tokens)
        parts = self._decode(numbers).split()
        start_s = max(begun_s, self._last_end_s)
        length_s = max(now_s - start_s, 0.0) / max(len(parts), 1)
        probability = min(token.log_probability for token in tokens)
        words = [
            TimedWord(
                part,
                start_s + at * length_s,
                start_s + (at + 1) * length_s,
                # The tokens stay together: with the last part.
                numbers if at + 1 == len(parts) else (),
                probability,
            )
            for at, part in enumerate(parts)
        ]
        if words:
            self._last_end_s = words[-1].end_s
        return words
