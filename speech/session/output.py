"""The audio of a session so far, on its way to its reader, with the spans that tile its text."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from speech.engine import EngineInfo
from speech.session.playout_buffer import PlayoutBuffer
from speech.session.report import SessionReport
from speech.text.normalizer import SpokenText
from speech.timing.spans import SpanTiler
from speech.types import Samples, Span, SpeechChunk

EMPTY_TEXT_SILENCE_S = 0.2
"""What is sent for a text with nothing to say."""

NO_SAMPLES: Samples = np.zeros(0, np.float32)


class OutputStream:
    """One writer. ``engine`` is whose audio it holds; nothing can be added before it is known.

    made: called with the seconds of all audio that is added.
    """

    def __init__(self, buffer: PlayoutBuffer, account: SessionReport, made: Callable[[float], None]) -> None:
        self._made = made
        self._buffer = buffer
        self._account = account
        self._tiler = SpanTiler()
        self.engine: EngineInfo | None = None
        self._told = 0
        self.samples = 0
        """How many samples there are."""

    @property
    def sample_rate(self) -> int:
        """Hertz. RuntimeError before ``engine`` is known."""
        return self._engine.sample_rate

    @property
    def duration_s(self) -> float:
        """Seconds of audio so far."""
        return self.samples / self.sample_rate

    @property
    def _engine(self) -> EngineInfo:
        if self.engine is None:
            raise RuntimeError("nobody speaks yet")
        return self.engine

    def add(self, samples: Samples, words: tuple[Span, ...], spoken: SpokenText, start_s: float) -> None:
        """Add audio, and words of the segment ``spoken``, which began at ``start_s``.

        Their spans are told once they are certain, in the client's characters and the stream's seconds.
        """
        spans = []
        for word in words:
            between, self._told = spoken.text[self._told : word.start], word.end
            spans += self._tiler.add_word(_as_written(word, spoken, start_s), between)
            if not spoken.shares_origin(word.end):
                spans += self._tiler.flush()
        self._put(samples, spans)

    def end_segment(self, tail: Samples, spoken: SpokenText, length: int | None) -> None:
        """Add a segment's last samples, and its last word and what is behind it.

        length: characters of the whole text, where it was the last segment with anything to say.
        """
        end_s = self.duration_s + len(tail) / self.sample_rate
        spans = self._tiler.add_spoken(spoken.text[self._told :] + ("" if length is not None else " "))
        self._told = 0
        # A text for which the engine had no sound at all gets its silence from ``finish``.
        if length is not None and end_s > 0.0:
            spans += self._tiler.finish(length, end_s)
        self._put(tail, spans)

    def add_silence(self, seconds: float) -> None:
        """Add silence."""
        self._put(self._silent(seconds), [])

    def add_pause(self, at: int, seconds: float) -> None:
        """Add silence that was asked for before the character ``at``."""
        start_s = self.duration_s
        self._put(self._silent(seconds), self._tiler.add_pause(at, start_s, start_s + seconds))

    def finish(self, length: int) -> bool:
        """Close the tiling of a text of ``length`` characters; False where it had nothing to be said.

        It is a short silence then.
        """
        said = self.samples > 0
        silence = NO_SAMPLES if said else self._silent(EMPTY_TEXT_SILENCE_S)
        self._put(silence, self._tiler.finish(length, (self.samples + len(silence)) / self.sample_rate))
        return said

    def _silent(self, seconds: float) -> Samples:
        return np.zeros(round(seconds * self.sample_rate), np.float32)

    def _put(self, samples: Samples, spans: list[Span]) -> None:
        if not len(samples) and not spans:
            return
        start_s = self.duration_s
        if len(samples):
            self._account.audio_made(self._engine, len(samples))
        self.samples += len(samples)
        self._buffer.put(SpeechChunk(samples, self.sample_rate, start_s, tuple(spans)))
        self._made(len(samples) / self.sample_rate)


def _as_written(word: Span, spoken: SpokenText, start_s: float) -> Span:
    """A word of a segment that began at ``start_s``, in the client's characters and the stream's seconds."""
    first, last = spoken.origin(word.start, word.end)
    marks: tuple[float, ...] = ()
    if word.character_starts:
        written, index = np.unique(spoken.starts[word.start : word.end], return_index=True)
        times_s = start_s + np.array([*np.take(word.character_starts, index), word.end_s])
        marks = tuple(np.interp(range(first, last), [*written, last], times_s).tolist())
    said = spoken.text[word.start : word.end]
    return Span(first, last, start_s + word.start_s, start_s + word.end_s, marks, said)
