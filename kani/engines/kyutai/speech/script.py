"""A text as the model's script, its words, taken as the text grows; and the words' times."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from kani.core.types import Samples, Span
from kani.runtime.silence_trim import KEPT_SILENCE_S, SilenceTrimmer

AUDIBLE = 0.004
"""A peak below this (−48 dB of full scale) is silence."""

STEP_S = 0.08
"""Seconds of a step of the model, and of a frame of its audio."""

_WORD = re.compile(r"[^\s:]+")
_LEFT_OUT = str.maketrans("’", "'", "()")


class Word(NamedTuple):
    """A word of the script."""

    start: int
    """First character in the text."""
    end: int
    """The character after the last one."""
    written: str
    """The word as the tokenizer reads it."""


def words(text: str, start: int = 0) -> list[Word]:
    """Split a text from ``start`` as the package's ``script_to_entries`` does: at spaces and colons, without
    parentheses.
    """
    found = (Word(*word.span(), word[0].translate(_LEFT_OUT)) for word in _WORD.finditer(text, start))
    return [word for word in found if word.written]


class Script:
    """The words of a segment, also while it is being written."""

    def __init__(self) -> None:
        self.words: list[Word] = []
        """Words taken so far."""
        self._taken = 0

    def take(self, text: str, *, complete: bool) -> list[Word]:
        """Return the words that ``text``, which has only grown, has more than before.

        While it is not complete, a word is left out until a space follows: marks could still do so.
        """
        new = words(text, self._taken)
        if not complete and new and new[-1].end == len(text):
            new.pop()
        if new:
            self._taken = new[-1].end
            self.words += new
        return new


class TimedSpeech:
    """Frames of a segment without the silence around the speech, and the spans of its words."""

    def __init__(self, sample_rate: int, script: Script, word_steps: Callable[[], Sequence[int]]) -> None:
        """word_steps: returns the frame that each word begins with, of the words that have begun."""
        self._rate = sample_rate
        self._script = script
        self._word_steps = word_steps
        self._trim = SilenceTrimmer(sample_rate, AUDIBLE)
        self._fed = 0
        self._dropped: int | None = None
        self._timed = 0
        self.made = 0
        """Samples returned so far."""

    @property
    def end_s(self) -> float:
        """Seconds returned so far."""
        return self.made / self._rate

    def feed(self, frame: Samples) -> tuple[Samples, tuple[Span, ...]]:
        """Accept a frame; returns audio, and the spans of words that end in it."""
        audio = self._trim.feed(frame)
        if self._dropped is None and len(audio):
            first = int((abs(frame) >= AUDIBLE).argmax())
            self._dropped = max(self._fed + first - round(KEPT_SILENCE_S * self._rate), 0)
        self._fed += len(frame)
        self.made += len(audio)
        starts = self._starts()
        ended = [at for at in range(self._timed, len(starts) - 1) if starts[at + 1] <= self.end_s]
        spans = tuple(self._span(at, starts[at], starts[at + 1]) for at in ended)
        self._timed += len(spans)
        return audio, spans

    def finish(self) -> tuple[Samples, tuple[Span, ...]]:
        """Return the end of the audio, and the other spans."""
        rest = self._trim.finish()
        self.made += len(rest)
        starts = [start for start in self._starts() if start < self.end_s]
        ends = [*starts[1:], self.end_s]
        spans = tuple(self._span(at, starts[at], ends[at]) for at in range(self._timed, len(starts)))
        return rest, spans

    def _starts(self) -> list[float]:
        dropped_s = (self._dropped or 0) / self._rate
        return [max(step * STEP_S - dropped_s, 0.0) for step in self._word_steps()]

    def _span(self, at: int, start_s: float, end_s: float) -> Span:
        word = self._script.words[at]
        return Span(word.start, word.end, start_s, end_s)
