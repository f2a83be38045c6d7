"""A context: incremental text spoken as one stream. A ``stream-input`` connection is a single context."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field

from kani.core.audio.resampling import reframe
from kani.core.errors import SpeechCancelled, SpeechError
from kani.core.session.session import SpeechSession
from kani.core.timing.characters import FormsClock
from kani.core.types import MESSAGE_S, SpeechChunk
from kani.protocols.elevenlabs.models import IncrementalTags, without_tags
from kani.protocols.elevenlabs.voice_settings import VoiceSettings
from kani.protocols.elevenlabs.websocket.messages import ENTRY_RANGE, ClientMessage
from kani.protocols.elevenlabs.websocket.timed_audio import Block, TimedAudio, TimedAudioFramer, TimedEncoder
from kani.protocols.shared.idle_flush import IdleFlush

DEFAULT_LENGTHS = (120, 160, 250, 290)

FLUSH_AFTER_S = 0.5
"""Time without further text before a reached schedule is applied."""


class ChunkLengthSchedule:
    """Characters that may wait for the end of their sentence, one entry for each generation.

    ElevenLabs' service buffers text until the schedule's next entry is reached, and then synthesizes it. Here
    synthesis begins as soon as further text cannot change the first words, so the schedule is only an upper
    bound: text of that length is spoken although its sentence is incomplete. While more text keeps coming, a
    sentence is not broken for it. The last entry is repeated.
    """

    def __init__(self) -> None:
        self.lengths: Sequence[float] = DEFAULT_LENGTHS
        self._generations = 0
        self._triggered = False

    def trigger(self) -> None:
        """Lower the current entry to the smallest allowed one (``try_trigger_generation``)."""
        self._triggered = True

    def is_reached(self, pending: int) -> bool:
        """Return whether ``pending`` characters reach the current entry."""
        length = self.lengths[min(self._generations, len(self.lengths) - 1)]
        return pending >= (min(length, ENTRY_RANGE.low) if self._triggered else length)

    def advance(self) -> None:
        """Move to the next entry, after the pending text was flushed."""
        self._generations += 1
        self._triggered = False


StartSession = Callable[[VoiceSettings], SpeechSession]


@dataclass(slots=True)
class TextCursor:
    """Positions in the text of a context, in characters since its start."""

    fed: int = 0  # end of the text given to the session
    generated: int = 0  # end of the text that the schedule or a flush has forced the synthesis of
    flushed: int = 0  # end of the text that a closed context still speaks
    spoken: int = 0  # end of the text that the session has yielded audio for

    @property
    def pending(self) -> int:
        """Characters given to the session but neither forced nor spoken."""
        return self.fed - max(self.generated, self.spoken)


@dataclass(eq=False)
class Context:
    """One stream of text and audio: give it messages, iterate over ``audio``, release it by ``aclose``."""

    _start: StartSession  # opens the session at the first text, raises SpeechError
    _encoder: TimedEncoder
    _: KW_ONLY
    cut: bool  # ``cut_at_characters`` of ``TimedAudioFramer``
    strict: bool  # as of ``TimedAudioFramer``
    auto_mode: bool  # flush each message
    audio_tags: bool  # True if there are such in the text, which are not spoken
    _session: SpeechSession | None = None
    _ready: asyncio.Event = field(default_factory=asyncio.Event)
    _clock: FormsClock = field(default_factory=FormsClock)
    _schedule: ChunkLengthSchedule = field(default_factory=ChunkLengthSchedule)
    _voice: VoiceSettings = field(default_factory=VoiceSettings)
    _last_character: str = ""
    _cursor: TextCursor = field(default_factory=TextCursor)
    _idle_flush: IdleFlush = field(default_factory=lambda: IdleFlush(FLUSH_AFTER_S))
    _speak_until: int | None = None  # end of the audible text once closed with unflushed text
    _error: SpeechError | None = None
    _complete: bool = False
    input_ended: bool = False  # True if further text is ignored
    audible: bool = False  # True once audio was sent
    broken_off: bool = False
    """True if it was closed while it was heard, and its text had not been ended by a flush of its own."""
    interrupted: bool = False  # True if nothing more is to be sent but the end
    continued: bool = False  # True if another context speaks after it into the same stream of audio

    def __post_init__(self) -> None:
        self._tags = IncrementalTags() if self.audio_tags else None

    def handle_message(self, message: ClientMessage) -> None:
        """Apply a message's settings, text and flush; does nothing once the input has ended.

        Voice settings have an effect until the first text. Errors are raised by ``audio``, after the audio.
        """
        if self.input_ended:
            return
        if message.voice_settings is not None:
            self._voice = message.voice_settings
        if message.chunk_lengths is not None:
            self._schedule.lengths = message.chunk_lengths
        if message.try_trigger_generation:
            self._schedule.trigger()
        text = message.text or ""
        has_content = self._is_content(text)
        if has_content or message.flush:
            # Clients end a text by a flush of its own, which follows the last of it.
            self._complete = not has_content
        try:
            if has_content:
                self._feed(text)
        except SpeechError as error:
            self._error = error
            self.finish()
            return
        if message.flush or (self.auto_mode and text.strip()):
            self._flush()
        else:
            self._schedule_flush()

    def _is_content(self, text: str) -> bool:
        """Return whether ``text`` is more than the space that opens a context or keeps it alive."""
        if not text.isspace():
            return bool(text)
        return bool(self._last_character) and (text != " " or not self._last_character.isspace())

    def _feed(self, text: str) -> None:
        self._last_character = text[-1]
        self._speak(text if self._tags is None else self._tags.feed(text))

    def _speak(self, text: str) -> None:
        if not text:
            return
        if self._session is None:
            self._session = self._start(self._voice)
            self._ready.set()
        self._session.feed(text if self._tags is None else without_tags(text))
        self._clock.feed(text)
        self._cursor.fed += len(text)

    def _schedule_flush(self) -> None:
        """Speak the pending text once no more comes, if it reaches the schedule and ends with a word."""
        pending = self._cursor.pending
        reached = pending > 0 and self._schedule.is_reached(pending)
        if reached and not self._last_character.isalnum():
            self._idle_flush.restart(self._generate)
        else:
            self._idle_flush.cancel()

    def _generate(self) -> None:
        self._idle_flush.cancel()
        if self._session is not None:
            self._session.flush()
            self._cursor.generated = self._cursor.fed
            self._schedule.advance()

    def _flush(self) -> None:
        """Speak the text so far; its last word ends here, whatever follows."""
        if self._cursor.fed > self._cursor.flushed:
            self._end_word()
            self._generate()

    def _end_word(self) -> None:
        """End the current word with a space, as ElevenLabs' service does."""
        if self._last_character and not self._last_character.isspace():
            self._feed(" ")
        self._cursor.flushed = self._cursor.fed

    def finish(self) -> None:
        """End the input; all text is spoken."""
        if not self.input_ended:
            self._speak_rest()
            self._end_input()

    def _speak_rest(self) -> None:
        """End the text, and speak what was held back as the beginning of a tag."""
        self._end_word()
        if self._tags is not None:
            try:
                self._speak(self._tags.finish())
            except SpeechError as error:
                self._error = self._error or error
            self._cursor.flushed = self._cursor.fed

    def close(self, *, flush: bool = False) -> None:
        """End the input; only the flushed text is spoken, or all of it with ``flush``."""
        if self.input_ended:
            return
        if flush:
            self._speak_rest()
        self.broken_off = self.audible and not self._complete
        cursor = self._cursor
        if cursor.fed > cursor.flushed:
            self._speak_until = cursor.flushed
            if self._session is not None and cursor.spoken >= cursor.flushed:
                self._session.cancel()
        self._end_input()

    def _end_input(self) -> None:
        self.input_ended = True
        self._idle_flush.cancel()
        self._ready.set()
        if self._session is not None:
            self._session.finish()

    def interrupt(self) -> None:
        """Stop speaking at once: audio that was not sent yet is dropped."""
        self.interrupted = True
        if self._session is not None:
            self._session.cancel()

    def lower_priority(self) -> None:
        """Synthesize and send after the connection's other contexts."""
        if self._session is not None:
            self._session.priority.lower()

    def restore_priority(self) -> None:
        """Undo ``lower_priority``, because a context of the same id waits for this one's end."""
        self.broken_off = False
        if self._session is not None:
            self._session.priority.restore()

    @property
    def superseded(self) -> bool:
        """True if its priority is lowered and another context has text."""
        return self._session is not None and self._session.priority.superseded

    async def audio(self) -> AsyncIterator[Block]:
        """Yield encoded audio, each with the alignments of the characters that begin in it.

        The alignments contain each character of the text once, in order. Audio is empty only for characters
        after the last audio. Raises SpeechError after the audio before the error.
        """
        await self._ready.wait()
        if self._session is not None:
            async for message in self._encode(self._session):
                yield message
        if self._error is not None:
            raise self._error

    async def _encode(self, session: SpeechSession) -> AsyncIterator[Block]:
        encoder = self._encoder
        encoder.begin_turn()
        async for timed in self._timed_audio(session):
            block = await encoder.feed(timed)
            if self.interrupted:
                return
            if block is not None:
                yield block
        rest = encoder.end_turn() if self.continued else await encoder.finish()
        if rest is not None and not self.interrupted:
            yield rest

    async def _timed_audio(self, session: SpeechSession) -> AsyncIterator[TimedAudio]:
        """Yield the audible speech in parts that match their characters."""
        rate = self._encoder.audio_format.encoded_rate
        framer = TimedAudioFramer(self._clock, rate, cut_at_characters=self.cut, strict=self.strict)
        async for frame in reframe(self._chunks(session), rate, round(MESSAGE_S * rate), even=True):
            for timed in framer.feed(self._cut_unflushed(frame, session)):
                yield timed
        for timed in framer.finish():
            yield timed

    async def _chunks(self, session: SpeechSession) -> AsyncIterator[SpeechChunk]:
        """Yield the session's chunks; keeps its error until all audio before it has been sent."""
        try:
            async for chunk in session:
                yield chunk
        except SpeechError as error:
            stopped = self.interrupted or self._speak_until is not None
            closed = stopped and isinstance(error, SpeechCancelled)
            if self._error is None and not closed:
                self._error = error

    def _cut_unflushed(self, frame: SpeechChunk, session: SpeechSession) -> SpeechChunk:
        """Cut a frame off where it begins to speak text that was not flushed before ``close``."""
        before, end = self._cursor.spoken, self._speak_until
        if frame.spans:
            self._cursor.spoken = frame.spans[-1].end
        if end is None or self._cursor.spoken <= end:
            return frame
        session.cancel()
        spans = tuple(span for span in frame.spans if span.end <= end)
        # The end of a word that began in an earlier frame is heard; a span may come after its audio.
        heard_s = 0.0 if before > end else max(0.0, frame.spans[len(spans)].start_s - frame.start_s)
        samples = frame.samples[: round(heard_s * frame.sample_rate)]
        return SpeechChunk(samples, frame.sample_rate, frame.start_s, spans)

    async def aclose(self) -> None:
        """End the input and the session; returns when its synthesis has stopped."""
        self.input_ended = True
        self._idle_flush.cancel()
        if self._session is not None:
            await self._session.aclose()
