"""The responses of one connection: answers of a language model, or given text read aloud."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial
from typing import Any

from typing_extensions import override

from kani.core.chat_model import ChatEvent
from kani.core.conversation.early import Start
from kani.core.conversation.items import Item
from kani.core.conversation.responses import Output, Response, Responses, read_aloud
from kani.core.errors import SpeechError, TextTooLong
from kani.core.service import SpeechService
from kani.core.session.session import SpeechSession
from kani.core.types import SpeechRequest
from kani.protocols.openai.realtime.answers.fields import (
    ResponseFields,
    items_of,
    named_items,
    served_response,
    text_to_read,
)
from kani.protocols.openai.realtime.answers.output import ResponseContext, event_error
from kani.protocols.openai.realtime.client_events import EventError
from kani.protocols.openai.realtime.conversation import Conversation
from kani.protocols.openai.realtime.item_audio import ItemAudio, Sounds
from kani.protocols.openai.realtime.server_events import EventSender
from kani.protocols.openai.realtime.session_config import SessionConfig
from kani.protocols.openai.voice_names import resolve_voice
from kani.protocols.shared.connection import Client

PROTOCOL = "openai-realtime"

MAX_RESPONSES = 4
"""Responses at once on one connection, at most one of them in the conversation."""

ACTIVE = "conversation_already_has_active_response"


class RealtimeResponses(Responses):
    def __init__(
        self,
        service: SpeechService,
        sender: EventSender,
        conversation: Conversation,
        item_audio: ItemAudio,
        client: Client,
        start: Start,
        make_output: Callable[[ResponseContext], Output],
        silence: Callable[[], None],
    ) -> None:
        """start, silence: as of ``Responses``."""
        super().__init__(service, PROTOCOL, conversation, start, silence)
        self._sender = sender
        self._conversation = conversation
        self._item_audio = item_audio
        self._client = client
        self._make_output = make_output
        self.result_waits = False  # of an MCP server's tool, for the next answer
        self._to_result = ""  # id of the last answer to such results

    @property
    def answers_result(self) -> bool:
        """True while an answer to the result of an MCP server's tool, which began by itself, is active."""
        return self._to_result in self._active

    def cancel(self, response_id: str | None) -> None:
        """Cancel a response, by default that in the conversation, or any other. Raises EventError."""
        chosen = self._active.get(response_id) if response_id is not None else self._latest()
        if chosen is None:
            raise EventError("there is no active response to cancel", "response_cancel_not_active")
        if chosen.output.in_conversation:
            self._mark_heard()
        chosen.output.answer.cancel("client_cancelled")

    def _latest(self) -> Response | None:
        active = [*self._active.values()]
        own = [response for response in active if response.output.in_conversation]
        return next(iter((own or active)[-1:]), None)

    @override
    async def answer(self, config: SessionConfig) -> Response | None:
        try:
            response = await self.create({}, config)
        except EventError as error:
            if error.code != ACTIVE:
                raise
            return None
        if self.result_waits:
            self.result_waits, self._to_result = False, response.output.id
        return response

    async def create(
        self, fields: dict[str, Any], config: SessionConfig, event_id: str | None = None
    ) -> Response:
        """Begin the response that ``response.create`` asks for; ``speak`` sends it. Raises EventError.

        event_id: of the client's event, for the errors of what is left out.
        """
        async with self._creating:
            given, config, errors = served_response(fields, config)
            for error in errors:
                await self._sender.error(error, event_id)
            self._check_free(given.in_conversation)
            made, sounds = None, Sounds(config)
            if config.answers and given.in_conversation and given.input is None:
                made = self._early.take(self._asked(self._conversation.items, config))
            if made is None:
                events, sounds = await self._events(given, config)
                try:
                    session = None if config.written else await self._open_session(config)
                except BaseException:
                    self._item_audio.close(sounds)
                    raise
                made = self._made(events, session, config)
            context = ResponseContext(
                *(made.answer, self._sender, self._conversation, config),
                metadata=given.metadata,
                in_conversation=given.in_conversation,
            )
            output = self._make_output(context)
            return self._add(Response(output, made.session, partial(self._item_audio.close, sounds)))

    def _check_free(self, in_conversation: bool) -> None:
        if in_conversation and not self._conversation_is_free:
            message = "the conversation has an active response: cancel it, or wait for response.done"
            raise EventError(message, ACTIVE)
        if len(self._active) >= MAX_RESPONSES:
            raise EventError(f"too many responses at once (at most {MAX_RESPONSES})", "too_many_responses")

    async def _events(
        self, given: ResponseFields, config: SessionConfig
    ) -> tuple[AsyncGenerator[ChatEvent, None], Sounds]:
        """Return what the response says, as it is written, and what it hears before. Raises EventError."""
        if config.answers and self._service.chat_model is not None:
            items = items_of(given, self._conversation, config)
            sounds = await self._item_audio.take(named_items(given, items), config)
            return self._hear_and_ask(items, sounds, config), sounds
        text = text_to_read(given, self._conversation, config)
        limit = self._service.limits.max_text
        if len(text) > limit:
            raise event_error(TextTooLong(limit))
        return read_aloud(text), Sounds(config)

    async def _hear_and_ask(
        self, items: list[Item], sounds: Sounds, config: SessionConfig
    ) -> AsyncGenerator[ChatEvent, None]:
        await self._item_audio.hear(sounds, told=False)
        async with aclosing(self._ask(items, config)) as events:
            async for event in events:
                yield event

    @override
    async def _open_session(self, config: SessionConfig) -> SpeechSession:
        try:
            choice = await asyncio.to_thread(resolve_voice, self._service, config.voice)
            request = SpeechRequest(
                voice=choice.voice,
                voices=choice.voices,
                languages=self._client.languages,
                speed=None if config.speed == 1 else config.speed,
            )
            return self._service.open(
                request, protocol=PROTOCOL, client=self._client.address, memory=self._memory
            )
        except SpeechError as error:
            raise event_error(error) from error
