"""The responses of one connection: answers of a language model, spoken as they are written."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any

from kani.core.chat_model import ChatEnd, ChatEvent, ChatRequest, ChatText
from kani.core.conversation.answer import ECHOES_S, Answer, AnswerOutput, Ending
from kani.core.conversation.config import ConversationConfig
from kani.core.conversation.early import Asked, EarlyAnswer, Made, Start
from kani.core.conversation.history import History
from kani.core.conversation.input.events import Refused
from kani.core.conversation.input.transcript import spoken_part
from kani.core.conversation.items import Item, Message, new_id
from kani.core.conversation.prompt import chat_messages
from kani.core.service import SpeechService
from kani.core.session.session import SpeechSession
from kani.core.session.voice_resolver import LanguageMemory
from kani.core.turns.second_hearing import Hearing
from kani.core.types import Samples

FURTHER_WAIT_S = 0.5
"""Longest wait for the first audio of an answer, before the turn that it answers is heard as a whole."""

MOST_PLAYING = 8
"""Answers that still sound, at most, as the next one is made: those that call tools follow each other."""


class Output(AnswerOutput, ABC):
    """One response on the wire. ``message`` is what it adds to the conversation."""

    def __init__(self, answer: Answer, *, in_conversation: bool = True) -> None:
        self.id = new_id("resp")
        self.message = Message(new_id("item"), "assistant", status="in_progress")
        self.answer = answer
        self.in_conversation = in_conversation

    @abstractmethod
    async def start(self) -> None:
        """Send that the response is under way."""

    @abstractmethod
    async def end_items(self, ending: Ending) -> None:
        """Send the end of what was answered. The next response may begin after it."""

    @abstractmethod
    async def end(self, ending: Ending) -> None:
        """Send how the response ended: its last event."""


@dataclass(eq=False)
class Response:
    output: Output
    session: SpeechSession | None  # None for an answer in writing
    release: Callable[[], None] = lambda: None  # gives back what the response holds


class Responses(ABC):
    """Responses at once on one connection, at most one of them in the conversation."""

    def __init__(
        self,
        service: SpeechService,
        protocol: str,
        history: History,
        start: Start,
        silence: Callable[[], None] = lambda: None,
    ) -> None:
        """protocol: name for the metrics; start: runs a coroutine as a task of the connection.

        silence: stops what is played on this side.
        """
        self._service = service
        self.protocol = protocol
        self._history = history
        self._silence = silence
        self._memory = LanguageMemory()
        self._active: dict[str, Response] = {}
        self.playing: list[Output] = []  # of the conversation: the last one, and those that still sound
        self._creating = asyncio.Lock()
        self._language = ""  # of the user's speech
        self._ended = asyncio.Event()
        self._early = EarlyAnswer(self._make_early, start, partial(service.observer.early_answer, protocol))

    @abstractmethod
    async def _open_session(self, config: Any) -> SpeechSession:
        """Open the session that speaks an answer. Raises Refused."""

    @abstractmethod
    async def answer(self, config: Any) -> Response | None:
        """Begin the answer to the conversation; None if it has another by now. Raises Refused."""

    @property
    def playing_s(self) -> float:
        """Seconds until the conversation's last answer has been played, by the audio that was sent."""
        return max((output.answer.playback.ahead_s for output in self.playing), default=0.0)

    @property
    def is_heard(self) -> bool:
        """True while an answer of the conversation is played, and not nearly at its end."""
        return any(output.answer.is_heard for output in self.playing)

    def is_echo(self, heard: Samples, sample_rate: int) -> bool:
        """Return True if what the microphone has just heard is an answer that is or was just played."""
        return any(output.answer.is_echo(heard, sample_rate) for output in self.playing)

    def expect(self, language: str) -> None:
        """Expect answers in the language that the user speaks: a primary subtag, empty if unknown."""
        self._language = language
        self._memory.hear(language)

    def begin_early(self, text: str, language: str, config: ConversationConfig) -> None:
        """Begin the answer to a turn of these words, which may go on; nothing of it is sent.

        Without effect while other speech waits for the engines, as it is not sure to be wanted.
        """
        model = self._service.chat_model
        if model is not None and model.asked_early and not self._service.state().waiting:
            said = Message("", "user", (spoken_part(text),))
            self._begin([*self._history.items, said], language, config)

    async def begin_at_end(self, hearing: Hearing, language: str, config: ConversationConfig) -> None:
        """Begin the answer to a turn that has ended; its words in the conversation may still change.

        Returns once it has its first audio, or the turn is heard as a whole, or that takes too long.
        """
        if not self._begin(self._history.items, language, config):
            hearing.begun.set()
        # The work on the turn would make the audio later.
        further_s = 0.0 if hearing.begun.is_set() else FURTHER_WAIT_S
        await self._early.wait_until_audible(hearing.wait(), further_s)

    def _begin(self, items: Sequence[Item], language: str, config: ConversationConfig) -> bool:
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

    def _asked(self, items: Iterable[Item], config: ConversationConfig) -> Asked:
        return Asked(_chat_request(items, config), self._language, config)

    async def _make_early(self, asked: Asked) -> Made | None:
        model = self._service.chat_model
        assert model is not None
        try:
            session = None if asked.config.written else await self._open_session(asked.config)
        except Refused:
            return None
        return self._made(model.answer(asked.request), session, asked.config)

    def _made(
        self,
        events: AsyncGenerator[ChatEvent, None],
        session: SpeechSession | None,
        config: ConversationConfig,
    ) -> Made:
        rate = config.output_format.sample_rate
        told = (partial(self._service.observer.turn_stage, self.protocol),) if config.answers else ()
        return Made(Answer(events, session, rate, *told), session)

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
        for answer in (output.answer for output in self.playing if output.answer.playback.ahead_s):
            answer.spoken.heard_s = min(answer.spoken.heard_s, answer.heard_s)

    @property
    def _conversation_is_free(self) -> bool:
        return not any(response.output.in_conversation for response in self._active.values())

    async def wait_until_free(self) -> None:
        while not self._conversation_is_free:
            self._ended.clear()
            await self._ended.wait()

    async def _ask(
        self, items: Sequence[Item], config: ConversationConfig
    ) -> AsyncGenerator[ChatEvent, None]:
        """Yield the model's answer, once all speech that it answers is transcribed."""
        model = self._service.chat_model
        assert model is not None
        await self._history.wait_until_settled(items)
        async with aclosing(model.answer(_chat_request(items, config))) as events:
            async for event in events:
                yield event

    def _add(self, response: Response) -> Response:
        self._active[response.output.id] = response
        return response

    async def speak(self, response: Response) -> bool:
        """Send the events of a response; returns True if it is complete and in the conversation."""
        output = response.output
        try:
            try:
                # Before anything of it is sent: another playback may take the place of the answer's.
                await output.start()
                if output.in_conversation:
                    self._play(output)
                ending = await output.answer.run(output)
            finally:
                if response.session is not None:
                    await response.session.aclose()
            await output.end_items(ending)
        finally:
            response.release()
            # The next response may begin now: its first event comes after the last of this one.
            del self._active[output.id]
            self._ended.set()
        await output.end(ending)
        return ending.outcome == "completed" and output.in_conversation

    def _play(self, output: Output) -> None:
        """Count an answer among those that are heard: clients play it after the one before."""
        left = (each for each in self.playing[-MOST_PLAYING:] if not each.answer.broken_off)
        self.playing = [*(each for each in left if each.answer.playback.remaining_s > -ECHOES_S), output]
        output.answer.playback.ends_at = max(each.answer.playback.ends_at for each in self.playing)

    async def aclose(self) -> None:
        """End the sessions of responses that ``speak`` has not ended."""
        await self._early.aclose()
        for response in self._active.values():
            if response.session is not None:
                await response.session.aclose()
        self._active.clear()
        # The connection is part of a cycle of references, which would hold the last answer's session.
        self.playing.clear()


async def read_aloud(text: str) -> AsyncGenerator[ChatEvent, None]:
    """Yield given text as a model's answer."""
    yield ChatText(text)
    yield ChatEnd("stop")


def _chat_request(items: Iterable[Item], config: ConversationConfig) -> ChatRequest:
    messages = chat_messages(config.instructions, items)
    options: dict[str, Any] = {"reasoning_effort": config.reasoning_effort}
    if config.tools:
        options["parallel_tool_calls"] = config.parallel_tool_calls
    return ChatRequest(
        messages,
        *(config.tools, config.tool_choice, config.max_output_tokens),
        {name: value for name, value in options.items() if value is not None},
    )
