"""One utterance of the relay: a text, perhaps still being written, spoken in chunks."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

from protocols.elevenlabs.relay import messages
from protocols.elevenlabs.relay.alignment_files import RelayLogs, SentUtterance
from protocols.elevenlabs.relay.settings import RelaySettings, RelayState
from protocols.elevenlabs.settings import ElevenLabsSettings
from protocols.elevenlabs.voice_ids import resolve_voice
from speech.audio.pcm import pcm16, reframe
from speech.errors import SpeechError, TextTooLong, UnknownVoice
from speech.service import SpeechService
from speech.session.session import SpeechSession
from speech.timing.characters import CharacterClock
from speech.types import SpeechRequest

PROTOCOL = "relay"

MAX_CHUNK_SAMPLES = 2 * messages.SAMPLE_RATE
"""Samples. Nothing waits for a chunk to be full; the fewer there are, the better for the relay's app, whose
player takes the end of each for the end of all."""

FLUSH_AFTER_S = 0.9
"""How long more text is waited for before what is there is spoken to its end."""

FINISH_AFTER_S = 20.0
"""How long it is waited for at all: then the utterance is finished as it is."""


class Send(Protocol):
    """Where messages go. last: whether it ends its utterance."""

    async def __call__(self, message: str, *, last: bool = False) -> None:
        """Send a message."""


@dataclass(frozen=True, slots=True)
class RelayContext:
    """What all of the relay shares."""

    service: SpeechService
    settings: ElevenLabsSettings
    relay_settings: RelaySettings
    state: RelayState
    logs: RelayLogs

    def resolve_voice(self) -> str | None:
        """Who speaks, None for the default of the text's language. Reads a file: call it in a thread."""
        named = self.relay_settings.voice
        try:
            return resolve_voice(self.service, named, self.settings) if named is not None else None
        except UnknownVoice:
            return None


class Utterance:
    """Text goes in by ``feed`` until ``finish``, before and while it is spoken by ``speak``.

    ``over`` is set once it takes no more text: it was finished, broken off, or failed. languages: those that
    its client speaks (BCP 47).
    """

    def __init__(self, house: RelayContext, client: str, languages: tuple[str, ...], send: Send) -> None:
        self._house = house
        self._client = client
        self._languages = languages
        self._send = send
        self._clock = CharacterClock()
        self._session: SpeechSession | None = None
        self._alarms: list[asyncio.TimerHandle] = []
        self._flushed = False
        self.closed = False

    def feed(self, text: str) -> None:
        """Say ``text`` too. Raises TextTooLong, and says nothing of it then."""
        limit = self._house.service.limits.max_text
        if len(self._clock.text) + len(text) > limit:
            raise TextTooLong(limit)
        self._clock.feed(text)
        if self._session is not None:
            self._session.feed(text)
        self._stop_alarms()
        self._flushed = False
        loop = asyncio.get_running_loop()
        self._alarms = [
            loop.call_later(FLUSH_AFTER_S, self._flush),
            loop.call_later(FINISH_AFTER_S, self.finish),
        ]

    def finish(self) -> None:
        """No more will come."""
        self._stop_alarms()
        self.closed = True
        if self._session is not None:
            self._session.finish()

    def discard(self) -> None:
        """It is not spoken, or no further."""
        self._stop_alarms()
        self.closed = True
        self._session = None

    def _flush(self) -> None:
        self._flushed = True
        if self._session is not None:
            self._session.flush()

    def _stop_alarms(self) -> None:
        for alarm in self._alarms:
            alarm.cancel()
        self._alarms.clear()

    async def synthesize(self) -> None:
        """Speak it to its end, and say how it ended."""
        voice = await asyncio.to_thread(self._house.resolve_voice)
        try:
            session = self._house.service.open(
                SpeechRequest(voice=voice, languages=self._languages),
                protocol=PROTOCOL,
                client=self._client,
            )
        except SpeechError as error:
            self.discard()
            await self._send(messages.error_message(error), last=True)
            return
        async with session:
            try:
                self._begin(session)
                await self._stream(session)
            except SpeechError as error:
                session.fail(error)
                self.discard()
                await self._send(messages.error_message(error), last=True)
            finally:
                self.discard()

    def _begin(self, session: SpeechSession) -> None:
        session.feed(self._clock.text)
        if self.closed:
            session.finish()
        elif self._flushed:
            session.flush()
        self._session = session

    async def _stream(self, session: SpeechSession) -> None:
        said, index, total_ms = SentUtterance(), 0, 0
        async for chunk in reframe(aiter(session), messages.SAMPLE_RATE, MAX_CHUNK_SAMPLES):
            pcm = pcm16(chunk.samples)
            characters = self._clock.align(chunk.spans)
            starts, durations = characters.milliseconds()
            if self._house.logs.enabled:
                said.add(characters.text, starts, durations)
            await self._send(messages.chunk(index, pcm, characters.text, starts, durations))
            index += 1
            total_ms += messages.duration_ms(pcm)
        if self._house.logs.enabled:
            await asyncio.to_thread(self._house.logs.write, said)
        await self._send(messages.complete(self._clock.text, total_ms), last=True)
