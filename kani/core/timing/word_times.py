"""Word times for engines that report none: aligns their speech with a voice that reports them.

The reference voice speaks the same text, robotic but with the sample of each phoneme, and the cheapest path
through both recordings (``kani.core.timing.dtw``) maps its times. While speech is still being made, words
that begin more than ``LOOK_BACK_S`` before its last sample are final.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from kani.core.errors import SpeechError
from kani.core.timing.aligner import Aligner
from kani.core.timing.reference_voice import ReferenceVoice
from kani.core.types import Samples, Segment, Span, SpeechChunk
from kani_text.writing import letter_count, word_spans

LOOK_BACK_S = 0.4
"""Distance of a word's beginning from the last sample at which its time is final."""

STEP_S, LATER_STEP_S, LATER_S = 0.16, 0.32, 1.0
"""Speech is aligned in steps of the first; in steps of the second once there are ``LATER_S`` of it."""

ALIGNMENT_TIMEOUT_S = 0.5
"""Wait for the words' times once the speech has ended; its slot is not free before."""

log = logging.getLogger(__name__)


async def add_word_times(
    speech: AsyncGenerator[SpeechChunk, None],
    segment: Segment,
    reference_voice: ReferenceVoice,
    report: Callable[[str], None],
    truncated: Callable[[], bool] = lambda: False,
) -> AsyncGenerator[SpeechChunk, None]:
    """Yield the same speech, unchanged and without delay, with a span for each word of ``segment``.

    A span comes with the first chunk after its time is final; those that are not final when the speech ends
    come with one more chunk, without samples. Where the words cannot be found, or not within
    ``ALIGNMENT_TIMEOUT_S`` after the speech has ended, they share the time as in the reference speech, or
    without one by their letters, and ``report`` is called with the reason. truncated: says, once the speech
    has ended, if it was cut off; words that were not spoken then have no span. Closing it closes ``speech``.
    Raises what ``speech`` raises.
    """
    search = _WordSearch(segment, reference_voice, report, truncated)
    end_s, sample_rate = 0.0, 0
    try:
        async with aclosing(speech) as chunks:
            async for chunk in chunks:
                end_s, sample_rate = chunk.end_s, chunk.sample_rate
                spans = search.feed(chunk)
                yield SpeechChunk(chunk.samples, sample_rate, chunk.start_s, spans)
        if spans := await search.finish(end_s):
            yield SpeechChunk(np.zeros(0, np.float32), sample_rate, end_s, spans)
    finally:
        await search.stop()


@dataclass(eq=False)
class _WordSearch:
    """Aligns a segment with its speech in a task of its own, one step at a time."""

    _segment: Segment
    _renderer: ReferenceVoice
    _report: Callable[[str], None]
    _cut_short: Callable[[], bool]
    _buffer: list[Samples] = field(default_factory=list)
    _buffered_s: float = 0.0
    _sample_rate: int = 0
    _found: list[Span] = field(default_factory=list)
    _last: Span = field(default_factory=lambda: Span(0, 0, 0.0, 0.0))
    _end_s: float | None = None
    _due: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None

    def feed(self, chunk: SpeechChunk) -> tuple[Span, ...]:
        """Accept a chunk; returns the words timed since the last call."""
        if not self._sample_rate:
            self._sample_rate = chunk.sample_rate
            self._task = asyncio.create_task(self._run(), name="alignment")
        self._buffer.append(chunk.samples)
        self._buffered_s += chunk.duration_s
        if self._buffered_s >= (STEP_S if chunk.end_s < LATER_S else LATER_STEP_S):
            self._due.set()
        return self._take_found()

    async def finish(self, end_s: float) -> tuple[Span, ...]:
        """End the speech, which lasts ``end_s`` seconds; returns the remaining words."""
        self._end_s = end_s
        task = self._task
        if task is not None:
            self._due.set()
            await asyncio.wait([task], timeout=ALIGNMENT_TIMEOUT_S)
            if not task.done():
                await self.stop()
                self._estimate("the alignment timed out")
            elif (error := task.exception()) is not None:
                # The speech is not affected, but the cause must not be lost.
                log.error("the alignment of words failed", exc_info=error)
                self._estimate("the alignment failed")
        return self._take_found()

    async def stop(self) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])

    def _take_found(self) -> tuple[Span, ...]:
        spans, self._found = tuple(self._found), []
        self._last = spans[-1] if spans else self._last
        return spans

    def _estimate(self, reason: str) -> None:
        """Share the remaining time among the remaining words by their letters."""
        self._report(f"word times are estimates: {reason}")
        last = self._found[-1] if self._found else self._last
        if not self._cut_short():
            self._found += _by_letters(self._segment.text, last.end, last.end_s, self._end_s or 0.0)

    async def _run(self) -> None:
        aligner = await self._aligner()
        while self._end_s is None:
            await self._due.wait()
            self._due.clear()
            if aligner is not None:
                self._found += await asyncio.to_thread(aligner.feed, self._take_buffer())
            else:
                self._take_buffer()
        if aligner is None:
            self._found += _by_letters(self._segment.text, 0, 0.0, self._end_s)
            return
        spans, matches = await asyncio.to_thread(_finish, aligner, self._take_buffer(), self._cut_short())
        if not matches:
            self._report("word times are estimates: the speech does not sound like its text")
        self._found += spans

    def _take_buffer(self) -> Samples:
        self._buffered_s = 0.0
        samples, self._buffer = self._buffer, []
        return np.concatenate([np.zeros(0, np.float32), *samples])

    async def _aligner(self) -> Aligner | None:
        """Create the aligner; None where the reference voice cannot speak the text."""
        segment = self._segment
        try:
            rendered = await self._renderer.render(segment.text, segment.language, segment.speed)
            return await asyncio.to_thread(Aligner, rendered, self._sample_rate, LOOK_BACK_S)
        except (SpeechError, ValueError) as error:
            self._report(f"word times are estimates: {error}")
            return None


def _finish(aligner: Aligner, samples: Samples, cut_short: bool) -> tuple[list[Span], bool]:
    spans = aligner.feed(samples)
    rest, matches = aligner.finish(truncated=cut_short)
    return spans + rest, matches


def _by_letters(text: str, done: int, start_s: float, end_s: float) -> list[Span]:
    """Time the words after the first ``done`` characters, from ``start_s`` to ``end_s``, by their letters."""
    words = word_spans(text, done, len(text)) or [(done, len(text))] * (done < len(text))
    edges = np.cumsum([0, *(letter_count(text[start:end]) for start, end in words)])
    times = (start_s + edges / max(edges[-1], 1) * max(end_s - start_s, 0.0)).tolist()
    return [
        Span(*word, start_s, end_s) for word, (start_s, end_s) in zip(words, pairwise(times), strict=True)
    ]
