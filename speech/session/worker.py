"""The work of one session: its script, spoken part after part onto its track."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from functools import partial

import numpy as np

from speech.session.context import ResolvedVoice, SessionContext
from speech.session.fit_duration import MIN_STRETCH, NaturalTake, collect, fit_take, stretch_factor
from speech.session.output import NO_SAMPLES, OutputStream
from speech.session.playout_buffer import PlayoutBuffer, WaitTimeout
from speech.session.priority import SessionPriority
from speech.session.report import SessionReport
from speech.session.slots import QueueTicket, Slot
from speech.session.synthesis import Synthesis
from speech.text.foreign_passages import ForeignPassage
from speech.text.incremental_text import IncrementalText
from speech.text.normalizer import speakable
from speech.text.segment_pipeline import Pause
from speech.text.segment_queue import SegmentQueue
from speech.text.segmenter import OpenTextSegment, TextSegment
from speech.types import SpeechChunk

TAIL_S = 0.01

UNDERRUN_PAUSE_S = 0.08
"""How much of the pause behind a segment is sent at once where it is not known when the text goes on."""


class SessionWorker:
    """Speaks a script once ``speaker`` is known; one task calls one of its ``speak`` methods.

    ``truncated`` is whether max_tokens cut a segment short, ``passages`` what was said so far by another
    speaker: its engine does not speak the language, or another engine joined.
    """

    def __init__(
        self,
        script: SegmentQueue,
        speaking: Synthesis,
        surroundings: SessionContext,
        account: SessionReport,
        buffer: PlayoutBuffer,
        patience: WaitTimeout,
        standing: SessionPriority,
        heard_at_once: bool,
    ) -> None:
        self.output = OutputStream(buffer, account, standing.audio_made)
        self.ticket = QueueTicket()
        self.resolved_voice: ResolvedVoice | None = None
        self.truncated = False
        self.foreign_passages: list[ForeignPassage] = []
        self._script = script
        self._speaking = speaking
        self._around = surroundings
        self._account = account
        self._buffer = buffer
        self._patience = patience
        self._standing = standing
        self._heard_at_once = heard_at_once
        self._pause_s: float | None = None
        self._paused_s = 0.0

    async def synthesize(self) -> None:
        """Speak part after part, as they come. Raises SpeechError."""
        while (part := await self._next_part()) is not None:
            if isinstance(part, Pause):
                self._rest(part)
            else:
                await self._speak_cut(part)

    async def synthesize_to_duration(self, seconds: float) -> None:
        """Speak all of it, once it is all there, in just so many seconds.

        Raises InvalidRequest where that would be too fast or too slow, and SpeechError.
        """
        takes: list[NaturalTake | Pause] = []
        most_s = seconds / MIN_STRETCH
        while (part := await self._script.next()) is not None:
            if isinstance(part, Pause):
                takes.append(part)
            else:
                for made in await self._take(part, most_s):
                    takes.append(made)
                    most_s -= made.seconds
        if most_s < 0:
            # It will be refused: nothing of it is needed any more.
            takes = [replace(take, chunks=()) if isinstance(take, NaturalTake) else take for take in takes]
        longer = stretch_factor(seconds, takes)
        end_s = 0.0
        for take in takes:
            if isinstance(take, Pause):
                self._rest(take)
                end_s += take.seconds
                continue
            end_s += (self._pause_s or 0.0) + longer * take.seconds
            await self._fit(take, longer, end_s, last=take is takes[-1])
            self._pause_s = longer * take.pause_s
        if (missing_s := seconds - self.output.duration_s) > 0:
            self.output.add_silence(missing_s)

    async def _next_part(self) -> TextSegment | OpenTextSegment | Pause | None:
        """What is to be said next, once the reader has room for it."""
        await self._buffer.wait_writable()
        if self._heard_at_once and self._pause_s is not None and self._script.starved:
            # Nobody knows when the text goes on: the last sound shall not wait for it in a frame that
            # is not full.
            self.output.add_silence(UNDERRUN_PAUSE_S)
            self._paused_s += UNDERRUN_PAUSE_S
            self._pause_s = max(self._pause_s - UNDERRUN_PAUSE_S, 0.0) or None
        return await self._script.next()

    def _rest(self, rest: Pause) -> None:
        self.output.add_pause(rest.at, rest.seconds)
        self._pause_s = None

    async def _speak_cut(self, cut: TextSegment | OpenTextSegment) -> None:
        speaker, written, place = self._said_by(cut)
        while written.boundary is None and not speakable(written.text):
            # A number that is still being written, say.
            await self._script.wait_for_more()
        if speakable(written.text):
            info = speaker.engine.info
            self._paused_s = 0.0
            async with self._held(place, speaker):
                begun_s = self.output.duration_s
                rendering = self._speaking.synthesize(speaker, written, self._speaking.speed)
                heard = self._speaking.post_process(
                    speaker, written, rendering, self._speaking.speed, self.output.sample_rate
                )
                await self._add(heard, written, place if info.pausable else None, last=None)
                self.truncated |= rendering.truncated
                self._account.segment_synthesized(info.name, place.held_s, self.output.duration_s - begun_s)
        else:
            # Much of which nothing is said shall not keep everybody waiting.
            await asyncio.sleep(0)
        # What still comes for a segment that max_tokens cut short is not spoken.
        while written.boundary is None:
            await self._script.wait_for_more()
        if self.output.samples:
            # Behind what is not said the pause goes on that was begun before it.
            pause_s = self._speaking.pause_s(written.boundary, self._speaking.speed)
            self._pause_s = max(pause_s - self._paused_s, 0.0)

    async def _take(self, cut: TextSegment | OpenTextSegment, most_s: float) -> list[NaturalTake]:
        """A segment as it is said by itself; none if there is nothing in it to say."""
        speaker, written, place = self._said_by(cut)
        if not speakable(written.text) or written.boundary is None:
            return []
        chunks, seconds = await self._rendered(speaker, written, place, self._speaking.speed, most_s)
        pause_s = self._speaking.pause_s(written.boundary, self._speaking.speed)
        return [NaturalTake(speaker, written, chunks, seconds, pause_s)] if seconds else []

    async def _fit(self, take: NaturalTake, longer: float, end_s: float, *, last: bool) -> None:
        """Add a take, so that it ends at ``end_s`` of the track."""
        if take.can_change_speed and longer > 1:
            place = self._place(take.resolved_voice)
            speed = self._speaking.speed / longer
            most_s = 2 * longer * take.seconds
            chunks, seconds = await self._rendered(take.resolved_voice, take.text, place, speed, most_s)
            take = replace(take, chunks=chunks, seconds=seconds)
        await self._buffer.wait_writable()
        wanted_s = end_s - self.output.duration_s - (self._pause_s or 0.0)
        rendering = fit_take(take, wanted_s, self.output.sample_rate)
        await self._add(rendering.chunks(), take.text, None, last=last)

    async def _rendered(
        self, speaker: ResolvedVoice, written: IncrementalText, place: Slot, speed: float, most_s: float
    ) -> tuple[tuple[SpeechChunk, ...], float]:
        """A segment's speech, kept unless it is longer than ``most_s``, and how long it is."""
        info = speaker.engine.info
        native = min(max(speed, info.speed_range[0]), info.speed_range[1])
        async with self._held(place, speaker):
            rendering = self._speaking.synthesize(speaker, written, native)
            heard = self._speaking.post_process(speaker, written, rendering, native, self.output.sample_rate)
            chunks, seconds = await collect(heard, most_s)
            self.truncated |= rendering.truncated
            self._account.segment_synthesized(info.name, place.held_s, seconds)
        return chunks, seconds

    async def _add(
        self,
        heard: AsyncGenerator[SpeechChunk, None],
        written: IncrementalText,
        place: Slot | None,
        *,
        last: bool | None,
    ) -> None:
        """Add a segment's audio to the track.

        Its last few milliseconds wait until it is complete, so that the spans which are certain
        only then have samples to go with. place: what is lent to others while the reader is slow;
        last: whether it is the last, None to look once it was spoken.
        """
        if self._pause_s:
            self.output.add_silence(self._pause_s)
        start_s = self.output.duration_s
        tail_samples = round(TAIL_S * self.output.sample_rate)
        tail = NO_SAMPLES
        async with aclosing(heard) as chunks:
            async for chunk in chunks:
                samples = np.concatenate([tail, chunk.samples])
                samples, tail = samples[:-tail_samples], samples[-tail_samples:]
                self.output.add(samples, chunk.spans, written.spoken, start_s)
                if place is not None and (self._buffer.above_high_water or self._standing.must_wait):
                    async with self._rest_of(place):
                        await self._buffer.wait_writable()
                        await self._give_way()
        if last is None:
            last = self._script.finished and not self._script.has_speech_left()
        self.output.end_segment(tail, written.spoken, self._script.length if last else None)

    def _said_by(self, cut: TextSegment | OpenTextSegment) -> tuple[ResolvedVoice, IncrementalText, Slot]:
        """Who says a part, what of it, and the place that it needs."""
        speaker = self._speaker_of(cut)
        place = self._place(speaker)
        rest = partial(self._rest_of, place)
        return speaker, self._script.begin_segment(cut, rest, self._speaking.normalization(speaker)), place

    def _speaker_of(self, cut: TextSegment | OpenTextSegment) -> ResolvedVoice:
        """Who says it: the session's speaker, its successor, or one for a language that neither speaks."""
        assert self.resolved_voice is not None
        if cut.language is None:
            speaker = self._around.next_voice(self._speaking.request, self.resolved_voice)
            if isinstance(cut, OpenTextSegment) and not speaker.engine.info.accepts_partial_text:
                # That one has to be given whole sentences: from the next on.
                self._script.require_complete_segments()
                return self.resolved_voice
        else:
            speaker = self._around.voice_for_language(self._speaking.request, cut.language)
        if speaker.voice != self.resolved_voice.voice:
            end, name = cut.start + len(cut.text), speaker.engine.info.name
            passage = ForeignPassage(cut.start, end, speaker.language, speaker.voice, name)
            before = self.foreign_passages[-1] if self.foreign_passages else None
            if before is not None and before == replace(passage, start=before.start, end=cut.start):
                passage = replace(passage, start=self.foreign_passages.pop().start)
            self.foreign_passages.append(passage)
        return speaker

    def _place(self, speaker: ResolvedVoice) -> Slot:
        places = self._around.admission.slots(speaker.engine.info.name)
        return places.slot(None if self.ticket.closed else self.ticket)

    @asynccontextmanager
    async def _held(self, place: Slot, speaker: ResolvedVoice) -> AsyncGenerator[None, None]:
        """Hold the place while the body runs; the first that is asked for may be refused (Busy)."""
        name = speaker.engine.info.name
        if not self.output.samples:
            self._around.admission.check_queue(self._account.protocol, name)
        await self._speaking.prepare_voice(speaker)
        await self._give_way()
        with self._standing.working():
            async with place:
                self._account.slot_acquired(name, place.waited_s)
                while self._standing.must_wait:
                    async with self._rest_of(place):
                        await self._give_way()
                yield

    @asynccontextmanager
    async def _rest_of(self, place: Slot) -> AsyncGenerator[None, None]:
        """Lend the place to others while the body runs: no engine is asked for anything meanwhile."""
        async with place.suspended():
            with self._standing.working(False):
                yield

    async def _give_way(self) -> None:
        """Wait as long as other speech of the same connection comes first."""
        with self._patience.suspended():
            await self._standing.wait_for_turn()
