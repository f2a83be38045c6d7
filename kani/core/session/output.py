"""A session's audio: its spans, the buffer that its reader takes it from, and the time-out of the waits."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

import numpy as np

from kani.core.errors import SpeechError
from kani.core.session.report import SessionReport
from kani.core.timing.spans import SpanTiler
from kani.core.types import JOINED_S, Samples, Span, SpeechChunk
from kani_text.incremental_text import IncrementalText
from kani_text.normalizer import SpokenText


class PlayoutBuffer:
    """A queue of chunks that is bounded in seconds of audio. One writer, one reader.

    The writer awaits ``wait_writable`` before each piece of work, and holds no slot meanwhile. The buffer
    exceeds ``high_water_s`` by one piece at most: a chunk where the engine is pausable, else a segment.
    Writing resumes at half of that (low water), so that an engine wakes rarely and then works for a while.
    """

    def __init__(self, high_water_s: float) -> None:
        self._high_water_s = high_water_s
        self._chunks: deque[SpeechChunk] = deque()
        self._buffered_s = 0.0
        self._closed = False
        self._error: SpeechError | None = None
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()

    @property
    def error(self) -> SpeechError | None:
        return self._error if self._closed and not self._chunks else None

    @property
    def above_high_water(self) -> bool:
        """True if ``wait_writable`` would wait."""
        return not self._writable.is_set()

    async def wait_writable(self) -> None:
        """Return once the reader has taken enough for more to be written."""
        await self._writable.wait()

    def put(self, chunk: SpeechChunk) -> None:
        """Append ``chunk``; dropped once the buffer is closed."""
        if self._closed:
            return
        self._chunks.append(chunk)
        self._buffered_s += chunk.duration_s
        if self._buffered_s >= self._high_water_s:
            self._writable.clear()
        self._readable.set()

    def close(self, error: SpeechError | None = None) -> None:
        """Mark the end: after the buffered chunks ``get`` raises ``error``. Only the first call counts."""
        if not self._closed:
            self._closed = True
            self._error = error
            self._readable.set()

    def discard(self, error: SpeechError) -> None:
        """Drop the buffered chunks and close; ``get`` raises ``error`` from now on."""
        self._chunks.clear()
        self._buffered_s = 0.0
        self._closed = True
        self._error = error
        self._readable.set()

    async def wait_readable(self) -> None:
        """Return once there is the first chunk, or the end."""
        await self._readable.wait()

    async def get(
        self, waiting: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> SpeechChunk | None:
        """Return the next audio, or None at the end. Raises the error that the buffer was closed with.

        Chunks that wait already are given as one. waiting: makes the context of a wait, if there is one.
        """
        while not self._chunks:
            if self._closed:
                if self._error is not None:
                    raise self._error
                return None
            self._readable.clear()
            with waiting():
                await self._readable.wait()
        chunk = self._chunks.popleft()
        pieces, left = [chunk], JOINED_S * chunk.sample_rate - len(chunk.samples)
        while self._chunks and (left := left - len(self._chunks[0].samples)) >= 0:
            pieces.append(self._chunks.popleft())
        if len(pieces) > 1:
            chunk = SpeechChunk.joined(pieces)
        self._buffered_s = max(0.0, self._buffered_s - chunk.duration_s)
        if self._buffered_s <= self._high_water_s / 2:
            self._writable.set()
        return chunk


CLOCK_STEP_S = 0.001
"""Resolution of the event loop's alarms: one may ring so much early."""


class WaitTimeout:
    """Limit on the seconds for which a reader waits in all, once its text is complete.

    Only time inside ``waiting`` counts: a slow reader is not late.
    """

    def __init__(self, seconds: float, expired: Callable[[], None]) -> None:
        """seconds: 0 for no limit; expired: called once they have passed, and has to end the wait."""
        self._left_s = seconds
        self._expired = expired
        self._started = False
        self._waiting = False
        self._suspended = False
        self._since: float | None = None  # time on the loop's clock at which it began to count
        self._alarm: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Count from now on, the rest of a wait that is under way included."""
        self._started = self._left_s > 0
        self._count()

    def stop(self) -> None:
        """Stop for good, and drop the reference to the session, which may hold a recording."""
        self._started = False
        self._count()
        self._expired = lambda: None
        if self._alarm is not None:
            self._alarm.cancel()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time for which the body runs."""
        self._waiting = True
        self._count()
        try:
            yield
        finally:
            self._waiting = False
            self._count()

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Do not count while the body runs: other speech of the same client goes first."""
        self._suspended = True
        self._count()
        try:
            yield
        finally:
            self._suspended = False
            self._count()

    def _count(self) -> None:
        """Take off what has passed, and go on if it counts; one alarm lasts for many short waits."""
        loop = asyncio.get_running_loop()
        if self._since is not None:
            self._left_s -= loop.time() - self._since
        counts = self._started and self._waiting and not self._suspended
        self._since = loop.time() if counts else None
        if counts and self._alarm is None:
            self._alarm = loop.call_later(max(self._left_s, 0.0), self._ring)

    def _ring(self) -> None:
        self._alarm = None
        waited_s = 0.0 if self._since is None else asyncio.get_running_loop().time() - self._since
        if self._since is not None and waited_s >= self._left_s - CLOCK_STEP_S:
            self._expired()
        else:
            self._count()


EMPTY_TEXT_SILENCE_S = 0.2
"""Seconds of silence that answer a text with nothing speakable in it."""

TAIL_S = 0.01
"""Seconds of a segment's audio that are held back until the segment is complete: spans that are certain only
then need samples to go with."""

SETTLED_S = 0.05
"""Seconds of silence after characters that are settled: resampling holds back 40 ms, and they wait for their
samples."""

NO_SAMPLES: Samples = np.zeros(0, np.float32)


@dataclass(eq=False)
class OutputStream:
    """Turns segments' audio and word spans into the chunks of the session. One writer."""

    sample_rate: int  # hertz of all that is added
    _engine: str  # name, for the report
    _buffer: PlayoutBuffer
    _report: SessionReport
    _audio_made: Callable[[float], None]  # called with the seconds of all audio that is added
    _tiler: SpanTiler = field(default_factory=SpanTiler)
    _text: IncrementalText = field(init=False)  # of the current segment, or the last one
    _start_s: float = 0.0  # time at which the current segment began
    _tiled: int = 0  # characters of the current segment's spoken form that were added with their words
    _tail: Samples = field(init=False)  # the segment's samples that are held back
    samples: int = 0  # number of samples so far

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
            spans += self._tiler.add_word(to_client_text(word, spoken, self._start_s), between)
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

    def settle(self, length: int, seconds: float) -> bool:
        """Add silence, in which the characters after the last word end, for a text that is flushed.

        length: characters of the text so far; seconds: of the silence, more than ``SETTLED_S``. Returns False
        if there are no such characters, or nothing was spoken.
        """
        if not self.samples or self._tiler.end >= length:
            return False
        self._put(self._silence(seconds), self._tiler.finish(length, self.duration_s + seconds - SETTLED_S))
        return True

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
        chunk = SpeechChunk(samples, self.sample_rate, self.samples / self.sample_rate, tuple(spans))
        seconds = len(samples) / self.sample_rate
        if seconds:  # one call less for each chunk of spans only
            self._report.audio_made(self._engine, seconds)
        self.samples += len(samples)
        self._buffer.put(chunk)
        self._audio_made(seconds)


def to_client_text(word: Span, spoken: SpokenText, start_s: float) -> Span:
    """Map a word of a segment that began at ``start_s`` to the client's text and the stream's time."""
    first, last = spoken.origin(word.start, word.end)
    character_starts: tuple[float, ...] = ()
    if word.character_starts:
        written, index = np.unique(spoken.starts[word.start : word.end], return_index=True)
        times_s = start_s + np.array([*np.take(word.character_starts, index), word.end_s])
        character_starts = tuple(np.interp(range(first, last), [*written, last], times_s).tolist())
    spoken_form = spoken.text[word.start : word.end]
    return Span(first, last, start_s + word.start_s, start_s + word.end_s, character_starts, spoken_form)
