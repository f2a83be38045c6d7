"""The responses of one connection: answers of a language model, or given text read aloud.

Fields of ``response.create`` tell what is wanted, and which items it is made from.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from functools import partial
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType
from typing_extensions import override

from kani.core.chat_model import ChatEvent
from kani.core.conversation.early import Start
from kani.core.conversation.items import Item, Message
from kani.core.conversation.responses import Output, Response, Responses, read_aloud
from kani.core.errors import SpeechError, TextTooLong
from kani.core.service import SpeechService
from kani.core.session.session import SpeechSession
from kani.core.types import SpeechRequest
from kani.protocols.openai.realtime.answers.model_fields import (
    ModelFields,
    refuse_model_fields,
    with_model_fields,
)
from kani.protocols.openai.realtime.answers.output import ResponseContext, event_error
from kani.protocols.openai.realtime.client_events import EventError, convert, unsupported
from kani.protocols.openai.realtime.conversation import Conversation, audio_in, read_item, served_parts
from kani.protocols.openai.realtime.item_audio import ItemAudio, Sounds
from kani.protocols.openai.realtime.server_events import EventSender
from kani.protocols.openai.realtime.session_config import SessionConfig
from kani.protocols.openai.realtime.session_update import AudioOutput, updated_config, with_output, without
from kani.protocols.openai.voice_names import resolve_voice
from kani.protocols.shared.connection import Client

MAX_INPUT_ITEMS = 256


class _Audio(Struct):
    output: AudioOutput | UnsetType | None = UNSET


_MetadataText = Annotated[str, Meta(max_length=512)]


class ResponseFields(ModelFields):
    """Fields of ``response.create``. Others are ignored."""

    conversation: str = "auto"
    input: Annotated[list[Any], Meta(max_length=MAX_INPUT_ITEMS)] | None = None
    metadata: Annotated[dict[_MetadataText, _MetadataText], Meta(max_length=16)] | None = None
    audio: _Audio | None = None

    @property
    def in_conversation(self) -> bool:
        """True if the answer becomes part of the conversation."""
        return self.conversation != "none"


def served_response(
    fields: dict[str, Any], config: SessionConfig
) -> tuple[ResponseFields, SessionConfig, list[EventError]]:
    """Return what ``read_response`` does, without the tools and parts of items that are not served.

    There is an error for each of these. Raises EventError for any other field.
    """
    errors: list[EventError] = []
    if isinstance(items := fields.get("input"), list) and len(items) <= MAX_INPUT_ITEMS:
        served = [
            served_parts(item, f"response.input[{at}]", sees=config.answers) for at, item in enumerate(items)
        ]
        fields = fields | {"input": [item for item, _ in served]}
        errors += [error for _, refused in served for error in refused]
    while True:
        try:
            return *read_response(fields, config), errors
        except EventError as error:
            param = error.param or ""
            if not param.startswith("response.tools["):
                raise
            errors.append(error)
            # Without any tool left the session's do not take their place.
            fields = {"tools": [], **without(fields, param.split(".")[1:])}


def read_response(fields: dict[str, Any], config: SessionConfig) -> tuple[ResponseFields, SessionConfig]:
    """Return the fields of a response, and ``config`` with those of its own. Raises EventError."""
    given = convert(fields, ResponseFields, "response")
    if config.answers:
        config = with_model_fields(config, given, "response")
    else:
        refuse_model_fields(given, given.output_modalities or given.modalities, "response")
    if given.audio is not None and isinstance(given.audio.output, AudioOutput):
        config = with_output(config, given.audio.output, "response.audio.output")
    beta: dict[str, Any] = {name: fields[name] for name in ("voice", "output_audio_format") if name in fields}
    return given, updated_config(config, beta, (), "response") if beta else config


def items_of(given: ResponseFields, conversation: Conversation, config: SessionConfig) -> list[Item]:
    """Return what a model is to answer: ``input``, or the whole conversation. Raises EventError."""
    if given.input is None:
        return [*conversation.items]
    return [
        _input_item(each, f"response.input[{number}]", conversation, config)
        for number, each in enumerate(given.input)
    ]


def named_items(given: ResponseFields, items: Sequence[Item]) -> Iterator[tuple[Item, Any, str]]:
    """Yield the items of ``input``, if there is one, with the JSON of each and its name."""
    for number, (item, each) in enumerate(zip(items, given.input or (), strict=False)):
        yield item, each, f"response.input[{number}]"


def text_to_read(given: ResponseFields, conversation: Conversation, config: SessionConfig) -> str:
    """Return the text to be read: the user's in ``input``, or outside the conversation its last item's.

    In the conversation the user's own text would come back as the answer to it. Raises EventError.
    """
    if given.input is not None:
        param, items = "response.input", items_of(given, conversation, config)
        for *_, audio in (each for named in named_items(given, items) for each in audio_in(*named)):
            raise unsupported(f"{audio}: speech cannot be answered", audio)
    elif given.in_conversation:
        reason = "put the text to read aloud in it, or set conversation to none to read the user's last"
        raise unsupported(f"response.input: is missing, {reason}", "response.input")
    else:
        param = "response"
        last = conversation.last_of_user()
        items = [] if last is None else [last]
    messages = [item for item in items if isinstance(item, Message) and item.role == "user"]
    text = "\n".join(message.written for message in messages)
    if not text.strip():
        raise unsupported(f"{param}: holds no input_text to read aloud", "response.input")
    return text


def _input_item(given: Any, param: str, conversation: Conversation, config: SessionConfig) -> Item:
    if isinstance(given, dict) and given.get("type") == "item_reference":
        item_id = given.get("id")
        return conversation.find(item_id if isinstance(item_id, str) else "", f"{param}.id")
    return read_item(given, param, answers=config.answers)


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
        if response_id is not None:
            chosen = self._active.get(response_id)
        else:
            active = [*self._active.values()]
            own = [response for response in active if response.output.in_conversation]
            chosen = next(iter((own or active)[-1:]), None)
        if chosen is None:
            raise EventError("there is no active response to cancel", "response_cancel_not_active")
        if chosen.output.in_conversation:
            self._mark_heard()
        chosen.output.answer.cancel("client_cancelled")

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
            if given.in_conversation and not self._conversation_is_free:
                message = "the conversation has an active response: cancel it, or wait for response.done"
                raise EventError(message, ACTIVE)
            if len(self._active) >= MAX_RESPONSES:
                message = f"too many responses at once (at most {MAX_RESPONSES})"
                raise EventError(message, "too_many_responses")
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
