"""One utterance of the relay: complete or incremental text, spoken in chunks."""

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

from kani.core.audio.pcm import pcm16
from kani.core.audio.resampling import reframe
from kani.core.errors import SpeechError, TextTooLong, UnknownVoice
from kani.core.service import SpeechService
from kani.core.session.session import SpeechSession
from kani.core.session.voice_resolver import LanguageMemory
from kani.core.timing.characters import FormsClock
from kani.core.types import SpeechRequest
from kani.protocols.elevenlabs.plugin import ElevenLabsSettings
from kani.protocols.elevenlabs.relay import messages
from kani.protocols.elevenlabs.relay.alignment_files import RelayLogs, SentUtterance
from kani.protocols.elevenlabs.voice_ids import resolve_voice
from kani.protocols.shared.idle_flush import IdleFlush

PROTOCOL = "relay"

MAX_CHUNK_SAMPLES = 2 * messages.SAMPLE_RATE
"""Samples of a chunk. No audio waits for a chunk to fill up. Fewer chunks are better for the relay's app: its
player takes the end of each for the end of all."""

FLUSH_AFTER_S = 0.9
"""Time without further text before the text so far is spoken to its last word."""

FINISH_AFTER_S = 20.0
"""Time without further text before the utterance is finished."""


class Send(Protocol):
    """Sends a message to one or all clients. last: whether it ends its utterance."""

    async def __call__(self, message: str, *, last: bool = False) -> None:
        """Send a message."""


@dataclass(frozen=True, slots=True)
class RelayContext:
    """Objects shared by all connections of the relay."""

    service: SpeechService
    settings: ElevenLabsSettings
    logs: RelayLogs | None  # None: nothing is stored

    def resolve_voice(self) -> str | None:
        """Find the configured voice; None is the default of the text's language.

        Reads a file: call it in a thread.
        """
        voice_id = self.settings.relay_voice
        try:
            return resolve_voice(self.service, voice_id, self.settings) if voice_id is not None else None
        except UnknownVoice:
            return None


@dataclass(eq=False)
class Utterance:
    """Text is added by ``feed`` until ``finish``, before and while ``synthesize`` runs.

    ``closed`` is True once it takes no more text: finished, discarded or failed. languages: BCP 47 tags of
    the client's languages; memory: the connection's.
    """

    _context: RelayContext
    _client: str
    _languages: tuple[str, ...]
    _memory: LanguageMemory
    _send: Send
    _clock: FormsClock = field(default_factory=FormsClock)
    _session: SpeechSession | None = None
    _flush_timer: IdleFlush = field(default_factory=lambda: IdleFlush(FLUSH_AFTER_S))
    _finish_timer: IdleFlush = field(default_factory=lambda: IdleFlush(FINISH_AFTER_S))
    _flushed: bool = False
    closed: bool = False

    def feed(self, text: str) -> None:
        """Add text. Raises TextTooLong, and adds nothing then."""
        limit = self._context.service.limits.max_text
        if len(self._clock.text) + len(text) > limit:
            raise TextTooLong(limit)
        self._clock.feed(text)
        if self._session is not None:
            self._session.feed(text)
        self._flushed = False
        self._flush_timer.restart(self._flush)
        self._finish_timer.restart(self.finish)

    def finish(self) -> None:
        self._cancel_timers()
        self.closed = True
        if self._session is not None:
            self._session.finish()

    def discard(self) -> None:
        self._cancel_timers()
        self.closed = True
        self._session = None

    def _flush(self) -> None:
        self._flushed = True
        if self._session is not None:
            self._session.flush()

    def _cancel_timers(self) -> None:
        self._flush_timer.cancel()
        self._finish_timer.cancel()

    async def synthesize(self) -> None:
        """Synthesize and send all chunks, then ``complete`` or an error."""
        voice = await asyncio.to_thread(self._context.resolve_voice)
        try:
            session = self._context.service.open(
                SpeechRequest(voice=voice, languages=self._languages),
                protocol=PROTOCOL,
                client=self._client,
                memory=self._memory,
            )
        except SpeechError as error:
            self.discard()
            await self._send(messages.error_message(error), last=True)
            return
        async with session:
            try:
                self._start(session)
                await self._stream(session)
            except SpeechError as error:
                session.fail(error)
                self.discard()
                await self._send(messages.error_message(error), last=True)
            finally:
                self.discard()

    def _start(self, session: SpeechSession) -> None:
        """Feed the text that came before the session was opened."""
        session.feed(self._clock.text)
        if self.closed:
            session.finish()
        elif self._flushed:
            session.flush()
        self._session = session

    async def _stream(self, session: SpeechSession) -> None:
        logs = self._context.logs
        sent, index, total_ms = SentUtterance(), 0, 0
        async for chunk in reframe(aiter(session), messages.SAMPLE_RATE, MAX_CHUNK_SAMPLES):
            pcm = pcm16(chunk.samples)
            characters = self._clock.align(chunk.spans).written
            starts, durations = characters.milliseconds()
            if logs is not None:
                sent.add(characters.text, starts, durations)
            await self._send(messages.chunk(index, pcm, characters.text, starts, durations))
            index += 1
            total_ms += messages.duration_ms(pcm)
        if logs is not None:
            await asyncio.to_thread(logs.write, sent)
        await self._send(messages.complete(self._clock.text, total_ms), last=True)
