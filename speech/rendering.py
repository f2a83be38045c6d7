"""One segment, spoken by its engine and brought to its final speed and length."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from speech.prosody import Tempo
from speech.types import Samples, Span, SpeechChunk


class Rendering:
    """What becomes of a segment between its engine and its session.

    speech: what the engine yields, at ``rate`` hertz; factor: how much faster than the engine
    speaks it is to be heard; longest: samples at which it is cut, whatever is left. ``truncated``
    tells, once it is rendered, whether it was.
    """

    def __init__(
        self, speech: AsyncGenerator[SpeechChunk, None], rate: int, factor: float, longest: int
    ) -> None:
        self._speech = speech
        self._rate = rate
        self._factor = factor
        self._room = longest
        self._samples = 0
        self.truncated = False

    async def chunks(self) -> AsyncGenerator[SpeechChunk, None]:
        """The segment's audio; times and spans count from its first sample, as they are heard."""
        tempo = Tempo(self._rate, self._factor) if self._factor != 1.0 else None
        longest_s = self._room / self._rate
        async with aclosing(self._speech) as chunks:
            async for chunk in chunks:
                samples = (
                    chunk.samples if tempo is None else await asyncio.to_thread(tempo.feed, chunk.samples)
                )
                yield self._cut(samples, tuple(self._as_heard(word, longest_s) for word in chunk.spans))
                if self.truncated:
                    return
        if tempo is not None:
            yield self._cut(await asyncio.to_thread(tempo.finish), ())

    def _as_heard(self, word: Span, longest_s: float) -> Span:
        start_s, end_s, *marks = (
            min(time_s / self._factor, longest_s) for time_s in (word.start_s, word.end_s, *word.marks)
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
