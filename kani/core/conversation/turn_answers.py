"""Answers to turns of speech: when one is due, and what the start of speech interrupts."""

import asyncio
import enum
from collections.abc import Callable
from dataclasses import dataclass

from kani.core.conversation.config import ConversationConfig
from kani.core.conversation.early import Start
from kani.core.conversation.history import History
from kani.core.conversation.input.events import InputEvents, Refused
from kani.core.conversation.input.transcript import spoken_part
from kani.core.conversation.items import Message, new_id
from kani.core.conversation.responses import Response, Responses
from kani.core.turns.second_hearing import Hearing
from kani.core.types import Samples


class AnswerState(enum.Enum):
    """States of the answer to what the user has said last."""

    NONE = enum.auto()  # nothing is to be answered, or its answer is spoken

    DUE = enum.auto()  # something is to be answered once the user is silent

    WAITING = enum.auto()
    """Its answer begins once the conversation has no other. What the user says meanwhile joins the turn."""

    CREATING = enum.auto()  # its answer begins

    STALE = enum.auto()  # an answer begins that lacks what the user has said meanwhile: it will be cancelled


@dataclass(eq=False)
class TurnAnswers:
    """Answers the turns of one connection; its methods return at once."""

    _responses: Responses
    _history: History
    _events: InputEvents
    _config: Callable[[], ConversationConfig]  # returns the one in force
    _start: Start  # runs a coroutine as a task of the connection
    _state: AnswerState = AnswerState.NONE
    _speaking: bool = False
    _position_ms: int = 0
    _idle: asyncio.TimerHandle | None = None

    def started(self) -> None:
        self._speaking = True
        self.stop_idling()
        self._responses.drop_early()
        if self._interrupts and (self._responses.interrupt() or self._state is AnswerState.CREATING):
            self._said_more()

    def holds_voice(self, heard: Samples, sample_rate: int) -> bool:
        """Return True if a voice that begins is over an answer, or its echo, and does not interrupt as such.

        heard: the last ``HEARD_S`` seconds of the input, at ``sample_rate`` hertz.
        """
        config = self._config()
        if config.over_answer:
            return True
        if not (self._interrupts and config.judges_turns):
            return False
        return self._responses.is_heard or self._responses.is_echo(heard, sample_rate)

    def is_echo(self, heard: Samples, sample_rate: int) -> bool:
        """Return True if what the input has just heard is an answer; see ``Answers``."""
        return self._responses.is_echo(heard, sample_rate)

    @property
    def _interrupts(self) -> bool:
        return self._config().interrupts

    def paused(self, text: str, language: str) -> None:
        """The user has probably said all, and these are the words of the turn."""
        config = self._config()
        if config.asks_for_answers:
            self._responses.begin_early(text, language, config)

    def went_on(self) -> None:
        self._responses.drop_early()

    def stopped(self, end_s: float) -> None:
        """The user's turn has ended, ``end_s`` seconds into the audio."""
        self._speaking = False
        self._position_ms = round(1000 * end_s)

    def fell_silent(self) -> None:
        """No turn goes on any more: the audio of the last one was dropped, or is recognised to its end."""
        self._speaking = False
        self._answer_if_due()
        if self._state is not AnswerState.WAITING:
            self._responses.drop_early()

    async def begin_answer(self, hearing: Hearing, language: str) -> None:
        """Begin the answer to a turn that has ended, unless the user goes on: ``Responses.begin_at_end``."""
        if self._speaking and self._interrupts:
            hearing.begun.set()
            await hearing.wait()
        else:
            await self._responses.begin_at_end(hearing, language, self._config())

    def ask(self) -> None:
        """Answer what was added to the conversation, once the user is silent and no other answer is made."""
        self.transcribed("", said=True)

    def transcribed(self, language: str, *, said: bool) -> None:
        """All words of a turn that is to be answered are known, and their language.

        said: whether anything was said, in words or not. A cough has stopped the answer to the turn before it
        all the same.
        """
        if language:
            self._responses.expect(language)
        if said:
            self._said_more()
        self._answer_if_due()

    def _said_more(self) -> None:
        """Note that the user has said something that no answer knows."""
        match self._state:
            case AnswerState.NONE:
                self._state = AnswerState.DUE
            case AnswerState.CREATING:
                self._state = AnswerState.STALE

    def _answer_if_due(self) -> None:
        # The words that the user says meanwhile join the turn.
        if self._state is AnswerState.DUE and not (self._speaking and self._interrupts):
            self._answer_soon()

    def _answer_soon(self) -> None:
        if self._state in (AnswerState.NONE, AnswerState.DUE):
            self._state = AnswerState.WAITING
            self._start(self._answer())

    async def _answer(self) -> None:
        try:
            response = await self._create()
        except Refused as error:
            await self._events.refused(error)
        else:
            if response is not None:
                await self.speak(response)

    async def _create(self) -> Response | None:
        """Begin a response once the conversation has none; None if the user goes on. Raises Refused."""
        while self._state is AnswerState.WAITING:
            await self._responses.wait_until_free()
            if self._speaking and self._interrupts:
                self._state = AnswerState.DUE
                return None
            self._state = AnswerState.CREATING
            try:
                response = await self._responses.answer(self._config())
            except Refused:
                self._state = AnswerState.NONE
                raise
            if response is None:
                self._state = AnswerState.WAITING
                continue
            stale = self._state is AnswerState.STALE
            self._state = AnswerState.DUE if stale else AnswerState.NONE
            if stale:
                response.output.answer.cancel("turn_detected")
                self._answer_if_due()
            return response
        return None

    async def speak(self, response: Response) -> None:
        """Send a response; where the user is silent after it, the next one comes by itself."""
        if response.output.in_conversation:
            self.stop_idling()
        ended_well = await self._responses.speak(response)
        idle_ms = self._config().idle_ms
        if ended_well and idle_ms is not None and not self._speaking:
            self.stop_idling()
            wait_s = self._responses.playing_s + idle_ms / 1000
            loop = asyncio.get_running_loop()
            self._idle = loop.call_later(wait_s, lambda: self._start(self._break_silence(round(idle_ms))))

    async def _break_silence(self, idle_ms: int) -> None:
        """Add an empty item of the user, and answer it."""
        item = Message(new_id("item"), "user", (spoken_part(""),))
        start_ms, self._position_ms = self._position_ms, self._position_ms + idle_ms
        previous = self._history.append(item)
        await self._events.silence_answered(item, previous, start_ms, self._position_ms)
        self._answer_soon()

    def stop_idling(self) -> None:
        """Forget about a silence that would be answered."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
