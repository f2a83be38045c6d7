"""One utterance: text goes in as it comes, audio comes out as it is made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Self, cast

import numpy as np

from speech.account import Account
from speech.alignment import timed
from speech.engine import WritingEngine
from speech.errors import EngineFailed, SpeechCancelled, SpeechError, TextTooLong, TimedOut
from speech.normalizer import speakable
from speech.pacing import PacedBuffer, Patience
from speech.places import Place, Turn
from speech.prosody import PAUSES_S, split_speed
from speech.rendering import Rendering
from speech.request import DEFAULT_MAX_TOKENS, TOKENS_PER_SECOND, unused_fields
from speech.script import Rest, Script
from speech.segmenter import EARLY_PHRASE, WHOLE_SENTENCES, Cut, OpenCut
from speech.surroundings import Prepare, Speaker, Surroundings
from speech.track import NOTHING, Track
from speech.types import Boundary, Segment, SpeechChunk, SpeechRequest
from speech.writing import WrittenText

TAIL_S = 0.01

DRY_S = 0.08
"""How much of the pause behind a segment is sent at once where it is not known when the text goes on."""


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
        prepare: Prepare | None = None,
    ) -> None:
        self._request = request
        self._account = Account(protocol, surroundings.observer)
        self._around = surroundings
        self._speaker = speaker
        self._heard_at_once = heard_at_once
        self._prepare = prepare
        self._script = Script()
        self._buffer = PacedBuffer(surroundings.limits.ahead_s)
        self._patience = Patience(surroundings.limits.request_timeout_s, self._time_out)
        self._turn = Turn()
        self._track = Track(self._buffer, self._account)
        self._track.engine = speaker.engine.info if speaker is not None else None
        self._pause_s: float | None = None
        self._task: asyncio.Task[None] | None = None
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
        return self._track.duration_s

    def feed(self, text: str) -> None:
        """Say ``text`` too. Raises TextTooLong when the whole exceeds the limit."""
        self._check_open()
        limit = self._around.limits.max_text
        # The space that ends the last word of a text that comes word by word is not the client's.
        if self._script.length + len(text.removesuffix(" ")) > limit:
            raise TextTooLong(limit)
        if not text:
            return
        self._account.text(text)
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
        self._patience.begin()
        self._advance()

    def _check_open(self) -> None:
        if self._script.finished or self._closed:
            raise RuntimeError("the session takes no more text")

    def drain(self) -> None:
        """Wait for no more text: what was fed is spoken, and what is fed from now on perhaps not."""
        self._script.drain()
        if self._task is None and self._script.spent:
            self._close_buffer(SpeechCancelled())

    def cancel(self) -> None:
        """End the speech at once; iteration raises SpeechCancelled, text that still comes is not spoken."""
        self._break_off(SpeechCancelled())

    def _time_out(self) -> None:
        self._break_off(TimedOut(self._around.limits.request_timeout_s))

    def _break_off(self, error: SpeechError) -> None:
        self._cancelled = True
        self._buffer.discard(error)
        self._turn.end()
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
                    self._account.broke(self._speaker.engine.info.name if self._speaker else "", error)
        finally:
            self._turn.end()
            self._patience.end()
            self._account.close(self._speaker)
            self._around.admission.leave(self._account.protocol)
            self._around.closed(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, SpeechError):
            self.fail(error)
        await self.aclose()

    async def __aiter__(self) -> AsyncIterator[SpeechChunk]:
        try:
            while (chunk := await self._get()) is not None:
                yield chunk
        except SpeechError as error:
            self._account.ended(error)
            raise
        self._account.ended()

    async def _get(self) -> SpeechChunk | None:
        if self._buffer.readable:
            return await self._buffer.get()
        async with self._patience.waits():
            return await self._buffer.get()

    async def queue(self) -> AsyncIterator[int]:
        """Where the session stands in the queue before its engine, the next being 1, as it changes.

        Ends once its first segment has its place, or there is nothing to wait for; raises what the
        iteration over chunks would, where it comes to nothing. To be read before them, if at all.
        """
        async with aclosing(self._turn.positions()) as positions:
            while True:
                async with self._patience.waits():
                    position = await anext(positions, None)
                if position is None:
                    break
                yield position
        if (error := self._buffer.error) is not None:
            self._account.ended(error)
            raise error

    def fail(self, error: SpeechError) -> None:
        """Its speech is of no use to its client: figures and log say that it ended by ``error``."""
        self._account.ended(error)

    def _advance(self) -> None:
        """See that somebody speaks what is there."""
        if self._closed or self._cancelled:
            return
        script = self._script
        if not script.begun:
            try:
                self._begin()
            except SpeechError as error:
                self._close_buffer(error)
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
            info = self._track.engine = self._speaker.engine.info
            early = self._heard_at_once and not info.streams_inside_segment
            policy = EARLY_PHRASE if early else WHOLE_SENTENCES
            opens = self._heard_at_once and info.takes_written_text
            script.begin(policy.slowed(self._request.speed or 1.0), opens=opens)

    async def _run(self) -> None:
        """Speak cut after cut; the one writer of the buffer."""
        error: SpeechError = EngineFailed("speech synthesis failed")
        try:
            if self._prepare is not None and (reference := await self._prepare()) is not None:
                self._request = replace(self._request, reference=reference)
            while (part := await self._next_part()) is not None:
                if isinstance(part, Rest):
                    self._track.rest(part.at, part.seconds)
                    self._pause_s = None
                else:
                    await self._speak_cut(part)
            if self._script.length:
                self.silent = not self._track.finish(self._script.length)
        except SpeechError as known:
            if isinstance(known, EngineFailed):
                self._account.broke(self.speaker.engine.info.name, known)
            error = known
        except asyncio.CancelledError:
            error = SpeechCancelled()
            raise
        else:
            self._close_buffer()
            return
        finally:
            self._close_buffer(error)

    def _close_buffer(self, error: SpeechError | None = None) -> None:
        """Nothing more will come."""
        self._buffer.close(error)
        self._turn.end()

    async def _next_part(self) -> Cut | OpenCut | Rest | None:
        """What is to be said next, once the reader has room for it."""
        await self._buffer.room()
        if self._heard_at_once and self._pause_s is not None and self._script.dry:
            # Nobody knows when the text goes on: the last sound shall not wait for it in a frame that
            # is not full.
            self._track.silence(DRY_S)
            self._pause_s = max(self._pause_s - DRY_S, 0.0) or None
        return await self._script.next()

    async def _speak_cut(self, cut: Cut | OpenCut) -> None:
        admission, name = self._around.admission, self.speaker.engine.info.name
        place = admission.places(name).place(None if self._turn.over else self._turn)
        written = self._script.say(cut, place.rest)
        if speakable(written.text):
            if not self._track.samples:
                admission.begin(self._account.protocol, name)
            async with place:
                self._account.has_place(name, place.waited_s)
                await self._speak(written, place)
        # What still comes for a segment that max_tokens cut short is not spoken.
        while written.boundary is None:
            await self._script.more()
        if self._track.samples:
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
            request_id=self._account.request_id,
        )
        if self._pause_s:
            self._track.silence(self._pause_s)
        speech: AsyncGenerator[SpeechChunk, None]
        if written.boundary is None:
            speech = cast(WritingEngine, engine).stream(segment, written)
        else:
            speech = engine.synthesize(segment)
        rendering = Rendering(speech, info.sample_rate, factor, round(longest_s * info.sample_rate))
        heard = rendering.chunks()
        if not info.timing and self._around.renderer is not None:
            # Behind the cut and the tempo: the words are sought in what is heard.
            heard = timed(
                heard,
                replace(segment, speed=wanted),
                self._around.renderer,
                partial(self._account.estimated, info.name),
                cut_short=lambda: rendering.truncated,
            )
        start_s = self.duration_s
        kept = round(TAIL_S * info.sample_rate)
        tail = NOTHING
        async with aclosing(heard) as chunks:
            async for chunk in chunks:
                samples = np.concatenate([tail, chunk.samples])
                samples, tail = samples[:-kept], samples[-kept:]
                self._track.add(samples, chunk.spans, written.spoken, start_s)
                if info.rests and self._buffer.full:
                    async with place.rest():
                        await self._buffer.room()
        last = self._script.finished and not self._script.anything_to_say()
        self._track.end_segment(tail, self._script.length if last else None)
        self.truncated |= rendering.truncated
        audio_s = self.duration_s - start_s
        self._account.segment(info.name, place.held_s, audio_s)
