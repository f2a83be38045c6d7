"""One speech session: text in, audio out."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing
from types import TracebackType

from kani.core.engine import CloningKind
from kani.core.errors import InvalidRequest, SpeechCancelled, SpeechError, TextTooLong, TimedOut
from kani.core.request import unused_fields
from kani.core.session.admission import SlotAccess
from kani.core.session.context import SessionContext
from kani.core.session.output import PlayoutBuffer, WaitTimeout
from kani.core.session.priority import SessionPriorities
from kani.core.session.report import SessionReport
from kani.core.session.synthesis import Synthesis
from kani.core.session.worker import SessionWorker
from kani.core.timing.spans import MarkTimer
from kani.core.types import Embedding, Similarity, SpeechChunk, SpeechRequest, TimedMark
from kani.core.voices.catalogue import ResolvedVoice
from kani_text.foreign_passages import ForeignPassage
from kani_text.languages import primary
from kani_text.segment_queue import SegmentQueue


class SpeechSession(AbstractAsyncContextManager["SpeechSession"]):
    """Feed text, iterate over chunks; leave by ``async with``, which frees everything.

    Text goes into a segment queue, a worker synthesizes it, and the audio is read from a playout buffer.
    The spans of all chunks tile the text that was fed, in order. Iteration ends after ``finish`` once
    everything is spoken, and raises a SpeechError when it cannot be: Busy, EngineFailed, InvalidRequest,
    TimedOut, or SpeechCancelled after ``cancel``. One reader. A text that begins with ``<speak>`` is SSML.
    """

    def __init__(
        self, request: SpeechRequest, protocol: str, context: SessionContext, voice: ResolvedVoice | None
    ) -> None:
        """voice: None where the language has to be detected from the text first."""
        limits = context.limits
        self._context = context
        self._report = SessionReport(protocol, context.observer)
        self._segments = SegmentQueue(ssml=request.ssml)
        self._marks = MarkTimer(self._segments.marks)
        self._buffer = PlayoutBuffer(limits.ahead_s)
        self._timeout = WaitTimeout(
            limits.request_timeout, lambda: self._worker.cancel(TimedOut(limits.request_timeout))
        )
        self.priority = (context.terms.priorities or SessionPriorities()).add()
        """Its rank among the connection's sessions; lowering it has no effect without ``priorities``."""
        low_latency = context.terms.low_latency
        self._access = SlotAccess(context.admission, self._report, self._timeout, self.priority, low_latency)
        synthesis = Synthesis(request, context, self._report)
        self._worker = SessionWorker(synthesis, self._segments, self._buffer, self._access, voice)
        self._closed = False

    @property
    def resolved_voice(self) -> ResolvedVoice:
        """The voice that speaks. RuntimeError before the first chunk, where its language is detected."""
        if self._worker.voice is None:
            raise RuntimeError("the voice is not known before the first chunk")
        return self._worker.voice

    @property
    def truncated(self) -> bool:
        """True if max_tokens cut a segment short."""
        return self._worker.truncated

    @property
    def foreign_passages(self) -> list[ForeignPassage]:
        """Passages spoken so far by another voice, because the session's does not speak their language."""
        return self._report.foreign_passages

    @property
    def nothing_speakable(self) -> bool:
        """True if there was text, but nothing speakable in it."""
        return self._worker.nothing_speakable

    @property
    def unused_fields(self) -> list[str]:
        """Names of the request's fields that the voice's engine does not use."""
        unused = unused_fields(self._worker.synthesis.request, self.resolved_voice.engine.info)
        return [*unused, *self.unused_ssml]

    @property
    def unused_ssml(self) -> list[str]:
        """Names of what has no effect in the SSML so far, such as ``ssml.audio``."""
        unused = {*self._segments.unused, *self._context.voices.unused_ssml}
        if self._segments.has_phonemes and not self.resolved_voice.engine.info.reading.ipa:
            unused.add("ssml.phoneme")
        return sorted(unused)

    @property
    def marks(self) -> list[TimedMark]:
        """Marks of the SSML that were reached in the audio so far."""
        return self._marks.timed

    @property
    def cloning_kind(self) -> CloningKind:
        """Kind of imitation of the requested voice; "none" without one. Known from the first chunk on."""
        voice = self.resolved_voice
        return (
            voice.engine.info.cloning.kind if self._worker.synthesis.embedding(voice) is not None else "none"
        )

    @property
    def similarity(self) -> Similarity | None:
        """Similarity of the engine's nearest voice to the requested one; None unless that is what speaks."""
        voice = self.resolved_voice
        embedding = self._worker.synthesis.embedding(voice)
        return embedding.similarity.get(primary(voice.language)) if embedding is not None else None

    @property
    def duration_s(self) -> float:
        """Seconds of audio made so far. RuntimeError before the voice is known."""
        return self._worker.output.duration_s

    def use_embeddings(self, embeddings: tuple[Embedding, ...]) -> None:
        """Imitate these instead of the requested voice. RuntimeError once there is text."""
        if self._segments.length or self._segments.finished:
            raise RuntimeError("the session has its text already")
        self._worker.use_embeddings(embeddings)

    def feed(self, text: str) -> None:
        """Append ``text``. Raises TextTooLong when the whole exceeds the limit."""
        self._check_open()
        limit = self._context.limits.max_text
        # The space that ends the last word of a text that comes word by word is not the client's.
        if self._segments.length + len(text.removesuffix(" ")) > limit:
            raise TextTooLong(limit)
        if not text:
            return
        self._report.text_received(text)
        try:
            self._segments.feed(text)
        except InvalidRequest as error:
            self._worker.cancel(error)
        self._worker.advance()

    def add_pause(self, seconds: float) -> None:
        """End the segment that was fed so far, and append silence.

        The silence has a span without characters. Before any text it is kept until there is some.
        """
        self._check_open()
        self._segments.pause(seconds)
        self._worker.advance()

    def flush(self) -> None:
        """Speak what was fed without waiting for the end of its sentence."""
        self._segments.flush()
        self._worker.advance()

    def finish(self) -> None:
        try:
            self._segments.finish()
        except InvalidRequest as error:
            self._worker.cancel(error)
        self._timeout.start()
        self._worker.advance()

    def _check_open(self) -> None:
        if self._segments.finished or self._closed:
            raise RuntimeError("the session takes no more text")

    def drain(self) -> None:
        """End the session once what was fed is spoken; text fed from now on may be dropped."""
        self._worker.drain()

    def cancel(self) -> None:
        """Stop at once: iteration raises SpeechCancelled, and further text is dropped."""
        self._worker.cancel(SpeechCancelled())

    async def aclose(self) -> None:
        """Stop, and return once nothing of the session is left."""
        if self._closed:
            return
        self._closed = True
        try:
            await self._worker.aclose()
        finally:
            self._timeout.stop()
            self.priority.leave()
            self._report.close(self._worker.voice)
            self._context.admission.release(self._report.protocol)
            self._context.closed(self)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, SpeechError):
            self.fail(error)
        await self.aclose()

    async def wait_until_audible(self) -> None:
        """Return once there is audio, or the session has ended; for a session that is not read yet."""
        await self._buffer.wait_readable()

    async def __aiter__(self) -> AsyncIterator[SpeechChunk]:
        try:
            while (chunk := await self._buffer.get(self._timeout.waiting)) is not None:
                self._report.trace.chunk_given()
                if self._segments.marks:
                    self._marks.add(chunk.spans)
                yield chunk
                self._report.trace.chunk_sent()
        except SpeechError as error:
            self._report.ended(error)
            raise
        if self._segments.marks:
            self._marks.finish(self.duration_s)
        self._report.ended()

    async def queue_positions(self) -> AsyncIterator[int]:
        """Yield the session's position in its engine's queue, 1 for the next, as it changes.

        Ends once the first segment has its slot, or none is needed; raises what the iteration over chunks
        would. To be read before the chunks, if at all.
        """
        async with aclosing(self._access.ticket.positions()) as positions:
            while True:
                with self._timeout.waiting():
                    position = await anext(positions, None)
                if position is None:
                    break
                yield position
        if (error := self._buffer.error) is not None:
            self._report.ended(error)
            raise error

    def fail(self, error: SpeechError) -> None:
        """Report that the session ended by ``error``, as its audio could not be delivered."""
        self._report.ended(error)
