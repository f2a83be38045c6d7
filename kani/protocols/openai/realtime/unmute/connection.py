"""One connection of Unmute's dialect, and the server events of its answers.

Its clients play what comes as it comes, and drop nothing of it: so the audio is sent no faster than it is
played, and an interruption is heard at once.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from typing_extensions import override

from kani.core.audio.ogg_opus import ENCODED_RATE
from kani.core.audio.playback import Playback
from kani.core.conversation.answer import Ending
from kani.core.conversation.items import Message, Part
from kani.core.errors import SpeechError
from kani.core.service import SpeechService
from kani.core.types import Span, SpeechChunk
from kani.protocols.openai.realtime.answers.output import EventOutput, ResponseContext, event_error
from kani.protocols.openai.realtime.client_events import ClientEvent, EventError, convert, unknown_event
from kani.protocols.openai.realtime.connection import Connection, Dialect
from kani.protocols.openai.realtime.session_config import (
    DEFAULT_VOICE,
    SessionConfig,
    Transcription,
    TurnDetection,
)
from kani.protocols.openai.realtime.unmute.events import UnmuteEvents, UnmuteSender, chat_history, warn
from kani.protocols.openai.realtime.unmute.instructions import COURSE, Instructions
from kani.protocols.openai.realtime.unmute.opus import PIECE, OpusInput, OpusOutput
from kani.protocols.openai.voice_names import resolve_voice
from kani.protocols.shared.connection import NORMAL, Client
from kani.protocols.shared.conversation import ConnectionLimits

AHEAD_S = 0.24
"""Seconds of audio that are sent before they are played: they bridge a late packet, and are heard after an
interruption."""

GOODBYE = "bye!"
"""An answer that ends so ends the conversation."""

_WORD = re.compile(r"\S+")


class UnmuteOutput(EventOutput):
    def __init__(
        self, context: ResponseContext, *, stream: OpusOutput, hang_up: Callable[[Message], Awaitable[None]]
    ) -> None:
        """stream: of the connection; hang_up: called with an answer that says goodbye."""
        super().__init__(context)
        self._stream = stream
        self._hang_up = hang_up
        self._playback = Playback()
        self._told = 0  # characters of the answer's words that were sent

    async def start(self) -> None:
        """Send what was said so far, and that the answer is under way."""
        await self._send_history()
        response = {
            "object": "realtime.response",
            "status": "in_progress",
            "voice": self._config.voice,
            "chat_history": chat_history(self._conversation.items),
        }
        await self._sender.send("response.created", response=response)

    async def _send_history(self) -> None:
        history = chat_history(self._conversation.items)
        args = {"chat_history": history, "debug_dict": {}, "debug_plot_data": []}
        await self._sender.send("unmute.additional_outputs", args=args)

    async def waiting(self, seconds: float) -> None:
        """Send a warning that the model has written nothing yet."""
        message = f"the language model has written nothing for {seconds:.0f} s: it may be loading"
        await warn(self._sender, message)

    async def began(self) -> None:
        self.message.spoken = self.answer.spoken
        self._conversation.append(self.message)

    async def fed(self, text: str) -> None:
        await self._sender.send("unmute.response.text.delta.ready", delta=text)

    async def spoke(self, chunk: SpeechChunk, text: str) -> None:
        """Send the audio as it is played, and each word before the page in which it begins."""
        pages = await asyncio.to_thread(self._stream.write, chunk.samples)
        end_s = chunk.start_s
        for number, page in enumerate(pages):
            await asyncio.sleep(max(0.0, self._playback.remaining_s - AHEAD_S))
            await self._stream.flows.wait()
            self.answer.check()
            seconds = len(chunk.samples[number * PIECE :][:PIECE]) / ENCODED_RATE
            end_s += seconds
            await self._send_words([span for span in chunk.spans if span.start_s < end_s])
            self._playback.add(seconds)
            await self._send_audio(page)
        await self._send_words(chunk.spans)

    async def _send_words(self, spans: Sequence[Span]) -> None:
        """Send the words that begin in ``spans``, with their marks, which are spans of their own."""
        if not spans:
            return
        for word in _WORD.finditer(self.answer.text, self._told):
            if word.start() >= spans[-1].end:
                break
            self._told = word.end()
            await self._sender.send("response.text.delta", delta=word.group())

    async def _send_audio(self, page: bytes) -> None:
        if page:
            await self._sender.send("response.audio.delta", delta=page)

    async def end_items(self, ending: Ending) -> None:
        """Send the end of the audio once it is played, and why it ended before its time."""
        message = self.message
        if message.spoken is not None:
            part = Part("output_audio", message.spoken.text, is_speech=True)
            self._conversation.change(message, parts=(part,))
            await self._send_audio(await asyncio.to_thread(self._stream.flush))
        if ending.outcome != "cancelled":
            await asyncio.sleep(max(0.0, self._playback.remaining_s))
        cancelled = self.answer.cancel_reason is not None
        message.status = "completed" if ending.outcome == "completed" and not cancelled else "incomplete"
        if cancelled:
            await self._sender.send("unmute.interrupted_by_vad")
        if ending.error is not None:
            await self._sender.error(event_error(ending.error))
        heard = self.answer.given_out and not cancelled
        if heard:
            await self._sender.send("response.text.done", text=self.answer.text)
        await self._send_history()
        if heard:
            await self._sender.send("response.audio.done")

    async def end(self, ending: Ending) -> None:
        """Hang up after a goodbye."""
        if self.message.status == "completed" and self.message.text.rstrip().lower().endswith(GOODBYE):
            await self._hang_up(self.message)


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
                raise unknown_event(event, ("session.update", "input_audio_buffer.append"))

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
