"""The worker's end of speech: an adapter as an engine."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import numpy as np

from kani.core.audio.checked import check_form, check_values
from kani.core.engine import EngineInfo
from kani.core.errors import EngineFailed, InvalidRequest, NoSpeech
from kani.core.types import Embedding, Recording, Samples, Segment, Span, SpeechChunk
from kani.engines.packages.adapter import Spoken, Utterance
from kani.engines.packages.hosting import Adapted
from kani.runtime.silence_trim import TrimmedSpeech

if TYPE_CHECKING:
    from kani_text.incremental_text import IncrementalText

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
        """Speak a text while it is written; written: None for a text that is whole."""
        rate = self.info.sample_rate
        self._check(segment.embedding)
        speech, raw_s, empty = TrimmedSpeech(rate), 0.0, 0
        async with aclosing(self._made(segment, written)) as made:
            async for each in made:
                if isinstance(each, Span):
                    speech.add(each)
                    continue
                # Here, as NaN is silence to what trims it.
                empty = check_form(each, self.info.name, empty)
                samples = check_values([each], self.info.name, len(each))
                raw_s += len(each) / rate
                if (chunk := speech.feed(samples)) is not None:
                    yield chunk
                if max(speech.end_s, raw_s - SILENCE_S) > segment.max_seconds:
                    break
        if not speech.end_s:
            raise EngineFailed(f"the {self.info.name} model could not speak this text: there was no voice")
        yield speech.finish(0 if self.info.times_words else len(segment.text))

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
                step = anext(steps, _ENDED) if in_loop else self._next(steps, utterance)
                made: Any = await step
                if made is _ENDED:
                    return
                if made is not None:
                    yield made
                elif written is not None:
                    await written.wait_for_more(len(utterance.text))
        finally:
            utterance.stopped.set()
            await (steps.aclose() if in_loop else self.call(steps.close))

    async def _next(self, steps: Generator[Spoken, None, None], utterance: Utterance) -> Any:
        """Return what the adapter makes next, or _ENDED, also for an error of one that was stopped."""
        try:
            return await self.call(next, steps, _ENDED, stopped=utterance.stopped)
        except Exception:
            if utterance.stopped.is_set():
                return _ENDED
            raise

    async def embed(self, recording: Recording) -> Embedding:
        values = np.asarray(await self.call(self.adapter.embed, recording.samples))
        if not len(values) or not np.isfinite(values).all():
            raise NoSpeech()
        return Embedding(self.info.name, self.info.cloning.model, values.astype(np.float32))

    def _check(self, embedding: Embedding | None) -> None:
        """Raise InvalidRequest for an embedding of another model, or one of no use to any."""
        if embedding is None:
            return
        info = self.info
        if (embedding.engine, embedding.model) != (info.name, info.cloning.model):
            raise InvalidRequest("reference", "the embedding was made by another model")
        values = np.asarray(embedding.values)
        if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
            raise InvalidRequest("reference", "the embedding is not one of this model")
