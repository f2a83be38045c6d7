"""One utterance: text goes in as it comes, audio comes out as it is made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from types import TracebackType
from typing import Self

from speech.engine import CloningKind
from speech.errors import EngineFailed, SpeechCancelled, SpeechError, TextTooLong, TimedOut
from speech.request import unused_fields
from speech.session.context import Prepare, ResolvedVoice, SessionContext
from speech.session.playout_buffer import PlayoutBuffer, WaitTimeout
from speech.session.priority import SessionPriority
from speech.session.report import SessionReport
from speech.session.synthesis import Synthesis
from speech.session.worker import SessionWorker
from speech.text.foreign_passages import ForeignPassage
from speech.text.languages import primary
from speech.text.segment_queue import SegmentQueue
from speech.text.segmenter import EARLY_PHRASE, WHOLE_SENTENCES
from speech.types import Embedding, Similarity, SpeechChunk, SpeechRequest


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
        surroundings: SessionContext,
        speaker: ResolvedVoice | None,
        standing: SessionPriority,
        heard_at_once: bool,
        prepare: Prepare | None = None,
    ) -> None:
        self._account = SessionReport(protocol, surroundings.observer)
        self._around = surroundings
        self._heard_at_once = heard_at_once
        self._prepare = prepare
        self._speaking = Synthesis(request, surroundings, self._account)
        self._script = SegmentQueue(announce_code=surroundings.announce_code)
        self._buffer = PlayoutBuffer(surroundings.limits.ahead_s)
        self._patience = WaitTimeout(surroundings.limits.request_timeout_s, self._time_out)
        self._standing = standing
        self._performance = SessionWorker(
            self._script,
            self._speaking,
            surroundings,
            self._account,
            self._buffer,
            self._patience,
            standing,
            heard_at_once,
        )
        self._turn, self._track = self._performance.ticket, self._performance.output
        self._speaker = speaker
        self._track.engine = speaker.engine.info if speaker is not None else None
        self._task: asyncio.Task[None] | None = None
        self._cancelled = False
        self._closed = False
        self.nothing_speakable = False
        """Whether there was text, but nothing in it to say."""

    @property
    def resolved_voice(self) -> ResolvedVoice:
        """Who speaks. Known from the first chunk on, and earlier if no text is needed to tell."""
        if self._speaker is None:
            raise RuntimeError("the speaker is not known before the first chunk")
        return self._speaker

    @property
    def truncated(self) -> bool:
        """Whether max_tokens cut a segment short."""
        return self._performance.truncated

    @property
    def foreign_passages(self) -> list[ForeignPassage]:
        """What somebody else than the speaker said so far, because its engine does not speak the language."""
        return self._performance.foreign_passages

    @property
    def unused_fields(self) -> list[str]:
        """Names of the request's fields that the speaker has no use for."""
        return unused_fields(self._speaking.request, self.resolved_voice.engine.info)

    @property
    def cloning_kind(self) -> CloningKind:
        """How it sounds like whom the request names: as its engine does, or "none" for not at all.

        Known from the first chunk on.
        """
        known = self._speaking.embedding(self.resolved_voice)
        return self.resolved_voice.engine.info.cloning if known is not None else "none"

    @property
    def similarity(self) -> Similarity | None:
        """How much alike they sound, where the engine comes only near."""
        known = self._speaking.embedding(self.resolved_voice)
        return known.similarity.get(primary(self.resolved_voice.language)) if known is not None else None

    def use_embeddings(self, reference: tuple[Embedding, ...]) -> None:
        """Speak like that, whatever voice was asked for. Before any text; RuntimeError afterwards."""
        if self._script.length or self._script.finished:
            raise RuntimeError("the session has its text already")
        request = self._speaking.request = replace(self._speaking.request, reference=reference, voice=None)
        if self._speaker is not None:
            self._speaker = self._around.voice_for_language(request, self._speaker.language)

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
        self._account.text_received(text)
        self._script.feed(text)
        self._advance()

    def add_pause(self, seconds: float) -> None:
        """Say what was fed as if it ended here, and then nothing for so long.

        Its silence is told by a span without characters. Before any text it is kept until there is some.
        """
        self._check_open()
        self._script.pause(seconds)
        self._advance()

    def flush(self) -> None:
        """Say what was fed without waiting for the end of a sentence."""
        self._script.flush()
        self._advance()

    def finish(self) -> None:
        """No more text will come."""
        self._script.finish()
        self._patience.start()
        self._advance()

    def _check_open(self) -> None:
        if self._script.finished or self._closed:
            raise RuntimeError("the session takes no more text")

    def drain(self) -> None:
        """Wait for no more text: what was fed is spoken, and what is fed from now on perhaps not."""
        self._script.drain()
        if self._task is None and self._script.empty:
            self._close_buffer(SpeechCancelled())

    def cancel(self) -> None:
        """End the speech at once; iteration raises SpeechCancelled, text that still comes is not spoken."""
        self._break_off(SpeechCancelled())

    def _time_out(self) -> None:
        self._break_off(TimedOut(self._around.limits.request_timeout_s))

    def _break_off(self, error: SpeechError) -> None:
        self._cancelled = True
        self._buffer.discard(error)
        self._turn.close()
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
                    self._account.engine_failed(
                        self._speaker.engine.info.name if self._speaker else "", error
                    )
        finally:
            # Errors hold the frames they went through, and those this session: it would be part of a cycle,
            # with all that it holds, until the garbage collector runs.
            self._task = None
            self._buffer.discard(SpeechCancelled())
            self._turn.close()
            self._patience.stop()
            self._standing.leave()
            self._account.close(self._speaker)
            self._around.admission.release(self._account.protocol)
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
        async with self._patience.waiting():
            return await self._buffer.get()

    async def queue_positions(self) -> AsyncIterator[int]:
        """Where the session stands in the queue before its engine, the next being 1, as it changes.

        Ends once its first segment has its place, or there is nothing to wait for; raises what the
        iteration over chunks would, where it comes to nothing. To be read before them, if at all.
        """
        async with aclosing(self._turn.positions()) as positions:
            while True:
                async with self._patience.waiting():
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

    def lower_priority(self) -> None:
        """Be made behind the sessions of the same connection that do not give way, or do so later.

        It is still spoken to its end, while those are ahead of their playback or have nothing to be made.
        """
        self._standing.lower()

    def restore_priority(self) -> None:
        """Give way no more: what comes later waits for the end of this session."""
        self._standing.restore()

    @property
    def superseded(self) -> bool:
        """True while it gives way to a session that has text."""
        return self._standing.superseded

    def _advance(self) -> None:
        """See that somebody speaks what is there."""
        if self._closed or self._cancelled:
            return
        if self._script.length:
            self._standing.text_received()
        script = self._script
        if not script.started:
            try:
                self._begin()
            except SpeechError as error:
                self._close_buffer(error)
                return
        if self._task is None and (script.started or script.finished):
            self._task = asyncio.create_task(self._run(), name="speech session")

    def _begin(self) -> None:
        """Find who speaks, and so how the text is cut, if it can be told yet."""
        script = self._script
        if not script.length:
            return
        if self._speaker is None:
            self._speaker = self._around.resolve_voice(
                self._speaking.request, script.language_sample, script.flushed
            )
        if self._speaker is not None:
            info = self._track.engine = self._speaker.engine.info
            early = self._heard_at_once and not info.streams_inside_segment
            policy = EARLY_PHRASE if early else WHOLE_SENTENCES
            fits = self._speaking.request.duration_s is not None
            opens = self._heard_at_once and info.accepts_partial_text and not fits
            policy = policy.for_speed(self._speaking.speed)
            script.start(policy, self._speaker.language, self._around.languages, open_segments=opens)

    async def _run(self) -> None:
        """Speak cut after cut; the one writer of the buffer."""
        error: SpeechError = EngineFailed("speech synthesis failed")
        try:
            if self._prepare is not None and (reference := await self._prepare()) is not None:
                self._speaking.request = replace(self._speaking.request, reference=reference)
            await self._speaking.refresh_lexicon()
            self._performance.resolved_voice = self._speaker
            if self._speaking.request.duration_s is None:
                await self._performance.synthesize()
            else:
                await self._performance.synthesize_to_duration(self._speaking.request.duration_s)
            if self._script.length:
                self.nothing_speakable = not self._track.finish(self._script.length)
        except SpeechError as known:
            if isinstance(known, EngineFailed):
                self._account.engine_failed(self.resolved_voice.engine.info.name, known)
            error = known
        except asyncio.CancelledError:
            error = SpeechCancelled()
            raise
        else:
            self._close_buffer()
            return
        finally:
            self._close_buffer(error)
            # Its traceback holds this frame.
            del error

    def _close_buffer(self, error: SpeechError | None = None) -> None:
        """Nothing more will come."""
        self._buffer.close(error)
        self._turn.close()
