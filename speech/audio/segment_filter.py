"""One segment, spoken by its engine and brought to its final speed, manner and length."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from speech.audio.prosody_filter import ProsodyFilter
from speech.types import NEUTRAL, Prosody, Samples, Span, SpeechChunk


class SegmentFilter:
    """What becomes of a segment between its engine and its session.

    speech: what the engine yields, at ``rate`` hertz; factor: how much faster than the engine
    speaks it is to be heard; longest: samples at which it is cut, whatever is left; manner: what the
    engine left of it (``split_manner``). Where there is nothing to change the samples are the engine's.
    ``truncated`` tells, once it is rendered, whether it was cut.
    """

    def __init__(
        self,
        speech: AsyncGenerator[SpeechChunk, None],
        sample_rate: int,
        factor: float,
        max_samples: int,
        prosody: Prosody = NEUTRAL,
    ) -> None:
        self._speech = speech
        self._rate = sample_rate
        self._factor = factor
        self._manner = prosody
        self._room = max_samples
        self._samples = 0
        self.truncated = False

    async def chunks(self) -> AsyncGenerator[SpeechChunk, None]:
        """The segment's audio; times and spans count from its first sample, as they are heard."""
        plain = self._factor == 1.0 and self._manner == NEUTRAL
        changed = None if plain else ProsodyFilter(self._rate, self._factor, self._manner)
        longest_s = self._room / self._rate
        async with aclosing(self._speech) as chunks:
            async for chunk in chunks:
                samples = chunk.samples
                if changed is not None:
                    samples = await asyncio.to_thread(changed.feed, samples)
                yield self._cut(samples, tuple(self._as_heard(word, longest_s) for word in chunk.spans))
                if self.truncated:
                    return
        if changed is not None:
            yield self._cut(await asyncio.to_thread(changed.finish), ())

    def _as_heard(self, word: Span, longest_s: float) -> Span:
        start_s, end_s, *marks = (
            min(time_s / self._factor, longest_s)
            for time_s in (word.start_s, word.end_s, *word.character_starts)
        )
        return Span(word.start, word.end, start_s, end_s, tuple(marks))

    def _cut(self, samples: Samples, words: tuple[Span, ...]) -> SpeechChunk:
        """A chunk of what still fits."""
        if len(samples) > self._room:
            self.truncated = True
            samples = samples[: self._room]
        start_s = self._samples / self._rate
        self._room -= len(samples)
        self._samples += len(samples)
        return SpeechChunk(samples, self._rate, start_s, words)
