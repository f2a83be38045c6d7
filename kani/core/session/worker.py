"""Synthesizes the text of one session, segment by segment, into its playout buffer."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from functools import partial

from kani.core.errors import EngineFailed, SpeechCancelled, SpeechError
from kani.core.session.admission import SlotAccess
from kani.core.session.fit_duration import MIN_STRETCH, NaturalTake, fit_take, stretch_factor
from kani.core.session.output import OutputStream, PlayoutBuffer
from kani.core.session.slots import Slot
from kani.core.session.synthesis import Synthesis
from kani.core.tracing import Attributes
from kani.core.types import Embedding, Recording, SpeechChunk
from kani.core.voices.catalogue import ResolvedVoice
from kani_text.incremental_text import IncrementalText
from kani_text.normalizer import speakable
from kani_text.segment_pipeline import Pause, SegmentPipeline
from kani_text.segment_queue import SegmentQueue
from kani_text.segmenter import EARLY_PHRASE, WHOLE_SENTENCES, TextSegment
from kani_text.ssml import NO_EMPHASIS, Style

MAX_STYLES_AHEAD = 100
"""Styles with voices that are resolved before the first sound, so that the answer names unknown ones."""

UNDERRUN_PAUSE_S = 0.08
"""Seconds of the pause after a segment that are sent at once if no further text has come yet; after a flush
the whole pause is, and so much at least."""


class SessionWorker:
    """Owns a session's voice, output and task; the task is the one writer of the buffer."""

    def __init__(
        self,
        synthesis: Synthesis,
        segments: SegmentQueue,
        buffer: PlayoutBuffer,
        access: SlotAccess,
        voice: ResolvedVoice | None,
    ) -> None:
        """voice: None where it is to be resolved from the text."""
        self.synthesis = synthesis
        self.voice: ResolvedVoice | None = None  # None until it is resolved, before the first segment
        self.truncated = False  # True if max_tokens cut a segment short
        self.nothing_speakable = False  # True if there was text, but nothing speakable in it
        self._context = synthesis.context
        self._report = synthesis.report
        self._segments = segments
        self._buffer = buffer
        self._access = access
        self._output: OutputStream | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopped = False
        self._pause_s: float | None = None
        """Seconds of silence due before the next segment; None before the first and after a pause."""
        self._paused_s = 0.0  # seconds of that silence that were sent already
        if voice is not None:
            self._use_voice(voice)

    @property
    def output(self) -> OutputStream:
        """The session's audio. RuntimeError before the voice is known."""
        if self._output is None:
            raise RuntimeError("there is no output before the voice is known")
        return self._output

    def use_embeddings(self, embeddings: tuple[Embedding, ...]) -> None:
        """Imitate these instead of the requested voice. Only before any text."""
        self.synthesis.request = replace(self.synthesis.request, reference=embeddings, voice=None, voices={})
        if self.voice is not None:
            self._use_voice(self._context.voices.by_language(self.synthesis.request, self.voice.language))

    def advance(self) -> None:
        """Process what was fed: resolve the voice as soon as possible, and start the task."""
        if self._stopped:
            return
        segments = self._segments
        if segments.length:
            self._access.priority.text_received()
        if not segments.started:
            try:
                self._start_segments()
            except SpeechError as error:
                self._close_buffer(error)
                return
        if self._task is None and (segments.started or segments.finished):
            self._task = asyncio.create_task(self._run(), name="speech session")

    def drain(self) -> None:
        self._segments.drain()
        if self._task is None and self._segments.empty:
            self._close_buffer(SpeechCancelled())

    def cancel(self, error: SpeechError) -> None:
        """Stop at once; the reader of the buffer gets ``error``."""
        self._stopped = True
        self._buffer.discard(error)
        self._access.ticket.close()
        if self._task is not None:
            self._task.cancel()

    async def aclose(self) -> None:
        task = self._task
        self.cancel(SpeechCancelled())
        try:
            if task is not None:
                await asyncio.wait([task])
                if not task.cancelled() and (error := task.exception()) is not None:
                    self._report.engine_failed(self._engine_name, error)
        finally:
            # Exceptions hold the frames they went through, and those this worker: the task would be part of
            # a cycle, with all that it holds, until the garbage collector runs.
            self._task = None

    @property
    def _engine_name(self) -> str:
        return self.voice.engine.info.name if self.voice is not None else ""

    def _use_voice(self, voice: ResolvedVoice) -> None:
        self.voice, info, played = voice, voice.engine.info, self._access.priority.audio_made
        self._output = OutputStream(info.sample_rate, info.name, self._buffer, self._report, played)

    def _start_segments(self) -> None:
        """Resolve the voice, which determines how the text is segmented, if there is enough text for that."""
        context, segments, request = self._context, self._segments, self.synthesis.request
        if not segments.length:
            return
        voice = self.voice or context.voices.by_text(request, segments.language_sample, segments.flushed)
        if voice is None:
            return
        self._use_voice(voice)
        info = voice.engine.info
        early = context.terms.low_latency and not info.streams_inside_segment
        policy = (EARLY_PHRASE if early else WHOLE_SENTENCES).for_speed(self.synthesis.speed)
        open_segments = context.terms.low_latency and info.accepts_partial_text and request.duration_s is None
        pipeline = SegmentPipeline(
            *(policy, voice.language, context.languages),
            emphasizes=info.reading.emphasizes,
            quotations=request.quotations,
        )
        segments.start(pipeline, open_segments=open_segments)

    async def _run(self) -> None:
        try:
            prepare = self._context.terms.prepare
            if prepare is not None and (reference := await prepare()) is not None:
                if isinstance(reference, Recording):
                    self._context.memory.resize(reference.samples.nbytes)
                self.synthesis.request = replace(self.synthesis.request, reference=reference)
            if self._context.lexicon is not None:
                await self._context.lexicon.refresh()
            if self.voice is not None:
                await self.synthesis.load_table(self.voice)
                for style in self._segments.styles[:MAX_STYLES_AHEAD]:
                    await self._resolve_style(style)
                await self._synthesize()
            if self._segments.length:
                self.nothing_speakable = not self.output.finish(self._segments.length)
        except SpeechError as error:
            if isinstance(error, EngineFailed):
                self._report.engine_failed(self._engine_name, error)
            self._close_buffer(error)
        except asyncio.CancelledError:
            self._close_buffer(SpeechCancelled())
            raise
        except BaseException:
            self._close_buffer(EngineFailed("speech synthesis failed"))
            raise
        else:
            self._close_buffer()
        finally:
            self._access.release()

    def _close_buffer(self, error: SpeechError | None = None) -> None:
        self._buffer.close(error)
        self._access.ticket.close()

    async def _synthesize(self) -> None:
        """Synthesize segment after segment, as they come. Raises SpeechError."""
        if (duration_s := self.synthesis.request.duration_s) is not None:
            await self._synthesize_to_duration(duration_s)
            return
        while (part := await self._next_part()) is not None:
            if isinstance(part, Pause):
                self._add_pause(part)
            else:
                await self._synthesize_segment(part)

    async def _synthesize_to_duration(self, duration_s: float) -> None:
        """Synthesize the text, once it is complete, so that it lasts ``duration_s``.

        Raises InvalidRequest where that would be too fast or too slow, and SpeechError.
        """
        takes: list[NaturalTake | Pause] = []
        left_s = duration_s / MIN_STRETCH
        while (part := await self._segments.next()) is not None:
            if isinstance(part, Pause):
                takes.append(part)
            elif (natural := await self._natural_take(part, left_s)) is not None:
                takes.append(natural)
                left_s -= natural.seconds
        if left_s < 0:
            # ``stretch_factor`` will refuse it: the audio is not needed any more.
            takes = [replace(take, chunks=()) if isinstance(take, NaturalTake) else take for take in takes]
        factor = stretch_factor(duration_s, takes)
        end_s = 0.0
        for take in takes:
            if isinstance(take, Pause):
                self._add_pause(take)
                end_s += take.seconds
                continue
            end_s += (self._pause_s or 0.0) + factor * take.seconds
            await self._add_take(take, factor, end_s, last=take is takes[-1])
            self._pause_s = factor * take.pause_s
        if (missing_s := duration_s - self.output.duration_s) > 0:
            self.output.add_silence(missing_s)

    async def _next_part(self) -> TextSegment | Pause | None:
        """Return the next segment or pause, once the buffer is writable; None at the end."""
        if self._buffer.above_high_water:
            self._access.release()
        await self._buffer.wait_writable()
        starved = self._segments.starved and not self._segments.flushed
        if self._context.terms.low_latency and self._pause_s is not None and not self._paused_s and starved:
            # The last sound must not wait for further text in a client's frame that is not full: once.
            self.output.add_silence(UNDERRUN_PAUSE_S)
            self._paused_s = UNDERRUN_PAUSE_S
            self._pause_s = max(self._pause_s - UNDERRUN_PAUSE_S, 0.0)
        return await self._segments.next(self._wait_for_text)

    def _wait_for_text(self) -> None:
        """Called before each wait: what follows the last word of a text that was flushed waits no longer."""
        segments, output = self._segments, self._output
        if self._context.terms.low_latency and output is not None and segments.flushed and segments.empty:
            seconds = max(self._pause_s or 0.0, UNDERRUN_PAUSE_S)
            if output.settle(segments.length, seconds):
                self._paused_s += seconds
                self._pause_s = None
        self._access.release()

    def _add_pause(self, pause: Pause) -> None:
        self.output.add_pause(pause.at, pause.seconds)
        self._pause_s = None

    async def _synthesize_segment(self, segment: TextSegment) -> None:
        synthesis = self.synthesis
        await self._resolve_style(segment.style)
        voice, text, slot = self._begin_segment(segment)
        while text.boundary is None and not speakable(text.text):
            # A number that is still being written, say.
            self._access.release()
            await self._segments.wait_for_more()
        if speakable(text.text):
            info = voice.engine.info
            self._paused_s = 0.0
            await self._prepare_voice(voice)
            async with self._access.held(slot, info.name, keep=True):
                with self._report.trace.synthesizing(voice, text):
                    start_s, rate = self.output.duration_s, self.output.sample_rate
                    ahead_s = self._access.priority.playback.ahead_s
                    speech, chunks = synthesis.synthesize(voice, text, rate, ahead_s)
                    await self._add_audio(chunks, text, slot if info.sharing.pausable else None, last=None)
                    self.truncated |= speech.truncated
                    self._report.segment_synthesized(info.name, slot.held_s, self.output.duration_s - start_s)
        else:
            # Yield to the event loop: a long unspeakable text must not block it.
            await asyncio.sleep(0)
        # Text that still comes for a segment that max_tokens cut short is dropped.
        while text.boundary is None:
            self._access.release()
            await self._segments.wait_for_more()
        if self.output.samples:
            # After unspeakable text the pause that was begun before it goes on.
            self._pause_s = max(synthesis.pause_s(text, synthesis.speed) - self._paused_s, 0.0)

    async def _natural_take(self, segment: TextSegment, max_s: float) -> NaturalTake | None:
        """Synthesize a segment at its natural speed; None if it is silent."""
        await self._resolve_style(segment.style)
        voice, text, slot = self._begin_segment(segment)
        if not speakable(text.text) or text.boundary is None:
            return None
        chunks, seconds = await self._collect(voice, text, slot, self.synthesis.speed_of(text), max_s)
        pause_s = self.synthesis.pause_s(text, self.synthesis.speed)
        return NaturalTake(voice, text, chunks, seconds, pause_s) if seconds else None

    async def _add_take(self, take: NaturalTake, factor: float, end_s: float, *, last: bool) -> None:
        """Add a take, made ``factor`` times as long, so that it ends at ``end_s`` of the output."""
        slowest, fastest = take.voice.engine.info.speed_range
        if slowest < fastest and factor > 1:
            slot = self._access.slot(take.voice)
            speed = self.synthesis.speed_of(take.text) / factor
            max_s = 2 * factor * take.seconds
            chunks, seconds = await self._collect(take.voice, take.text, slot, speed, max_s)
            take = replace(take, chunks=chunks, seconds=seconds)
        await self._buffer.wait_writable()
        wanted_s = end_s - self.output.duration_s - (self._pause_s or 0.0)
        speech = fit_take(take, wanted_s, self.output.sample_rate)
        await self._add_audio(speech.chunks(), take.text, None, last=last)

    async def _collect(
        self, voice: ResolvedVoice, text: IncrementalText, slot: Slot, speed: float, max_s: float
    ) -> tuple[tuple[SpeechChunk, ...], float]:
        """Synthesize a segment; return its chunks, none if it is longer than ``max_s``, and its seconds."""
        info = voice.engine.info
        native = min(max(speed, info.speed_range[0]), info.speed_range[1])
        await self._prepare_voice(voice)
        kept, seconds = list[SpeechChunk](), 0.0
        async with self._access.held(slot, info.name):
            with self._report.trace.synthesizing(voice, text):
                rate = self.output.sample_rate
                speech, synthesized = self.synthesis.synthesize(voice, text, rate, speed=native)
                async with aclosing(synthesized) as chunks:
                    async for chunk in chunks:
                        self._report.trace.segment_audible()
                        seconds += chunk.duration_s
                        kept.append(chunk)
                        if seconds > max_s:
                            kept.clear()
                self.truncated |= speech.truncated
                self._report.segment_synthesized(info.name, slot.held_s, seconds)
        return tuple(kept), seconds

    async def _add_audio(
        self,
        chunks: AsyncGenerator[SpeechChunk, None],
        text: IncrementalText,
        slot: Slot | None,
        *,
        last: bool | None,
    ) -> None:
        """Add a segment's audio to the output.

        slot: suspended while the buffer is full, unless None; last: whether the segment is the last, None to
        determine that at its end.
        """
        if self._pause_s:
            self.output.add_silence(self._pause_s)
        self.output.begin_segment(text)
        async with aclosing(chunks):
            async for chunk in chunks:
                self._report.trace.segment_audible()
                self.output.add(chunk)
                if slot is not None and (self._buffer.above_high_water or self._access.priority.must_wait):
                    async with self._access.suspended(slot):
                        await self._buffer.wait_writable()
                        await self._access.wait_for_turn()
        if last is None:
            last = self._segments.finished and not await self._segments.has_speech_left()
        self.output.end_segment(self._segments.length if last else None)

    def _begin_segment(self, segment: TextSegment) -> tuple[ResolvedVoice, IncrementalText, Slot]:
        voice = self._voice_for(segment)
        slot = self._access.slot(voice)
        options = self.synthesis.normalization(voice)
        attributes: Attributes = {"speech.language": voice.language, "speech.characters": len(segment.text)}
        with self._report.trace.span.child("normalize", attributes) as span:
            text = self._segments.begin_segment(segment, partial(self._access.suspended, slot), options)
            span.set({"speech.spoken_characters": len(text.text)})
        return voice, text, slot

    def _voice_for(self, segment: TextSegment) -> ResolvedVoice:
        """Return the session's voice, its successor, or one for a language that neither speaks."""
        assert self.voice is not None
        styled = self._context.voices.styled(segment.style)
        if styled is not None:
            voice = styled
        elif segment.language is None:
            voice = self._context.voices.next_voice(self.synthesis.request, self.voice)
            if segment.boundary is None and not voice.engine.info.accepts_partial_text:
                # The successor needs complete segments: it speaks from the next one on.
                self._segments.require_complete_segments()
                return self.voice
        else:
            voice = self._context.voices.by_passage(self.synthesis.request, segment.language, self.voice)
        if voice.stored is None and self.synthesis.request.reference is None:
            voice = self._access.choose_network(voice)
        if voice.voice != self.voice.voice or segment.language is not None:
            self._report.foreign_passage(segment, voice)
        elif styled is None and segment.language is None and voice.engine is self.voice.engine:
            self.voice = voice
        return voice

    async def _resolve_style(self, style: Style) -> None:
        """Resolve the voice of a style; awaits nothing for the request's own."""
        assert self.voice is not None
        if style.voice is None and style.language is None:
            return
        voice = await self._context.voices.resolve_style(self.synthesis.request, style, self.voice)
        if voice is None:
            return
        await self.synthesis.load_table(voice)
        emphasized = style.emphasis != NO_EMPHASIS and self.voice.engine.info.reading.emphasizes
        if emphasized and not voice.engine.info.reading.emphasizes:
            self._context.voices.note_unused("ssml.emphasis")

    async def _prepare_voice(self, voice: ResolvedVoice) -> None:
        """Compute the voice's embedding. Raises Busy if the first segment meets a full queue."""
        if not self.output.samples:
            name = voice.engine.info.name
            self._context.admission.check_queue(self._report.protocol, name, light=voice.light)
        await self.synthesis.prepare_voice(voice)
