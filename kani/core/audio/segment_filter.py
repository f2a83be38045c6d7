"""Post-processes a segment: final speed, prosody and length."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from kani.core.audio.prosody_filter import ProsodyFilter
from kani.core.types import NEUTRAL, Prosody, Samples, Span, SpeechChunk


@dataclass(eq=False)
class SegmentFilter:
    """Post-processes one segment: tempo and pitch, then the length limit.

    speech: the engine's output, at ``sample_rate`` hertz; factor: tempo relative to the engine's;
    max_samples: length at which the segment is cut; prosody: what the engine left of it (``split_prosody``).
    Where nothing is to change, chunks are passed through up to that length. ``truncated``: the segment was
    cut; known once it is complete.
    """

    _speech: AsyncGenerator[SpeechChunk, None]
    _sample_rate: int
    _factor: float
    _samples_left: int
    _prosody: Prosody = NEUTRAL
    _samples_sent: int = 0
    truncated: bool = False

    async def chunks(self) -> AsyncGenerator[SpeechChunk, None]:
        """The segment's audio; times and spans count from its first output sample."""
        unchanged = self._factor == 1.0 and self._prosody == NEUTRAL
        filtered = None if unchanged else ProsodyFilter(self._sample_rate, self._factor, self._prosody)
        longest_s = self._samples_left / self._sample_rate
        async with aclosing(self._speech) as chunks:
            async for chunk in chunks:
                samples, words = chunk.samples, chunk.spans
                if filtered is not None:
                    samples = await asyncio.to_thread(filtered.feed, samples)
                elif len(samples) <= self._samples_left and not (words and words[-1].end_s > longest_s):
                    self._count(len(samples))
                    yield chunk
                    continue
                yield self._cut(samples, tuple(self._rescaled(word, longest_s) for word in words))
                if self.truncated:
                    return
        if filtered is not None:
            yield self._cut(await asyncio.to_thread(filtered.finish), ())

    def _rescaled(self, word: Span, longest_s: float) -> Span:
        start_s, end_s, *marks = (
            min(time_s / self._factor, longest_s)
            for time_s in (word.start_s, word.end_s, *word.character_starts)
        )
        return Span(word.start, word.end, start_s, end_s, tuple(marks))

    def _cut(self, samples: Samples, words: tuple[Span, ...]) -> SpeechChunk:
        """Make a chunk of the samples that still fit."""
        if len(samples) > self._samples_left:
            self.truncated = True
            samples = samples[: self._samples_left]
        start_s = self._samples_sent / self._sample_rate
        self._count(len(samples))
        return SpeechChunk(samples, self._sample_rate, start_s, words)

    def _count(self, samples: int) -> None:
        self._samples_left -= samples
        self._samples_sent += samples
