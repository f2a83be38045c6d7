"""One connection of WS /v1/realtime: client events in, to the input audio, the conversation and responses.

``Connection`` is what all dialects of the wire have in common, ``RealtimeConnection`` is OpenAI's.
"""

import time
from abc import abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from typing_extensions import override

from kani.core.conversation.input.audio import InputAudio
from kani.core.conversation.items import Message, new_id
from kani.core.conversation.responses import Output
from kani.core.conversation.turn_answers import TurnAnswers
from kani.core.service import SpeechService
from kani.core.types import Samples
from kani.protocols.openai.realtime.answers.output import ResponseContext, ResponseOutput
from kani.protocols.openai.realtime.answers.paced import PacedEvents, PacedOutput, Side, Track
from kani.protocols.openai.realtime.answers.responses import ACTIVE, PROTOCOL, RealtimeResponses
from kani.protocols.openai.realtime.client_events import (
    ClientEvent,
    EventError,
    faulty,
    parse_event,
    read_audio,
    unknown_event,
)
from kani.protocols.openai.realtime.conversation import (
    Conversation,
    item_json,
    read_item,
    send_item,
    served_parts,
)
from kani.protocols.openai.realtime.input_events import RealtimeEvents
from kani.protocols.openai.realtime.item_audio import ItemAudio, Sounds
from kani.protocols.openai.realtime.mcp import McpTools
from kani.protocols.openai.realtime.server_events import EventSender, Send
from kani.protocols.openai.realtime.session_config import SessionConfig
from kani.protocols.openai.realtime.session_update import (
    applied_update,
    check_voice,
    heard_languages,
    is_beta_session,
)
from kani.protocols.shared.connection import Client
from kani.protocols.shared.conversation import ConnectionLimits, ConversationConnection

CLIENT_EVENTS = (
    *("session.update", "transcription_session.update", "input_audio_buffer.append"),
    *("input_audio_buffer.commit", "input_audio_buffer.clear", "response.create", "response.cancel"),
    *("conversation.item.create", "conversation.item.retrieve", "conversation.item.truncate"),
    *("conversation.item.delete", "output_audio_buffer.clear"),
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """Makers of a connection's events: the differences between clients of OpenAI, of Unmute and calls."""

    make_sender: Callable[[Send], EventSender]
    make_events: Callable[[EventSender], RealtimeEvents] = RealtimeEvents
    make_output: Callable[[ResponseContext], Output] = ResponseOutput
    silence: Callable[[], None] = lambda: None  # stops what is played on this side


class Connection(ConversationConnection):
    """One client; its events are answered in order. One that cannot be served is answered with an error."""

    def __init__(
        self,
        client: Client,
        service: SpeechService,
        config: SessionConfig,
        limits: ConnectionLimits,
        dialect: Dialect,
        track: Track | None = None,
    ) -> None:
        """track: of a call, which has its audio there."""
        super().__init__(client, service, limits)
        self._config, self._track, self._refusal = config, track, ""
        self.make_sender = dialect.make_sender
        self._sender = dialect.make_sender(client.send)
        self._conversation = Conversation(self._memory)
        events = dialect.make_events(self._sender)
        self._item_audio = ItemAudio(PROTOCOL, service, events, self._conversation, client.address)
        self._responses: RealtimeResponses = RealtimeResponses(
            *(service, self._sender, self._conversation, self._item_audio, client, self._start),
            *(dialect.make_output, dialect.silence),
        )
        self._turns = TurnAnswers(self._responses, self._conversation, events, self._answering, self._start)
        self._input = InputAudio(
            service, PROTOCOL, self._conversation, events, config, client.address, self._turns
        )

    def _answering(self) -> SessionConfig:
        """Return the configuration that answers are made by."""
        return self._config

    async def greet(self, sender: EventSender) -> None:
        """Send another client of a call's session its first event."""

    async def take_leave(self, sender: EventSender, reason: str) -> None:
        """Send all clients of a call's session its last event, if it was not sent; reason: of the end."""

    def reflected(self, side: Side, samples: Samples) -> str:
        """Return the event that tells the other clients of a call's session its latest audio, or nothing."""
        return ""

    @abstractmethod
    async def _handle(self, event: ClientEvent) -> None:
        """Handle one event. Raises EventError, and InputFailed."""

    async def _hear(self, samples: Samples) -> None:
        """Take the client's audio, at the rate of the input's format. Raises EventError, and InputFailed."""
        await self._input.append(samples)

    @override
    async def _tell_end(self, reason: str) -> None:
        await self._sender.error(EventError(reason, "session_expired"))

    @override
    def _release(self) -> None:
        self._item_audio.aclose()
        super()._release()

    @override
    async def _receive(self, received: str | bytes | None) -> None:
        try:
            await super()._receive(received)
        finally:
            if self._track is not None:
                # Its events are sent by tasks of this connection.
                self._track.stop()

    @override
    async def _handle_message(self, received: str | bytes) -> None:
        event = None
        try:
            if isinstance(received, str):
                event = await parse_event(received)
                await self._handle(event)
            elif self._track is not None:
                await self._hear(self._track.hear(received, self._config.input_format.sample_rate))
            else:
                raise EventError("events are text messages, not binary ones", "invalid_json")
        except EventError as error:
            if isinstance(received, bytes) and self._track is not None:
                # Said once: fifty pieces come a second.
                if str(error) == self._refusal:
                    return
                self._refusal = str(error)
            await self._sender.error(error, event.event_id if event is not None else None)


class RealtimeConnection(Connection):
    """A client of OpenAI's dialect, in either generation.

    An event that cannot be served changes nothing. Each field of a ``session.update`` is served or refused by
    itself.
    """

    def __init__(
        self,
        client: Client,
        service: SpeechService,
        config: SessionConfig,
        limits: ConnectionLimits,
        *,
        beta: bool = False,
        track: Track | None = None,
    ) -> None:
        dialect = Dialect(partial(EventSender, beta=beta))
        if track is not None:
            make_output = partial(PacedOutput, track, self._start)
            dialect = Dialect(EventSender, partial(PacedEvents, track), make_output, track.clear)
        super().__init__(client, service, config, limits, dialect, track)
        self._id = new_id("sess")
        self._expires_at = int(time.time() + limits.session_s)
        self._mcp = McpTools(self._sender, self._conversation, self._start, self._answer_results)

    @override
    async def run(self, first: str | bytes | None = None) -> None:
        try:
            await super().run(first)
        finally:
            await self._mcp.aclose()

    @override
    async def greet(self, sender: EventSender) -> None:
        await self._send_session("created", sender)

    @override
    async def _greet(self) -> None:
        await self._send_session("created", self._sender)
        await self._mcp.use(self._config.servers)

    @override
    def _answering(self) -> SessionConfig:
        return self._mcp.added_to(self._config)

    def _answer_results(self) -> None:
        self._responses.result_waits = True
        self._turns.ask()

    @override
    async def _handle(self, event: ClientEvent) -> None:
        match event.type:
            case "input_audio_buffer.append":
                await self._hear(await read_audio(event.audio(), self._config.input_format))
            case "input_audio_buffer.commit":
                await self._input.commit()
            case "input_audio_buffer.clear":
                await self._input.clear()
            case "session.update" | "transcription_session.update":
                await self._update_session(event)
            case "response.create":
                await self._create_response(event)
            case "response.cancel":
                self._responses.cancel(event.text("response_id"))
            case "conversation.item.create":
                await self._create_item(event)
            case "conversation.item.retrieve":
                item = self._conversation.find(event.required_text("item_id"))
                await self._sender.send("conversation.item.retrieved", item=item_json(item))
            case "conversation.item.truncate":
                await self._truncate_item(event)
            case "conversation.item.delete":
                item_id = event.required_text("item_id")
                self._conversation.remove(self._conversation.find(item_id))
                await self._sender.send("conversation.item.deleted", item_id=item_id)
            case "output_audio_buffer.clear":
                if self._track is None:
                    raise faulty("type", "output_audio_buffer.clear is for WebRTC")
                with suppress(EventError):
                    self._responses.cancel(None)
                self._track.clear()
            case _:
                raise unknown_event(event, CLIENT_EVENTS)

    async def _create_response(self, event: ClientEvent) -> None:
        fields = event.object("response")
        # Outside the conversation there is no place for the result of an MCP server.
        config = self._config if fields.get("conversation") == "none" else self._answering()
        try:
            response = await self._responses.create(fields, config, event.event_id)
        except EventError as error:
            # Clients of OpenAI's service ask for the answer to such a result, which has begun by itself here.
            if fields or error.code != ACTIVE or not self._responses.answers_result:
                raise
        else:
            self._start(self._turns.speak(response))

    async def _update_session(self, event: ClientEvent) -> None:
        session = event.object("session")
        beta = event.type == "transcription_session.update"
        if beta:
            session = {"type": "transcription", **session}
        config, errors = applied_update(self._config, session, heard_languages(self._service))
        if config.voice != self._config.voice:
            try:
                await check_voice(self._service, config, session)
            except EventError as unknown:
                errors.append(unknown)
                config = replace(config, voice=self._config.voice)
        for error in errors:
            await self._sender.error(error, event.event_id)
        if errors and config == self._config:
            return
        self._sender.beta = self._sender.beta or beta or is_beta_session(event.object("session"))
        self._config = config
        await self._input.configure(config)
        await self._send_session("updated", self._sender)
        await self._mcp.use(config.servers)

    async def _send_session(self, change: str, sender: EventSender) -> None:
        """Send the event of a ``change`` of the session, "created" or "updated", with its configuration."""
        beta, config = sender.beta, self._config
        name = "transcription_session" if beta and config.kind == "transcription" else "session"
        session = (config.as_beta_json if beta else config.as_json)(self._id, self._expires_at)
        await sender.send(f"{name}.{change}", session=session)

    async def _create_item(self, event: ClientEvent) -> None:
        config = self._config
        given, errors = served_parts(event.fields.get("item"), "item", sees=config.answers)
        item = read_item(given, "item", answers=config.answers)
        for error in errors:
            await self._sender.error(error, event.event_id)
        sounds = await self._item_audio.take([(item, given, "item")], config)
        try:
            previous = self._conversation.insert(item, event.text("previous_item_id"))
            await send_item(self._sender, previous, item)
        except BaseException:
            self._item_audio.close(sounds)
            raise
        if sounds.sounds:
            self._start(self._hear_item(sounds))

    async def _hear_item(self, sounds: Sounds) -> None:
        if language := await self._item_audio.hear(sounds, told=True):
            self._responses.expect(language)

    async def _truncate_item(self, event: ClientEvent) -> None:
        item_id = event.required_text("item_id")
        item = self._conversation.find(item_id)
        content_index = event.fields.get("content_index", 0)
        if content_index != 0:
            raise faulty("content_index", "must be 0")
        end_ms = event.fields.get("audio_end_ms")
        if not isinstance(end_ms, int) or isinstance(end_ms, bool) or end_ms < 0:
            raise faulty("audio_end_ms", "must be a whole number of milliseconds from 0 on")
        if not isinstance(item, Message) or item.role != "assistant":
            raise faulty("item_id", "only spoken items can be truncated")
        length_ms = 1000 * item.spoken.duration_s if item.spoken is not None else 0.0
        if end_ms > length_ms:
            raise faulty("audio_end_ms", f"the item has {length_ms:.0f} ms of audio so far")
        self._conversation.truncate(item, end_ms / 1000)
        await self._sender.send(
            "conversation.item.truncated", item_id=item_id, content_index=0, audio_end_ms=end_ms
        )
