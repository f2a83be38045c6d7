"""The worker's end of speech: an adapter as an engine."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from kani.core.engine import EngineInfo
from kani.core.errors import EngineFailed, InvalidRequest, NoSpeech
from kani.core.types import Embedding, Recording, Samples, Segment, Span, SpeechChunk
from kani.engines.packages.adapter import Utterance
from kani.engines.packages.hosting import Adapted
from kani.engines.plugin import Resources
from kani.runtime.silence_trim import SilenceTrimmer

if TYPE_CHECKING:
    from kani.text.incremental_text import IncrementalText

AUDIBLE = 0.004
"""A peak below this (−48 dB of full scale) is silence."""

SILENCE_S = 5.0
"""Seconds that an utterance may be longer with its silence than without."""


class SpokenPackage:
    """A maker's package as an engine, in the worker's process. See ``kani.core.engine``."""

    def __init__(self, path: str, settings: Mapping[str, Any], resources: Resources) -> None:
        """As for ``Adapted``."""
        self._adapted = Adapted(path, settings, resources)
        self._info: EngineInfo | None = None

    @property
    def info(self) -> EngineInfo:
        """See ``Engine.info``; RuntimeError before ``start`` has returned."""
        if self._info is None:
            raise RuntimeError("the engine has not been started")
        return self._info

    async def start(self) -> None:
        """Load the model. Raises EngineUnavailable."""
        self._info = await self._adapted.load()
        self._adapted.share(self.info.max_concurrency)

    async def stop(self) -> None:
        """See ``Engine.stop``."""
        await self._adapted.stop()

    def synthesize(self, segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        """See ``Engine.synthesize``."""
        return self._speak(Utterance(segment))

    def stream(self, segment: Segment, written: IncrementalText) -> AsyncGenerator[SpeechChunk, None]:
        """See ``StreamingInputEngine.stream``."""
        return self._speak(Utterance(segment, written))

    async def _speak(self, utterance: Utterance) -> AsyncGenerator[SpeechChunk, None]:
        segment, rate = utterance.segment, self.info.sample_rate
        self._check(segment.embedding)
        speech, raw = TrimmedSpeech(rate), 0
        async with aclosing(self._made(utterance)) as made:
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

    async def _made(self, utterance: Utterance) -> AsyncGenerator[Samples | Span, None]:
        """Yield what the adapter makes; closed early, returns once it has stopped."""
        steps = self._adapted.adapter.speak(utterance)
        if inspect.isasyncgen(steps):
            spoken = cast(AsyncGenerator[Samples | Span, None], steps)
            try:
                async with aclosing(spoken):
                    async for each in spoken:
                        yield each
            finally:
                utterance.stopped.set()
            return
        try:
            while True:
                next_step = partial(_next, steps, utterance)
                made: Samples | Span | None = await self._adapted.call(next_step, stopped=utterance.stopped)
                if made is None:
                    return
                yield made
        finally:
            utterance.stopped.set()
            await self._adapted.call(steps.close)

    async def embed(self, recording: Recording) -> Embedding:
        """See ``CloningEngine.embed``: at the rate that the server was told."""
        values = np.asarray(await self._adapted.call(self._adapted.adapter.embed, recording.samples))
        if not len(values) or not np.isfinite(values).all():
            raise NoSpeech()
        return Embedding(self.info.name, self.info.embedding_model, values.astype(np.float32))

    async def refine(
        self, recording: Recording, embedding: Embedding, language: str
    ) -> AsyncGenerator[Embedding, None]:
        """See ``CloningEngine.refine``; yields nothing."""
        better: tuple[Embedding, ...] = ()
        for one in better:
            yield one

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


def _next(steps: Generator[Samples | Span, None, None], utterance: Utterance) -> Samples | Span | None:
    """Return what the adapter makes next, None at the end; an error of one that was stopped is its end."""
    try:
        return next(steps, None)
    except Exception:
        if utterance.stopped.is_set():
            return None
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
