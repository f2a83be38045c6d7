"""The responses of one connection: answers of a language model, or given text read aloud."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from kani.core.chat_model import ChatEnd, ChatEvent, ChatModel, ChatRequest, ChatText
from kani.core.conversation.answer import Answer
from kani.core.conversation.early import Asked, EarlyAnswer, Made, Start
from kani.core.conversation.items import Item, Message, Part
from kani.core.conversation.prompt import chat_messages
from kani.core.errors import SpeechError, TextTooLong
from kani.core.service import SpeechService
from kani.core.session.session import SpeechSession
from kani.core.session.voice_resolver import LanguageMemory
from kani.core.turns.second_hearing import Hearing
from kani.core.types import Samples, SpeechRequest
from kani.protocols.openai.realtime.answers.fields import (
    ResponseFields,
    items_of,
    named_items,
    served_response,
    text_to_read,
)
from kani.protocols.openai.realtime.answers.output import Output, ResponseContext, event_error
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

FURTHER_WAIT_S = 0.5
"""Longest wait for the first audio of an answer, before the turn that it answers is heard as a whole."""

ACTIVE = "conversation_already_has_active_response"


@dataclass(eq=False)
class Response:
    output: Output
    session: SpeechSession | None  # None for an answer in writing
    sounds: Sounds | None  # what it answers has to be heard first


@dataclass(eq=False)
class Responses:
    _service: SpeechService
    _sender: EventSender
    _conversation: Conversation
    _item_audio: ItemAudio
    _client: Client
    _start: Start  # runs a coroutine as a task of the connection
    _make_output: Callable[[ResponseContext], Output]
    _silence: Callable[[], None]  # stops what is played on this side
    _memory: LanguageMemory = field(default_factory=LanguageMemory)
    _active: dict[str, Response] = field(default_factory=dict)
    _last: Answer | None = None  # in the conversation; it may still be playing
    _creating: asyncio.Lock = field(default_factory=asyncio.Lock)
    _language: str = ""  # of the user's speech
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        report = partial(self._service.observer.early_answer, PROTOCOL)
        self._early = EarlyAnswer(self._make_early, self._start, report)

    @property
    def playing_s(self) -> float:
        """Seconds until the conversation's last answer has been played, by the audio that was sent."""
        return max(0.0, self._last.playback.remaining_s) if self._last is not None else 0.0

    @property
    def is_heard(self) -> bool:
        """True while the conversation's last answer is played, and not nearly at its end."""
        return self._last is not None and self._last.is_heard

    def is_echo(self, heard: Samples, sample_rate: int) -> bool:
        """Return True if what the microphone has just heard is the conversation's last answer."""
        return self._last is not None and self._last.is_echo(heard, sample_rate)

    def expect(self, language: str) -> None:
        """Expect answers in the language that the user speaks: a primary subtag, empty if unknown."""
        self._language = language
        self._memory.hear(language)

    def begin_early(self, text: str, language: str, config: SessionConfig) -> None:
        """Begin the answer to a turn of these words, which may go on; nothing of it is sent.

        Without effect while other speech waits for the engines, as it is not sure to be wanted.
        """
        model = self._service.chat_model
        if model is not None and model.asked_early and not self._service.state().waiting:
            said = Message("", "user", (Part("input_audio", text, is_speech=True),))
            self._begin([*self._conversation.items, said], language, config)

    async def begin_at_end(self, hearing: Hearing, language: str, config: SessionConfig) -> None:
        """Begin the answer to a turn that has ended; its words in the conversation may still change.

        Returns once it has its first audio, or the turn is heard as a whole, or that takes too long.
        """
        if not self._begin(self._conversation.items, language, config):
            hearing.begun.set()
        # The work on the turn would make the audio later.
        further_s = 0.0 if hearing.begun.is_set() else FURTHER_WAIT_S
        await self._early.wait_until_audible(hearing.wait(), further_s)

    def _begin(self, items: Sequence[Item], language: str, config: SessionConfig) -> bool:
        """Begin an answer, unless sessions are counted: it may be for nothing. True if it is to sound."""
        if self._service.limits.rate_per_minute or not (config.answers and self._conversation_is_free):
            return False
        if any(isinstance(item, Message) and item.pending for item in items):
            return False
        self.expect(language)
        self._early.begin(self._asked(items, config))
        return not config.written

    def drop_early(self) -> None:
        """Drop an answer that was begun early: the user goes on."""
        self._early.drop()

    def _asked(self, items: Iterable[Item], config: SessionConfig) -> Asked:
        return Asked(_chat_request(items, config), self._language, config)

    async def _make_early(self, asked: Asked) -> Made | None:
        model = self._service.chat_model
        assert model is not None
        try:
            session = None if asked.config.written else await self._open_session(asked.config)
        except EventError:
            return None
        return self._made(model.answer(asked.request), session, asked.config)

    def _made(
        self, events: AsyncGenerator[ChatEvent, None], session: SpeechSession | None, config: SessionConfig
    ) -> Made:
        rate = config.output_format.sample_rate
        return Made(Answer(events, session, rate, self._report(config)), session)

    def interrupt(self) -> bool:
        """Cancel the response in the conversation, because the user speaks.

        Of one that is still playing the model is told only what was played, as far as this side knows.
        Returns True if nothing of it was sent yet, so that what it answers is still to be answered.
        """
        self._mark_heard()
        unheard = False
        for response in self._active.values():
            answer = response.output.answer
            if response.output.in_conversation and answer.cancel_reason is None:
                unheard = not answer.given_out
                answer.cancel("turn_detected")
        self._silence()
        return unheard

    def _mark_heard(self) -> None:
        if self.playing_s and self._last is not None:
            self._last.spoken.heard_s = min(self._last.spoken.heard_s, self._last.heard_s)

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

    @property
    def _conversation_is_free(self) -> bool:
        return not any(response.output.in_conversation for response in self._active.values())

    async def wait_until_free(self) -> None:
        while not self._conversation_is_free:
            self._ended.clear()
            await self._ended.wait()

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
            made = sounds = None
            if config.answers and given.in_conversation and given.input is None:
                made = self._early.take(self._asked(self._conversation.items, config))
            if made is None:
                events, sounds = await self._events(given, config)
                try:
                    session = None if config.written else await self._open_session(config)
                except BaseException:
                    self._forget(sounds)
                    raise
                made = self._made(events, session, config)
            context = ResponseContext(
                *(made.answer, self._sender, self._conversation, config),
                metadata=given.metadata,
                in_conversation=given.in_conversation,
            )
            output = self._make_output(context)
            response = self._active[output.id] = Response(output, made.session, sounds)
            return response

    def _check_free(self, in_conversation: bool) -> None:
        if in_conversation and not self._conversation_is_free:
            message = "the conversation has an active response: cancel it, or wait for response.done"
            raise EventError(message, ACTIVE)
        if len(self._active) >= MAX_RESPONSES:
            raise EventError(f"too many responses at once (at most {MAX_RESPONSES})", "too_many_responses")

    async def _events(
        self, given: ResponseFields, config: SessionConfig
    ) -> tuple[AsyncGenerator[ChatEvent, None], Sounds | None]:
        """Return what the response says, as it is written, and what it hears before. Raises EventError."""
        model = self._service.chat_model
        if config.answers and model is not None:
            items = items_of(given, self._conversation, config)
            sounds = await self._item_audio.take(named_items(given, items), config)
            return self._ask(model, items, sounds, config), sounds
        text = text_to_read(given, self._conversation, config)
        limit = self._service.limits.max_text
        if len(text) > limit:
            raise event_error(TextTooLong(limit))
        return _read_aloud(text), None

    async def _ask(
        self, model: ChatModel, items: list[Item], sounds: Sounds, config: SessionConfig
    ) -> AsyncGenerator[ChatEvent, None]:
        """Yield the model's answer, once all speech that it answers is transcribed."""
        await self._item_audio.hear(sounds, told=False)
        await self._conversation.wait_until_settled(items)
        async with aclosing(model.answer(_chat_request(items, config))) as events:
            async for event in events:
                yield event

    def _report(self, config: SessionConfig) -> Any:
        def report(stage: str, seconds: float) -> None:
            if config.answers:
                self._service.observer.turn_stage(PROTOCOL, stage, seconds)

        return report

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

    async def speak(self, response: Response) -> bool:
        """Send the events of a response; returns True if it is complete and in the conversation."""
        output = response.output
        if output.in_conversation:
            self._last = output.answer
        try:
            try:
                await output.start()
                ending = await output.answer.run(output)
            finally:
                if response.session is not None:
                    await response.session.aclose()
            await output.end_items(ending)
        finally:
            self._forget(response.sounds)
            # The next response may begin now: its first event comes after the last of this one.
            del self._active[output.id]
            self._ended.set()
        await output.end(ending)
        return ending.outcome == "completed" and output.in_conversation

    def _forget(self, sounds: Sounds | None) -> None:
        if sounds is not None:
            self._item_audio.close(sounds)

    async def aclose(self) -> None:
        """End the sessions of responses that ``speak`` has not ended."""
        await self._early.aclose()
        for response in self._active.values():
            if response.session is not None:
                await response.session.aclose()
        self._active.clear()
        # The connection is part of a cycle of references, which would hold the last answer's session.
        self._last = None


async def _read_aloud(text: str) -> AsyncGenerator[ChatEvent, None]:
    """Yield given text as a model's answer."""
    yield ChatText(text)
    yield ChatEnd("stop")


def _chat_request(items: Iterable[Item], config: SessionConfig) -> ChatRequest:
    messages = chat_messages(config.instructions, items)
    options: dict[str, Any] = {"reasoning_effort": config.reasoning_effort}
    if config.tools:
        options["parallel_tool_calls"] = config.parallel_tool_calls
    return ChatRequest(
        messages,
        *(config.tools, config.tool_choice, config.max_output_tokens),
        {name: value for name, value in options.items() if value is not None},
    )
