"""One utterance: text goes in as it comes, audio comes out as it is made."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from types import TracebackType
from typing import Self, cast

import numpy as np

from speech.admission import Place
from speech.engine import WritingEngine
from speech.errors import EngineFailed, SpeechCancelled, SpeechError, TextTooLong
from speech.normalizer import SpokenText, speakable
from speech.pacing import PacedBuffer
from speech.prosody import PAUSES_S, split_speed
from speech.rendering import Rendering
from speech.request import DEFAULT_MAX_TOKENS, TOKENS_PER_SECOND, unused_fields
from speech.script import Rest, Script
from speech.segmenter import EARLY_PHRASE, WHOLE_SENTENCES, Cut, OpenCut
from speech.spans import SpanTiler
from speech.surroundings import Speaker, Surroundings
from speech.types import Boundary, Samples, Segment, Span, SpeechChunk, SpeechRequest
from speech.writing import WrittenText

log = logging.getLogger(__name__)

TAIL_S = 0.01

DRY_S = 0.08
"""How much of the pause behind a segment is sent at once where it is not known when the text goes on."""

SILENCE_S = 0.2
"""What is sent for a text with nothing to say."""


class SpeechSession:
    """Feed text, iterate over chunks; leave by ``async with``, which frees everything.

    The spans of all chunks tile the text that was fed, in order. Iteration ends after ``finish``
    once all is spoken, and raises a SpeechError when it cannot be: Busy, EngineFailed,
    InvalidRequest, or SpeechCancelled after ``cancel``. One reader.
    """

    def __init__(
        self,
        request: SpeechRequest,
        protocol: str,
        surroundings: Surroundings,
        speaker: Speaker | None,
        heard_at_once: bool,
    ) -> None:
        self._request = request
        self._protocol = protocol
        self._around = surroundings
        self._speaker = speaker
        self._heard_at_once = heard_at_once
        self._script = Script()
        self._buffer = PacedBuffer(surroundings.limits.ahead_s)
        self._tiler = SpanTiler()
        self._spoken_samples = 0
        self._pause_s: float | None = None
        self._first_text_at: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._ended = False
        self._cancelled = False
        self._closed = False
        self.truncated = False
        """Whether max_tokens cut a segment short."""
        self.silent = False
        """Whether there was text, but nothing in it to say."""

    @property
    def speaker(self) -> Speaker:
        """Who speaks. Known from the first chunk on, and earlier if no text is needed to tell."""
        if self._speaker is None:
            raise RuntimeError("the speaker is not known before the first chunk")
        return self._speaker

    @property
    def unused(self) -> list[str]:
        """Names of the request's fields that the speaker has no use for."""
        return unused_fields(self._request, self.speaker.engine.info.uses)

    @property
    def cloning(self) -> str:
        """What became of a reference recording: "none", "nearest voice" or "embedding"."""
        return self.speaker.engine.info.cloning if self._request.reference is not None else "none"

    @property
    def duration_s(self) -> float:
        """Seconds of audio made so far."""
        return self._spoken_samples / self.speaker.engine.info.sample_rate

    def feed(self, text: str) -> None:
        """Say ``text`` too. Raises TextTooLong when the whole exceeds the limit."""
        self._check_open()
        limit = self._around.limits.max_text
        # The space that ends the last word of a text that comes word by word is not the client's.
        if self._script.length + len(text.removesuffix(" ")) > limit:
            raise TextTooLong(limit)
        if not text:
            return
        if self._first_text_at is None:
            self._first_text_at = time.perf_counter()
        self._script.feed(text)
        self._advance()

    def rest(self, seconds: float) -> None:
        """Say what was fed as if it ended here, and then nothing for so long.

        Its silence is told by a span without characters. Before any text it is kept until there is some.
        """
        self._check_open()
        self._script.rest(seconds)
        self._advance()

    def flush(self) -> None:
        """Say what was fed without waiting for the end of a sentence."""
        self._script.flush()
        self._advance()

    def finish(self) -> None:
        """No more text will come."""
        self._script.finish()
        self._advance()

    def _check_open(self) -> None:
        if self._script.finished or self._closed:
            raise RuntimeError("the session takes no more text")

    def drain(self) -> None:
        """Wait for no more text: what was fed is spoken, and what is fed from now on perhaps not."""
        self._script.drain()
        if self._task is None and self._script.spent:
            self._buffer.close(SpeechCancelled())

    def cancel(self) -> None:
        """End the speech at once; iteration raises SpeechCancelled, text that still comes is not spoken."""
        self._cancelled = True
        self._buffer.discard(SpeechCancelled())
        if self._task is not None:
            self._task.cancel()

    async def aclose(self) -> None:
        """Stop what is under way and return once nothing of it is left."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._task is not None:
                self._task.cancel()
                await asyncio.wait([self._task])
                if not self._task.cancelled() and (error := self._task.exception()) is not None:
                    if self._speaker is not None:
                        self._around.observer.failed(self._protocol, self._speaker.engine.info.name)
                    log.error("a speech session broke", exc_info=error)
            if not self._ended:
                self._around.observer.cancelled(self._protocol)
        finally:
            self._around.admission.leave(self._protocol)
            self._around.closed(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def __aiter__(self) -> AsyncIterator[SpeechChunk]:
        try:
            while (chunk := await self._buffer.get()) is not None:
                yield chunk
        except SpeechCancelled:
            raise
        except SpeechError:
            self._ended = True
            raise
        self._ended = True

    def _advance(self) -> None:
        """See that somebody speaks what is there."""
        if self._closed or self._cancelled:
            return
        script = self._script
        if not script.begun:
            try:
                self._begin()
            except SpeechError as error:
                self._buffer.close(error)
                return
        if self._task is None and (script.begun or script.finished):
            self._task = asyncio.create_task(self._run(), name="speech session")

    def _begin(self) -> None:
        """Find who speaks, and so how the text is cut, if it can be told yet."""
        script = self._script
        if not script.length:
            return
        if self._speaker is None:
            self._speaker = self._around.find_speaker(script.undecided, script.flushed)
        if self._speaker is not None:
            info = self._speaker.engine.info
            early = self._heard_at_once and not info.streams_inside_segment
            policy = EARLY_PHRASE if early else WHOLE_SENTENCES
            opens = self._heard_at_once and info.takes_written_text
            script.begin(policy.slowed(self._request.speed or 1.0), opens=opens)

    async def _run(self) -> None:
        """Speak cut after cut; the one writer of the buffer."""
        error: SpeechError = EngineFailed("speech synthesis failed")
        try:
            while (part := await self._next_part()) is not None:
                if isinstance(part, Rest):
                    self._keep_silent(part)
                else:
                    await self._speak_cut(part)
            self._say_the_rest()
        except SpeechError as known:
            if isinstance(known, EngineFailed):
                self._around.observer.failed(self._protocol, self.speaker.engine.info.name)
                log.error("engine %s failed", self.speaker.engine.info.name, exc_info=known)
            error = known
        except asyncio.CancelledError:
            error = SpeechCancelled()
            raise
        else:
            self._buffer.close()
            return
        finally:
            self._buffer.close(error)

    async def _next_part(self) -> Cut | OpenCut | Rest | None:
        """What is to be said next, once the reader has room for it."""
        await self._buffer.room()
        if self._heard_at_once and self._pause_s is not None and self._script.dry:
            # Nobody knows when the text goes on: the last sound shall not wait for it in a frame that
            # is not full.
            self._emit_silence(DRY_S)
            self._pause_s = max(self._pause_s - DRY_S, 0.0) or None
        return await self._script.next()

    def _keep_silent(self, rest: Rest) -> None:
        start_s = self.duration_s
        end_s = start_s + rest.seconds
        self._emit_silence(rest.seconds, self._tiler.rest(rest.at, start_s, end_s))
        self._pause_s = None

    async def _speak_cut(self, cut: Cut | OpenCut) -> None:
        admission, name = self._around.admission, self.speaker.engine.info.name
        place = admission.places(name).place()
        written = self._script.say(cut, place.rest)
        if speakable(written.text):
            if not self._spoken_samples:
                admission.begin(self._protocol, name)
            async with place:
                await self._speak(written, place)
        # What still comes for a segment that max_tokens cut short is not spoken.
        while written.boundary is None:
            await self._script.more()
        if self._spoken_samples:
            self._pause_s = PAUSES_S[written.boundary] / (self._request.speed or 1.0)

    async def _speak(self, written: WrittenText, place: Place) -> None:
        """Speak one segment, in the place that is held, and rest where its reader is slow.

        Its last few milliseconds wait until it is complete, so that the spans which are certain
        only then have samples to go with.
        """
        engine = self.speaker.engine
        request, info = self._request, engine.info
        wanted = request.speed or 1.0
        speed, factor = split_speed(wanted, info.speed_range)
        longest_s = (request.max_tokens or DEFAULT_MAX_TOKENS) / TOKENS_PER_SECOND
        segment = Segment(
            text=written.text,
            voice=self.speaker.voice,
            language=self.speaker.language,
            speed=speed,
            emotion=request.emotion or "neutral",
            max_seconds=longest_s * factor,
            boundary=written.boundary or Boundary.SENTENCE,
            sampling=request.sampling,
            reference=request.reference,
            options=request.options,
        )
        if self._pause_s:
            self._emit_silence(self._pause_s)
        speech: AsyncGenerator[SpeechChunk, None]
        if written.boundary is None:
            speech = cast(WritingEngine, engine).stream(segment, written)
        else:
            speech = engine.synthesize(segment)
        rendering = Rendering(speech, info.sample_rate, factor, round(longest_s * info.sample_rate))
        start_s = self.duration_s
        kept = round(TAIL_S * info.sample_rate)
        tail = np.zeros(0, np.float32)
        async with aclosing(rendering.chunks()) as chunks:
            async for chunk in chunks:
                samples = np.concatenate([tail, chunk.samples])
                samples, tail = samples[:-kept], samples[-kept:]
                self._emit(samples, self._certain_spans(chunk.spans, written.spoken, start_s))
                if info.rests and self._buffer.full:
                    async with place.rest():
                        await self._buffer.room()
        self._emit(tail, self._spans_so_far(self.duration_s + len(tail) / info.sample_rate))
        self.truncated |= rendering.truncated
        audio_s = self.duration_s - start_s
        self._around.observer.segment_spoken(self._protocol, info.name, place.held_s, audio_s)

    def _certain_spans(self, words: tuple[Span, ...], spoken: SpokenText, start_s: float) -> list[Span]:
        """The spans that an engine's words settle, in the client's characters and the stream's seconds."""
        spans = []
        for word in words:
            first, last = spoken.origin(word.start, word.end)
            spans += self._tiler.word(Span(first, last, start_s + word.start_s, start_s + word.end_s))
        return spans

    def _spans_so_far(self, end_s: float) -> list[Span]:
        """The last word of a segment; behind the last segment the rest of the text too."""
        if self._script.finished and not self._script.anything_to_say:
            return self._tiler.finish(self._script.length, end_s)
        return self._tiler.flush()

    def _say_the_rest(self) -> None:
        """Close the tiling; where nothing was to be said, say it with a short silence."""
        if not self._script.length:
            return
        silence = np.zeros(0, np.float32)
        rate = self.speaker.engine.info.sample_rate
        if not self._spoken_samples:
            self.silent = True
            silence = np.zeros(round(SILENCE_S * rate), np.float32)
        end_s = (self._spoken_samples + len(silence)) / rate
        self._emit(silence, self._tiler.finish(self._script.length, end_s))

    def _emit_silence(self, seconds: float, spans: list[Span] | None = None) -> None:
        rate = self.speaker.engine.info.sample_rate
        self._emit(np.zeros(round(seconds * rate), np.float32), spans or [])

    def _emit(self, samples: Samples, spans: list[Span]) -> None:
        if not len(samples) and not spans:
            return
        info = self.speaker.engine.info
        if len(samples) and not self._spoken_samples and self._first_text_at is not None:
            waited_s = time.perf_counter() - self._first_text_at
            self._around.observer.first_audio(self._protocol, info.name, waited_s)
        start_s = self._spoken_samples / info.sample_rate
        self._spoken_samples += len(samples)
        self._buffer.put(SpeechChunk(samples, info.sample_rate, start_s, tuple(spans)))
