"""One connection of Unmute's dialect."""

import asyncio
from dataclasses import replace
from functools import partial
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from typing_extensions import override

from kani.core.conversation.items import Message
from kani.core.errors import SpeechError
from kani.core.service import SpeechService
from kani.protocols.openai.realtime.client_events import ClientEvent, EventError, convert
from kani.protocols.openai.realtime.connection import Connection, Dialect
from kani.protocols.openai.realtime.session_config import (
    DEFAULT_VOICE,
    SessionConfig,
    Transcription,
    TurnDetection,
)
from kani.protocols.openai.realtime.unmute.events import UnmuteEvents, UnmuteSender, warn
from kani.protocols.openai.realtime.unmute.instructions import COURSE, Instructions
from kani.protocols.openai.realtime.unmute.opus import OpusInput, OpusOutput
from kani.protocols.openai.realtime.unmute.output import UnmuteOutput
from kani.protocols.openai.voice_names import resolve_voice
from kani.protocols.shared.connection import NORMAL, Client
from kani.protocols.shared.conversation import ConnectionLimits

SILENCE_MS = 7000.0
"""Silence after an answer, after which the model is to go on, as Unmute has it."""


class Session(Struct):
    """The session of a client; all of it is optional but the mark of the dialect."""

    allow_recording: bool  # of no effect: nothing is recorded
    instructions: Instructions | None = None
    voice: Annotated[str, Meta(max_length=200)] | None = None


def first_config(config: SessionConfig) -> SessionConfig:
    """Return the configuration of a new connection; config: of one of OpenAI's dialect."""
    detection = TurnDetection(
        "semantic_vad", create_response=config.answers, idle_timeout_ms=SILENCE_MS if config.answers else None
    )
    return replace(config, transcription=Transcription(), turns=detection)


HANG_UP_AFTER_S = 1.0
"""Seconds after a goodbye until the connection is closed, unless the user has spoken."""

NO_MODEL = (
    "there is no language model to answer: start the server with --llm and the address of a chat endpoint, "
    "such as --llm http://localhost:11434/v1"
)


class UnmuteConnection(Connection):
    """A client of Unmute's dialect; the assistant speaks first, once the client has said who it is to be."""

    def __init__(
        self, client: Client, service: SpeechService, config: SessionConfig, limits: ConnectionLimits
    ) -> None:
        """config: of a connection of OpenAI's dialect."""
        stream = OpusOutput()
        make_events = partial(UnmuteEvents, stream=stream)
        make_output = partial(UnmuteOutput, stream=stream, hang_up=self._hang_up)
        dialect = Dialect(UnmuteSender, make_events, make_output)
        super().__init__(client, service, first_config(config), limits, dialect)
        self._general = config.instructions
        self._audio = OpusInput()
        self._opened = False

    @override
    async def _greet(self) -> None:
        """Send nothing: the client speaks first."""

    @override
    async def _handle(self, event: ClientEvent) -> None:
        match event.type:
            case "input_audio_buffer.append":
                await self._input.append(await self._audio.read(event))
            case "session.update":
                await self._update(convert(event.object("session"), Session, "session"))
            case _:
                known = "session.update, input_audio_buffer.append"
                reason = f"type: unknown event {event.type[:100]!r} (known: {known})"
                raise EventError(reason, "invalid_value", "type")

    async def _update(self, session: Session) -> None:
        """Configure the session; the first time the assistant opens the conversation. Raises EventError."""
        given = session.instructions
        instructions = given.written(self._general) if given else f"{self._general}\n\n{COURSE}"
        voice = self._config.voice if session.voice is None else await self._known_voice(session.voice)
        self._config = replace(self._config, instructions=instructions, voice=voice)
        await self._input.configure(self._config)
        await self._sender.send(
            "session.updated",
            session={"instructions": msgspec.to_builtins(given), "voice": voice, "allow_recording": False},
        )
        if not self._config.answers:
            raise EventError(NO_MODEL, "no_language_model")
        if not self._opened:
            self._opened = True
            self._start(self._turns.speak(await self._responses.create({}, self._config)))

    async def _known_voice(self, name: str) -> str:
        """Return a voice of this server: that of the name, or with a warning the default one.

        Pages come with names of Kyutai's recordings, such as ``barack_demo.wav``.
        """
        try:
            await asyncio.to_thread(resolve_voice, self._service, name)
        except SpeechError:
            message = f"voice: there is no {name!r} here (see /v1/voices); the default voice speaks"
            await warn(self._sender, message)
            return DEFAULT_VOICE
        return name

    async def _hang_up(self, goodbye: Message) -> None:
        """Close the connection, unless the user says something more."""
        await asyncio.sleep(HANG_UP_AFTER_S)
        if self._conversation.items[-1:] == [goodbye]:
            await self._client.close(NORMAL, "the assistant has ended the conversation")
