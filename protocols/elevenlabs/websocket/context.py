"""A context: text that comes in pieces, spoken as one stream. All of ``stream-input`` is one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from protocols.elevenlabs.voice_settings import VoiceSettings
from protocols.elevenlabs.websocket.messages import Alignments, ClientMessage
from protocols.elevenlabs.websocket.schedule import FLUSH_AFTER_S, ChunkLengthSchedule
from protocols.elevenlabs.websocket.timed_audio import (
    NO_SAMPLES,
    AlignmentClock,
    TimedAudio,
    TimedAudioFramer,
)
from speech.audio.encoding import AudioFormat, Encoder, create_encoder
from speech.audio.ogg_opus import ENCODED_RATE
from speech.audio.pcm import reframe
from speech.errors import SpeechCancelled, SpeechError
from speech.session.session import SpeechSession
from speech.timing.characters import FormsClock, TimedForms
from speech.types import Samples, SpeechChunk

MAX_FRAME_S = 0.25
"""The longest audio of a message."""

_THREADED = ("mp3", "opus")
"""Codecs that take their time, and keep some of what they were given until more comes."""


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """How audio goes out, and what its characters' times count from.

    absolute: the start of the stream; strict: if they do not, whether audio waits until they are known, so
    that they are exact for clients that add the length of the audio before.
    """

    audio_format: AudioFormat
    absolute_times: bool
    strict: bool


class Context:
    """Take messages, iterate over ``audio``; ``aclose`` frees everything.

    start: opens the session, once there is something to say; raises SpeechError.
    """

    def __init__(
        self, start: Callable[[VoiceSettings], SpeechSession], output: OutputOptions, *, auto_mode: bool
    ) -> None:
        self._start = start
        self._output = output
        self._auto_mode = auto_mode
        self._session: SpeechSession | None = None
        self._ready = asyncio.Event()
        self._clock = FormsClock()
        self._schedule = ChunkLengthSchedule()
        self._voice = VoiceSettings()
        self._last = ""
        self._fed = self._generated = self._flushed = self._told = 0
        self._until: int | None = None
        self._error: SpeechError | None = None
        self.input_ended = False
        """Whether no more text is taken."""
        self.flush_at: float | None = None
        """When what waits is to be spoken although no more has come, by the event loop's clock."""

    def handle_message(self, message: ClientMessage) -> None:
        """Do what a message says: settings, text, flush; nothing once no more text is taken.

        Settings of the voice count until the first text. What goes wrong is told behind the audio.
        """
        if self.input_ended:
            return
        if message.voice_settings is not None:
            self._voice = message.voice_settings
        if message.chunk_lengths is not None:
            self._schedule.lengths = message.chunk_lengths
        if message.trigger_generation:
            self._schedule.trigger()
        text = message.text or ""
        try:
            if self._adds(text):
                self._feed(text)
        except SpeechError as error:
            self._error = error
            self.finish()
            return
        if message.flush or (self._auto_mode and text.strip()):
            self._flush()
        else:
            self._wait()

    def _adds(self, text: str) -> bool:
        """Whether ``text`` is more than the space that opens a context or keeps it alive."""
        if not text.isspace():
            return bool(text)
        return bool(self._last) and (text != " " or not self._last.isspace())

    def _feed(self, text: str) -> None:
        if self._session is None:
            self._session = self._start(self._voice)
            self._ready.set()
        self._session.feed(text)
        self._clock.feed(text)
        self._fed += len(text)
        self._last = text[-1]

    def _wait(self) -> None:
        """Speak what is there a moment from now, if it is enough and ends where a word may."""
        waiting = self._fed - max(self._generated, self._told)
        enough = waiting > 0 and self._schedule.is_reached(waiting) and not self._last.isalnum()
        self.flush_at = asyncio.get_running_loop().time() + FLUSH_AFTER_S if enough else None

    def flush_if_due(self, now: float) -> None:
        """Speak what has waited long enough."""
        if self.flush_at is not None and self.flush_at <= now:
            self._generate()

    def _generate(self) -> None:
        self.flush_at = None
        if self._session is not None:
            self._session.flush()
            self._generated = self._fed
            self._schedule.advance()

    def _flush(self) -> None:
        """Speak what is there; it ends with a word, whatever comes behind it."""
        if self._fed > self._flushed:
            self._end_word()
            self._generate()

    def _end_word(self) -> None:
        """What is there belongs together with nothing that comes: the service adds this space too."""
        if self._last and not self._last.isspace():
            self._feed(" ")
        self._flushed = self._fed

    def finish(self) -> None:
        """Speak what is there, to its end; no more text will come."""
        if not self.input_ended:
            self._end_word()
            self._finish()

    def close(self) -> None:
        """Speak what was flushed, to its end, and nothing else; no more text will come."""
        if self.input_ended:
            return
        if self._fed > self._flushed:
            self._until = self._flushed
            if self._session is not None and self._told >= self._flushed:
                self._session.cancel()
        self._finish()

    def give_way(self) -> None:
        """Be made and sent behind other contexts of the connection: no more is to be said in it."""
        if self._session is not None:
            self._session.lower_priority()

    def keep_ahead(self) -> None:
        """Give way no more: the next context of its name waits for its end."""
        if self._session is not None:
            self._session.restore_priority()

    @property
    def superseded(self) -> bool:
        """True while it gives way to a context that has text."""
        return self._session is not None and self._session.superseded

    def _finish(self) -> None:
        self.input_ended = True
        self.flush_at = None
        self._ready.set()
        if self._session is not None:
            self._session.finish()

    async def audio(self) -> AsyncIterator[tuple[bytes, Alignments]]:
        """Audio as it is made, and the times of the characters that begin in it.

        All characters of the text, in order; an end without audio only where there was none.
        Raises SpeechError.
        """
        await self._ready.wait()
        if self._session is not None:
            async for message in self._encoded(self._session):
                yield message
        if self._error is not None:
            raise self._error

    async def _encoded(self, session: SpeechSession) -> AsyncIterator[tuple[bytes, Alignments]]:
        codec, times = _Codec(self._output.audio_format), AlignmentClock(absolute=self._output.absolute_times)
        waiting = TimedForms()
        async for piece in self._pieces(session, codec):
            waiting += piece.reading
            if data := await codec.feed(piece.samples):
                yield data, times.take(waiting)
                waiting = TimedForms()
        data = await codec.finish()
        if data or waiting.written.text:
            yield data, times.take(waiting)

    async def _pieces(self, session: SpeechSession, codec: _Codec) -> AsyncIterator[TimedAudio]:
        """The speech, up to where it is to end."""
        output = self._output
        cuts = not (output.absolute_times or codec.delays)
        pieces = TimedAudioFramer(self._clock, codec.rate, cut_at_characters=cuts, strict=output.strict)
        async for frame in reframe(self._chunks(session), codec.rate, round(MAX_FRAME_S * codec.rate)):
            for piece in pieces.feed(self._until_closed(frame, session)):
                yield piece
        for piece in pieces.finish():
            yield piece

    async def _chunks(self, session: SpeechSession) -> AsyncIterator[SpeechChunk]:
        """What is spoken; an error ends it, and is kept until all that was spoken has been sent."""
        try:
            async for chunk in session:
                yield chunk
        except SpeechError as error:
            cut_short = self._until is not None and isinstance(error, SpeechCancelled)
            if self._error is None and not cut_short:
                self._error = error

    def _until_closed(self, frame: SpeechChunk, session: SpeechSession) -> SpeechChunk:
        """What of a frame is to be heard: none from where it says what was not flushed before the close."""
        until = self._until
        if frame.spans:
            self._told = frame.spans[-1].end
        if until is None or self._told <= until:
            return frame
        session.cancel()
        spans = tuple(span for span in frame.spans if span.end <= until)
        return SpeechChunk(NO_SAMPLES, frame.sample_rate, frame.start_s, spans)

    async def aclose(self) -> None:
        """Stop what is under way, and return once nothing of it is left."""
        self.input_ended = True
        if self._session is not None:
            await self._session.aclose()


class _Codec:
    """An encoder that holds up nobody."""

    def __init__(self, audio: AudioFormat) -> None:
        self.rate = ENCODED_RATE if audio.codec == "opus" else audio.sample_rate
        """Hertz of what it is fed with."""
        self.delays = audio.codec in _THREADED
        """Whether it keeps some of what it was fed with until more comes."""
        self._encoder: Encoder = create_encoder(audio, self.rate)

    async def feed(self, samples: Samples) -> bytes:
        """Take samples; the bytes that are ready."""
        if self.delays:
            return await asyncio.to_thread(self._encoder.feed, samples)
        return self._encoder.feed(samples)

    async def finish(self) -> bytes:
        """The rest."""
        return await asyncio.to_thread(self._encoder.finish) if self.delays else self._encoder.finish()
