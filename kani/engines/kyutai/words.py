"""Words of a script that grows, and words with times from the recogniser's text tokens.

The recogniser writes one token for each frame: END_OF_PADDING where a word begins, the word's pieces, and
padding until the next. A word's time is that of the audio ``text`` frames before its token, as in
moshi-server.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from kani.core.recognizer import STEP_S
from kani.core.transcriber import TranscribedWord

END_OF_PADDING = 0
MAX_WORD_TOKENS = 64
"""Tokens after which a word ends without padding: a model that writes on and on must not fill the memory."""

_REST_S = 1.0
_WORD = re.compile(r"[^\s:]+")
_LEFT_OUT = str.maketrans("’", "'", "()")


class ScriptWord(NamedTuple):
    """A word of the script, and its characters in the text, ``[start, end)``."""

    start: int
    end: int
    written: str  # as the tokenizer reads it


def words(text: str, start: int = 0) -> list[ScriptWord]:
    """Split a text from ``start`` as the package's ``script_to_entries`` does: at spaces and colons, without
    parentheses.
    """
    found = (ScriptWord(*word.span(), word[0].translate(_LEFT_OUT)) for word in _WORD.finditer(text, start))
    return [word for word in found if word.written]


class Script:
    """The words of a segment, also while it is being written."""

    def __init__(self) -> None:
        self.words: list[ScriptWord] = []  # words taken so far

    def take(self, text: str, *, complete: bool) -> list[ScriptWord]:
        """Return the words that ``text``, which has only grown, has more than before.

        While it is not complete, a word is left out until a space follows: marks could still do so.
        """
        new = words(text, self.words[-1].end if self.words else 0)
        if not complete and new and new[-1].end == len(text):
            new.pop()
        self.words += new
        return new


@dataclass(frozen=True, slots=True)
class Delays:
    """Numbers of frames of ``STEP_S``."""

    before: int  # silence before the audio
    text: int  # between a word and its text
    after: int  # silence after the audio that decides its last words

    @classmethod
    def of_seconds(cls, before_s: float, text_s: float) -> Delays:
        """Round the seconds of a checkpoint's settings as Kyutai's own servers do: 0.5 s are 6 frames.

        After the audio follows a second more than the delay, as in the package's ``run_inference``.
        """
        return cls(
            math.ceil(before_s / STEP_S), math.floor(text_s / STEP_S), math.ceil((text_s + _REST_S) / STEP_S)
        )

    @property
    def text_s(self) -> float:
        """Seconds of audio from a word to its text."""
        return self.text * STEP_S


class WordAssembler:
    def __init__(self, delays: Delays, padding: int, decode: Callable[[Sequence[int]], str]) -> None:
        """padding: the token between words; decode: returns the text of tokens."""
        self._ending = (END_OF_PADDING, padding)
        self._decode = decode
        self._now_s = (2 - delays.before - delays.text) * STEP_S
        self._tokens: list[int] = []
        self._probability = 1.0
        self._begun_s: float | None = None
        self._last_end_s = 0.0

    @property
    def pending(self) -> bool:
        """True within a word, before its end is known."""
        return bool(self._tokens)

    def take(self, token: int, probability: float) -> list[TranscribedWord]:
        """Accept the token of the next frame; returns the words that it ends."""
        now_s, self._now_s = self._now_s, self._now_s + STEP_S
        if now_s < 0:
            # Text that the model writes before any audio can have reached it is no speech.
            return []
        if token not in self._ending:
            if not self._tokens and self._begun_s is None:
                self._begun_s = now_s
            self._tokens.append(token)
            self._probability = min(self._probability, probability)
            return self._end(now_s) if len(self._tokens) >= MAX_WORD_TOKENS else []
        words = self._end(now_s)
        if token == END_OF_PADDING:
            self._begun_s = now_s
        return words

    def finish(self) -> list[TranscribedWord]:
        """End the last word: no more tokens come."""
        return self._end(self._now_s)

    def _end(self, now_s: float) -> list[TranscribedWord]:
        """End the word at ``now_s``; several if its text has spaces, none if there is no text."""
        tokens, begun_s = self._tokens, self._begun_s
        if not tokens or begun_s is None:
            return []
        likely = math.log(max(self._probability, 1e-10))
        self._tokens, self._begun_s, self._probability = [], None, 1.0
        parts = self._decode(tokens).split()
        start_s = max(begun_s, self._last_end_s)
        length_s = max(now_s - start_s, 0.0) / max(len(parts), 1)
        words = [
            TranscribedWord(part, start_s + at * length_s, start_s + (at + 1) * length_s, likely)
            for at, part in enumerate(parts)
        ]
        if words:
            self._last_end_s = words[-1].end_s
        return words
