"""Sound inside items: a spoken message that a client hands over whole, and the words in it."""

import asyncio
from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import Any

from kani.core.audio.decoding import STREAM_POOL, run_in_pool
from kani.core.audio.encoding import AudioFormat
from kani.core.audio.pcm import wav
from kani.core.conversation.input.transcript import Transcript
from kani.core.conversation.items import Item, Message
from kani.core.errors import Busy, SpeechError
from kani.core.service import SpeechService
from kani.core.session.budget import MIB
from kani.protocols.openai.realtime.client_events import MAX_AUDIO_BYTES, read_audio
from kani.protocols.openai.realtime.conversation import Conversation, audio_in
from kani.protocols.openai.realtime.input_events import RealtimeEvents, input_error
from kani.protocols.openai.realtime.session_config import FORMATS, SessionConfig

INPUT = "input_audio"
"""Name of the parts with the user's sound; events tell its words."""

MOST_HELD = MIB
"""Bytes of a connection's sound that wait to be heard; beyond them its next event waits. A single event may
hold more, where the budget of all connections has room."""

MAX_SOUND_S = MAX_AUDIO_BYTES / min(known.sample_rate for known in FORMATS.values())


@dataclass(frozen=True, slots=True)
class Sound:
    """A part of a message that is to be heard."""

    message: Message
    index: int
    file: bytes  # WAV
    duration_s: float


@dataclass(eq=False)
class Sounds:
    """The sounds of one client event. ``close`` gives back the memory that they hold."""

    config: SessionConfig
    size: int = 0
    sounds: list[Sound] = field(default_factory=list)


class ItemAudio:
    """Hears the sound in items of one connection, one event's after the other's."""

    def __init__(
        self,
        protocol: str,
        service: SpeechService,
        events: RealtimeEvents,
        history: Conversation,
        client: str,
    ) -> None:
        """protocol: name for the metrics; client: address for the rate limit."""
        self._protocol, self._client = protocol, client
        self._recognition = service.recognition
        self._events, self._conversation = events, history
        self._memory = service.recognition.budget.open()
        self._released = asyncio.Event()
        self._turn = asyncio.Lock()

    async def take(self, items: Iterable[tuple[Item, Any, str]], config: SessionConfig) -> Sounds:
        """Decode the sound of items, and note that their words are to come; ``hear`` brings them.

        items: each with the JSON that it was read from, and that one's name. Waits while the connection
        holds much already. Raises EventError.
        """
        found = [audio for item, given, param in items for audio in audio_in(item, given, param)]
        sounds = Sounds(config, sum(_size(audio, _format(item, at, config)) for item, at, audio, _ in found))
        await self._make_room(sounds.size)
        try:
            for message, index, audio, param in found:
                side = _format(message, index, config)
                samples = await read_audio(audio, side, param)
                file = await run_in_pool(STREAM_POOL, wav, samples, side.sample_rate)
                sounds.sounds.append(Sound(message, index, file, len(samples) / side.sample_rate))
        except BaseException:
            self.close(sounds)
            raise
        if not config.wants_words:
            self.close(sounds)
        for sound in sounds.sounds:
            sound.message.pending = True
        return sounds

    async def _make_room(self, size: int) -> None:
        while self._memory.size and self._memory.size + size > MOST_HELD:
            self._released.clear()
            await self._released.wait()
        try:
            self._memory.grow(size)
        except Busy as error:
            raise input_error(error) from error

    async def hear(self, sounds: Sounds, *, told: bool) -> str:
        """Put the words of sounds into their items; returns the language of the last ones.

        told: whether events tell the client of words and failures. Raises SpeechError if not.
        """
        language = ""
        if not sounds.sounds:
            return language
        try:
            async with self._turn:
                for sound in sounds.sounds:
                    transcript = Transcript(sound.message.id, sound.index, duration_s=sound.duration_s)
                    try:
                        await self._hear(sound, transcript, sounds.config, told=told)
                    except SpeechError as error:
                        if not told:
                            raise
                        await self._events.failed(transcript, error)
                    language = transcript.language or language
        finally:
            self.close(sounds)
        return language

    async def _hear(self, sound: Sound, transcript: Transcript, config: SessionConfig, *, told: bool) -> None:
        message, index = sound.message, sound.index
        told = told and config.transcription is not None and message.parts[index].name == INPUT
        if sound.duration_s:
            options = replace(config.hears, waited_for=True)
            async with (
                self._recognition.open_transcription(
                    protocol=self._protocol, client=self._client, options=options
                ) as session,
                aclosing(session.segments(BytesIO(sound.file), MAX_SOUND_S)) as segments,
            ):
                async for segment in segments:
                    delta = segment.text if transcript.text else segment.text.lstrip()
                    transcript.text += delta
                    transcript.log_probabilities += [
                        (each.text, each.log_probability) for each in segment.words
                    ]
                    transcript.language = segment.language or transcript.language
                    if told and delta:
                        await self._events.grown(transcript, delta, segment.start_s)
        parts = [*message.parts]
        parts[index] = replace(parts[index], text=transcript.text)
        self._conversation.change(message, parts=tuple(parts))
        if told:
            transcript.tells_log_probabilities = config.log_probabilities
            await self._events.completed(transcript)

    def close(self, sounds: Sounds) -> None:
        """Give back the memory of sounds, heard or not. May be called again."""
        for sound in sounds.sounds:
            self._conversation.settle(sound.message)
        self._memory.hold(self._memory.size - sounds.size)
        sounds.sounds, sounds.size = [], 0
        self._released.set()

    def aclose(self) -> None:
        """Give back the memory of all sounds, once none is heard any more."""
        self._memory.resize(0)


def _format(message: Message, index: int, config: SessionConfig) -> AudioFormat:
    """Return the format of a part's sound: a part that is not of the input is of an answer."""
    return config.input_format if message.parts[index].name == INPUT else config.output_format


def _size(audio: str, audio_format: AudioFormat) -> int:
    """Return the bytes of base64 as 16-bit samples; G.711 has one for each byte, others fewer."""
    return len(audio) * 3 // (4 if audio_format.codec == "pcm" else 2)
