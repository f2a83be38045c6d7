"""The worker's end of speech: an adapter as an engine."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from kani.core.engine import EngineInfo
from kani.core.errors import EngineFailed, InvalidRequest, NoSpeech
from kani.core.types import Embedding, Recording, Samples, Segment, Span, SpeechChunk
from kani.engines.packages.adapter import Spoken, Utterance
from kani.engines.packages.hosting import Adapted
from kani.runtime.silence_trim import SilenceTrimmer

if TYPE_CHECKING:
    from kani.text.incremental_text import IncrementalText

AUDIBLE = 0.004
"""A peak below this (−48 dB of full scale) is silence."""

SILENCE_S = 5.0
"""Seconds that an utterance may be longer with its silence than without."""

_ENDED = object()


class SpokenPackage(Adapted[EngineInfo]):
    """A maker's package as an engine, in the worker's process. See ``kani.core.engine``."""

    def synthesize(self, segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        return self.stream(segment, None)

    async def stream(
        self, segment: Segment, written: IncrementalText | None
    ) -> AsyncGenerator[SpeechChunk, None]:
        """See ``StreamingInputEngine.stream``; written: None for a text that is whole."""
        rate = self.info.sample_rate
        self._check(segment.embedding)
        speech, raw = TrimmedSpeech(rate), 0
        async with aclosing(self._made(segment, written)) as made:
            async for each in made:
                if isinstance(each, Span):
                    speech.add(each)
                    continue
                start_s, raw = speech.end_s, raw + len(each)
                samples, spans = speech.feed(each)
                if len(samples):
                    yield SpeechChunk(samples, rate, start_s, spans)
                if max(speech.end_s, raw / rate - SILENCE_S) > segment.max_seconds:
                    break
        if not speech.made:
            raise EngineFailed(f"the {self.info.name} model could not speak this text: there was no voice")
        start_s = speech.end_s
        samples, spans = speech.finish()
        if not self.info.times_words:
            spans = (Span(0, len(segment.text), 0.0, speech.end_s),)
        yield SpeechChunk(samples, rate, start_s, spans)

    async def _made(
        self, segment: Segment, written: IncrementalText | None
    ) -> AsyncGenerator[Samples | Span, None]:
        """Yield what the adapter makes; closed early, returns once it has stopped."""
        utterance = Utterance(segment, segment.text)
        steps: Any = self.adapter.speak(utterance)
        in_loop = inspect.isasyncgen(steps)
        try:
            while True:
                if written is not None:
                    utterance.text, utterance.complete = written.text, written.boundary is not None
                made: Any
                if in_loop:
                    made = await anext(steps, _ENDED)
                else:
                    step = partial(_next, steps, utterance)
                    made = await self.call(step, stopped=utterance.stopped)
                if made is _ENDED:
                    return
                if made is not None:
                    yield made
                elif written is not None:
                    await written.wait_for_more(len(utterance.text))
        finally:
            utterance.stopped.set()
            await (steps.aclose() if in_loop else self.call(steps.close))

    async def embed(self, recording: Recording) -> Embedding:
        """See ``CloningEngine.embed``: at the rate that the server was told."""
        values = np.asarray(await self.call(self.adapter.embed, recording.samples))
        if not len(values) or not np.isfinite(values).all():
            raise NoSpeech()
        return Embedding(self.info.name, self.info.embedding_model, values.astype(np.float32))

    def _check(self, embedding: Embedding | None) -> None:
        """Raise InvalidRequest for an embedding of another model, or one of no use to any."""
        if embedding is None:
            return
        info = self.info
        if (embedding.engine, embedding.model) != (info.name, info.embedding_model):
            raise InvalidRequest("reference", "the embedding was made by another model")
        values = np.asarray(embedding.values)
        if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
            raise InvalidRequest("reference", "the embedding is not one of this model")


def _next(steps: Generator[Spoken, None, None], utterance: Utterance) -> Any:
    """Return what the adapter makes next, or _ENDED, also for an error of one that was stopped."""
    try:
        return next(steps, _ENDED)
    except Exception:
        if utterance.stopped.is_set():
            return _ENDED
        raise


class TrimmedSpeech:
    """Audio without the silence around the speech, and the spans of words that end in it."""

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._trim = SilenceTrimmer(sample_rate, AUDIBLE)
        self._spans: list[Span] = []
        self.made = 0
        """Samples returned so far."""

    @property
    def end_s(self) -> float:
        """Seconds returned so far."""
        return self.made / self._rate

    def add(self, span: Span) -> None:
        """Accept a word's span, in seconds of the audio with its silence."""
        self._spans.append(span)

    def feed(self, samples: Samples) -> tuple[Samples, tuple[Span, ...]]:
        """Accept audio; returns what can be played now, and the spans that end in it."""
        kept = self._trim.feed(samples)
        self.made += len(kept)
        ended = 0
        # Without audio there is no chunk for them.
        while len(kept) and ended < len(self._spans) and self._moved(self._spans[ended]).end_s <= self.end_s:
            ended += 1
        return kept, self._take(ended)

    def finish(self) -> tuple[Samples, tuple[Span, ...]]:
        """Return the end of the audio, and the other spans, none beyond it."""
        rest = self._trim.finish()
        self.made += len(rest)
        return rest, self._take(len(self._spans))

    def _take(self, count: int) -> tuple[Span, ...]:
        taken = [self._moved(span) for span in self._spans[:count]]
        del self._spans[:count]
        return tuple(
            replace(span, end_s=min(span.end_s, self.end_s)) for span in taken if span.start_s < self.end_s
        )

    def _moved(self, span: Span) -> Span:
        """Return a span in seconds of the trimmed audio."""
        by_s = self._trim.dropped / self._rate
        return replace(span, start_s=max(span.start_s - by_s, 0.0), end_s=max(span.end_s - by_s, 0.0))
