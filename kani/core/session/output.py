"""A session's audio on its way to the playout buffer, with the spans that tile the client's text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from kani.core.engine import EngineInfo
from kani.core.session.playout_buffer import PlayoutBuffer
from kani.core.session.report import SessionReport
from kani.core.timing.spans import SpanTiler
from kani.core.types import Samples, Span, SpeechChunk
from kani.text.incremental_text import IncrementalText
from kani.text.normalizer import SpokenText

EMPTY_TEXT_SILENCE_S = 0.2
"""Seconds of silence that answer a text with nothing speakable in it."""

TAIL_S = 0.01
"""Seconds of a segment's audio that are held back until the segment is complete: spans that are certain only
then need samples to go with."""

NO_SAMPLES: Samples = np.zeros(0, np.float32)


@dataclass(eq=False)
class OutputStream:
    """Turns segments' audio and word spans into the chunks of the session. One writer."""

    _engine: EngineInfo
    _buffer: PlayoutBuffer
    _report: SessionReport
    _audio_made: Callable[[float], None]  # called with the seconds of all audio that is added
    _tiler: SpanTiler = field(default_factory=SpanTiler)
    _text: IncrementalText = field(init=False)  # of the current segment, or the last one
    _start_s: float = 0.0  # time at which the current segment began
    _tiled: int = 0  # characters of the current segment's spoken form that were added with their words
    _tail: Samples = field(init=False)  # the segment's samples that are held back
    samples: int = 0  # number of samples so far

    def __post_init__(self) -> None:
        self.sample_rate = self._engine.sample_rate  # hertz of all that is added

    @property
    def duration_s(self) -> float:
        return self.samples / self.sample_rate

    def begin_segment(self, text: IncrementalText) -> None:
        """Begin a segment; the spans of its chunks point into the spoken form of ``text``."""
        self._text = text
        self._start_s = self.duration_s
        self._tiled = 0
        self._tail = NO_SAMPLES

    def add(self, chunk: SpeechChunk) -> None:
        """Add a chunk of the segment, and its last ``TAIL_S`` with the next one.

        Spans are emitted once they are certain, in the client's characters and the stream's seconds.
        """
        spoken, spans = self._text.spoken, []
        for word in chunk.spans:
            between, self._tiled = spoken.text[self._tiled : word.start], word.end
            spans += self._tiler.add_word(_to_client_text(word, spoken, self._start_s), between)
            if not spoken.shares_origin(word.end):
                spans += self._tiler.flush()
        samples = np.concatenate([self._tail, chunk.samples])
        at = -round(TAIL_S * self.sample_rate)
        self._tail = samples[at:]
        self._put(samples[:at], spans)

    def end_segment(self, length: int | None) -> None:
        """Add the segment's last samples, its last word and the characters after it.

        length: characters of the whole text, where this was the last speakable segment.
        """
        end_s = self.duration_s + len(self._tail) / self.sample_rate
        after = self._text.text[self._tiled :] + ("" if length is not None else " ")
        spans = self._tiler.add_spoken(after)
        # A text for which the engine had no sound at all gets its silence from ``finish``.
        if length is not None and end_s > 0.0:
            spans += self._tiler.finish(length, end_s)
        self._put(self._tail, spans)

    def add_silence(self, seconds: float) -> None:
        self._put(self._silence(seconds), [])

    def add_pause(self, at: int, seconds: float) -> None:
        """Add silence with a span of its own, before the client's character ``at``."""
        start_s = self.duration_s
        self._put(self._silence(seconds), self._tiler.add_pause(at, start_s, start_s + seconds))

    def finish(self, length: int) -> bool:
        """Close the tiling of a text of ``length`` characters.

        Returns False if there is no audio: a short silence is added then.
        """
        has_audio = self.samples > 0
        silence = NO_SAMPLES if has_audio else self._silence(EMPTY_TEXT_SILENCE_S)
        self._put(silence, self._tiler.finish(length, (self.samples + len(silence)) / self.sample_rate))
        return has_audio

    def _silence(self, seconds: float) -> Samples:
        return np.zeros(round(seconds * self.sample_rate), np.float32)

    def _put(self, samples: Samples, spans: list[Span]) -> None:
        if not len(samples) and not spans:
            return
        start_s = self.duration_s
        if len(samples):
            self._report.audio_made(self._engine, len(samples))
        self.samples += len(samples)
        self._buffer.put(SpeechChunk(samples, self.sample_rate, start_s, tuple(spans)))
        self._audio_made(len(samples) / self.sample_rate)


def _to_client_text(word: Span, spoken: SpokenText, start_s: float) -> Span:
    """Map a word of a segment that began at ``start_s`` to the client's text and the stream's time."""
    first, last = spoken.origin(word.start, word.end)
    character_starts: tuple[float, ...] = ()
    if word.character_starts:
        written, index = np.unique(spoken.starts[word.start : word.end], return_index=True)
        times_s = start_s + np.array([*np.take(word.character_starts, index), word.end_s])
        character_starts = tuple(np.interp(range(first, last), [*written, last], times_s).tolist())
    spoken_form = spoken.text[word.start : word.end]
    return Span(first, last, start_s + word.start_s, start_s + word.end_s, character_starts, spoken_form)
