"""When each word is said, for engines that do not tell: by comparing their speech with a voice that does.

The voice (a ``ReferenceVoice``) says the same text, robotic but with the sample of each phoneme, and the cheapest
way through both recordings (``alignment_path``) brings its times over. While speech is still being made,
what begins more than ``LOOK_BACK_S`` before its last sample is taken for certain.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from itertools import pairwise

import numpy as np

from speech.errors import SpeechError
from speech.text.words import letter_count, word_spans
from speech.timing.aligner import STEP_S, Aligner
from speech.timing.reference_voice import ReferenceVoice
from speech.types import Samples, Segment, Span, SpeechChunk

LOOK_BACK_S = 0.4
"""How far behind the last sample a word has to begin to be told."""

ALIGNMENT_TIMEOUT_S = 0.5
"""How long the words' times are waited for once the speech has ended; its place is not free before."""

log = logging.getLogger(__name__)


async def add_word_times(
    speech: AsyncGenerator[SpeechChunk, None],
    segment: Segment,
    reference_voice: ReferenceVoice,
    report: Callable[[str], None],
    truncated: Callable[[], bool] = lambda: False,
) -> AsyncGenerator[SpeechChunk, None]:
    """The same speech, unchanged and without delay, with a span for each word of ``segment``.

    A span comes with the first chunk behind the moment at which it is certain; those that are not until
    the speech has ended come with one more chunk, without samples. Where the words cannot be found, or not
    ``PATIENCE_S`` after the speech has ended, they share the time as in the rendering, or without one by
    their letters, and ``report`` is told why. cut_short: whether speech that has ended was not said to its
    end; words that were not said then have no span. Closing it closes ``speech``. Raises what ``speech``
    raises.
    """
    search = _Search(segment, reference_voice, report, truncated)
    end_s, sample_rate = 0.0, 0
    try:
        async with aclosing(speech) as chunks:
            async for chunk in chunks:
                end_s, sample_rate = chunk.end_s, chunk.sample_rate
                spans = search.heard(chunk)
                yield SpeechChunk(chunk.samples, sample_rate, chunk.start_s, spans)
        if spans := await search.ended(end_s):
            yield SpeechChunk(np.zeros(0, np.float32), sample_rate, end_s, spans)
    finally:
        await search.stop()


class _Search:
    """Looks for the words of a segment in its speech, in a task of its own, one step at a time."""

    def __init__(
        self,
        segment: Segment,
        renderer: ReferenceVoice,
        report: Callable[[str], None],
        cut_short: Callable[[], bool],
    ) -> None:
        self._segment = segment
        self._renderer = renderer
        self._report = report
        self._cut_short = cut_short
        self._unheard: list[Samples] = []
        self._waiting_s = 0.0
        self._sample_rate = 0
        self._found: list[Span] = []
        self._last = Span(0, 0, 0.0, 0.0)
        self._end_s: float | None = None
        self._due = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def heard(self, chunk: SpeechChunk) -> tuple[Span, ...]:
        """Take a chunk; the words found by now that have not been given out."""
        if not self._sample_rate:
            self._sample_rate = chunk.sample_rate
            self._task = asyncio.create_task(self._run(), name="alignment")
        self._unheard.append(chunk.samples)
        self._waiting_s += chunk.duration_s
        if self._waiting_s >= STEP_S:
            self._due.set()
        return self._given()

    async def ended(self, end_s: float) -> tuple[Span, ...]:
        """There is no more speech, but this many seconds; the words that are left."""
        self._end_s = end_s
        task = self._task
        if task is not None:
            self._due.set()
            await asyncio.wait([task], timeout=ALIGNMENT_TIMEOUT_S)
            if not task.done():
                await self.stop()
                self._estimate("finding them takes too long")
            elif (error := task.exception()) is not None:
                # What broke it is no matter of the speech's, and not to be lost either.
                log.error("the search for words failed", exc_info=error)
                self._estimate("finding them failed")
        return self._given()

    async def stop(self) -> None:
        """Return when nothing of it is left, wherever it is."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])

    def _given(self) -> tuple[Span, ...]:
        spans, self._found = tuple(self._found), []
        self._last = spans[-1] if spans else self._last
        return spans

    def _estimate(self, why: str) -> None:
        """The words that were not found share the time that is left by their letters."""
        self._report(f"words cannot be found in the speech, their times are estimates: {why}")
        last = self._found[-1] if self._found else self._last
        if not self._cut_short():
            self._found += _by_letters(self._segment.text, last.end, last.end_s, self._end_s or 0.0)

    async def _run(self) -> None:
        aligner = await self._aligner()
        while self._end_s is None:
            await self._due.wait()
            self._due.clear()
            if aligner is not None:
                self._found += await asyncio.to_thread(aligner.feed, self._taken())
            else:
                self._taken()
        if aligner is None:
            self._found += _by_letters(self._segment.text, 0, 0.0, self._end_s)
            return
        spans, belongs = await asyncio.to_thread(_finish, aligner, self._taken(), self._cut_short())
        if not belongs:
            self._report("the speech does not sound like its text: its words' times are estimates")
        self._found += spans

    def _taken(self) -> Samples:
        self._waiting_s = 0.0
        samples, self._unheard = self._unheard, []
        return np.concatenate([np.zeros(0, np.float32), *samples])

    async def _aligner(self) -> Aligner | None:
        """None where there is nothing to compare with."""
        segment = self._segment
        try:
            rendered = await self._renderer.render(segment.text, segment.language, segment.speed)
            return await asyncio.to_thread(Aligner, rendered, self._sample_rate, LOOK_BACK_S)
        except (SpeechError, ValueError) as error:
            self._report(f"words cannot be found in the speech, their times are estimates: {error}")
            return None


def _finish(aligner: Aligner, samples: Samples, cut_short: bool) -> tuple[list[Span], bool]:
    spans = aligner.feed(samples)
    rest, belongs = aligner.finish(truncated=cut_short)
    return spans + rest, belongs


def _by_letters(text: str, told: int, start_s: float, end_s: float) -> list[Span]:
    """The words of a text behind its first ``told`` characters, said between ``start_s`` and ``end_s``;
    every letter as long as any other.
    """
    words = word_spans(text, told, len(text)) or [(told, len(text))] * (told < len(text))
    edges = np.cumsum([0, *(letter_count(text[start:end]) for start, end in words)])
    times = (start_s + edges / max(edges[-1], 1) * max(end_s - start_s, 0.0)).tolist()
    return [
        Span(*word, start_s, end_s) for word, (start_s, end_s) in zip(words, pairwise(times), strict=True)
    ]
