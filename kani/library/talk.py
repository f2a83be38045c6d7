"""Turns of a conversation in, answers out."""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any

from kani.core.chat_model import ChatModel, ChatRequest
from kani.core.conversation.answer import Answer, AnswerOutput
from kani.core.conversation.early import Asked, EarlyAnswer, Made
from kani.core.conversation.history import History
from kani.core.conversation.items import Message, Part
from kani.core.conversation.prompt import chat_messages
from kani.core.conversation.turns import (
    TurnChange,
    TurnMachine,
    TurnRule,
    TurnStarted,
    TurnState,
    TurnStopped,
)
from kani.core.errors import SpeechError
from kani.core.recognizer import NO_WORDS, Mark, RecognizedWord, Step, text_of
from kani.core.service import SpeechService
from kani.core.session.context import Terms
from kani.core.session.recognition import RecognitionSession
from kani.core.session.voice_resolver import LanguageMemory
from kani.core.turns.interruption import LIKELY, SAID_S
from kani.core.types import Samples, SpeechChunk, SpeechRequest
from kani.library.asynchronous import LIBRARY
from kani.library.results import Answered, ConversationEvent, Heard, Interrupted, NoAnswer
from kani.library.sounds import Pieces, mono
from kani.library.streams import items_of

RATE = 24_000
"""Hertz of the answers."""

RULE = TurnRule()
"""Rules by which the user's turns begin and end."""

MAX_BACKLOG_S = 1.0
"""Seconds of audio that is not recognised yet, up to which the end of a turn is waited for."""

MAX_WAITING = 64
"""Pieces of answers that wait for their reader, each of 0.25 s at most."""

_numbers = count()  # of the items of all histories


@dataclass(eq=False)
class Talk(AnswerOutput):
    """One call of ``talk``: turns in, answers out. Only the audio of an answer is given out."""

    _service: SpeechService
    _model: ChatModel
    _session: RecognitionSession
    _history: History
    _request: SpeechRequest
    _instructions: str
    _sample_rate: int  # hertz of the user's audio
    events: asyncio.Queue[ConversationEvent] = field(default_factory=lambda: asyncio.Queue(MAX_WAITING))
    _memory: LanguageMemory = field(default_factory=LanguageMemory)
    _words: list[RecognizedWord] = field(default_factory=list)
    _marks: int = 0
    _voiced_s: float = 0.0  # of the turn so far
    _due: bool = False  # the user has said something that is not answered
    _spoken: str = ""  # the language of it
    _answer: Answer | None = None
    _told: Answer | None = None  # the last one that is in the history
    _answering: asyncio.Task[None] | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    """Tasks that open and close answers that are begun early."""

    def __post_init__(self) -> None:
        self._turns = TurnMachine(self._sample_rate, self)
        report = partial(self._service.observer.early_answer, LIBRARY)
        self._early = EarlyAnswer(self._make_early, self._start, report)

    async def listen(self) -> None:
        """Recognise turns to the end of the audio, and answer each."""
        async with aclosing(self._session.events()) as events:
            async for event in events:
                match event:
                    case RecognizedWord() if not self._turns.add_word(event):
                        self._words.append(event)
                        await self._interrupt()
                    case Step():
                        await self._take_step(event)
                    case Mark() if event.number == self._marks and not self._turns.in_turn:
                        await self._end_turn()
        if self._turns.may_interrupt:
            await self._take(self._turns.accept())
        await self._end_turn()
        if self._answering is not None:
            await self._answering

    async def feed(self, audio: Pieces) -> None:
        """Have ``audio`` recognised to its end."""
        try:
            async for piece in items_of(audio, "audio"):
                samples = mono(piece)
                self._turns.add_audio(samples)
                await self._session.feed(samples)
        finally:
            self._session.finish()

    async def _take_step(self, step: Step) -> None:
        await self._take(self._turns.feed(step, RULE))
        match self._turns.state:
            case TurnState.SPEAKING:
                self._voiced_s += step.voiced_s(RULE.threshold)
                await self._take_back()
            case TurnState.PAUSED:
                self._begin_early(step)
            case TurnState.SILENT if step.pause_probabilities[2] >= LIKELY:
                await self._end_turn()  # without a mark: all words before such a pause are known

    async def _take(self, changes: Sequence[TurnChange]) -> None:
        for change in changes:
            match change:
                case TurnStarted():
                    if not self._voiced_s:
                        self._session.begin_turn(max(change.start_s, self._turns.echo_until_s))
                    self._voiced_s += change.voiced_s
                    self._words += change.words
                    if change.voiced_s:
                        await self._interrupt()
                case TurnStopped():
                    self._marks += 1
                    # A mark would wait for audio that only this loop has recognised.
                    if self._session.backlog_samples < MAX_BACKLOG_S * self._sample_rate:
                        await self._session.mark(self._marks)

    def holds_voice(self, heard: Samples, sample_rate: int) -> bool:
        """Return True if a voice that begins is over the answer, or its echo; see ``Answers``."""
        answer = self._answer
        return answer is not None and (answer.is_heard or answer.is_echo(heard, sample_rate))

    def is_echo(self, heard: Samples, sample_rate: int) -> bool:
        """Return True if what the input has just heard is the answer; see ``Answers``."""
        return self._answer is not None and self._answer.is_echo(heard, sample_rate)

    async def _end_turn(self) -> None:
        voiced_s, self._voiced_s = self._voiced_s, 0.0
        if self._words:
            await self.stop("turn_detected")
            text, self._spoken = await self._whole_turn()
            self._words = []
            self._memory.hear(self._spoken)
            self._add("user", text)
            self._answer = None
            self._due = True
            await self.events.put(Heard(text, self._spoken))
        elif voiced_s >= SAID_S:
            await self.events.put(NoAnswer(NO_WORDS))
        if self._due:
            self._due = False
            self._answering = asyncio.create_task(self._speak(self._asked(self._spoken)))

    async def _whole_turn(self) -> tuple[str, str]:
        """Return the words of the turn, which has ended, and their language.

        The answer to the words that were heard live is begun. They stay where it has its first sound before
        the turn is heard as a whole.
        """
        said = self._said()
        hearing = self._session.end_turn()
        if hearing is None:
            return said
        if not hearing.dictated:
            self._ask_early(*said)
            await self._early.wait_until_audible(hearing.wait())
            if not hearing.done:
                hearing.cancel()
                return said
        heard = await hearing.in_time()
        return said if heard is None else (heard.text, heard.language)

    async def _take_back(self) -> None:
        """Drop an answer without any audio given out: the user goes on, and the words join the turn."""
        self._early.drop()
        if self._done or (self._answer is not None and self._answer.given_out):
            return
        self._due = True
        await self.stop("turn_detected")
        self._answer = None

    def _said(self) -> tuple[str, str]:
        """Return the words of the turn so far, and their language."""
        return text_of(self._words), self._words[-1].language

    def _begin_early(self, step: Step) -> None:
        """Begin the answer to the words so far in a pause, if they have probably ended the turn."""
        if not (self._model.asked_early and self._done and self._words):
            return
        hearing = self._session.turn_so_far
        text, language = self._said() if hearing is None else hearing.so_far(*self._said())
        if self._turns.has_probably_ended(step, text.split(), language):
            self._ask_early(text, language)

    def _ask_early(self, text: str, language: str) -> None:
        self._memory.hear(language)
        self._early.begin(self._asked(language, _speech("user", text)))

    def _asked(self, language: str, *items: Message) -> Asked:
        """Return the question for the answer to the history and further items."""
        messages = chat_messages(self._instructions, [*self._history.items, *items])
        return Asked(ChatRequest(messages), language)

    async def _make_early(self, asked: Asked) -> Made | None:
        with suppress(SpeechError):
            return self._make(asked)
        return None

    def _make(self, asked: Asked) -> Made:
        session = self._service.open(
            self._request, protocol=LIBRARY, memory=self._memory, terms=Terms(fallback_language="en")
        )
        return Made(Answer(self._model.answer(asked.request), session, RATE), session)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _add(self, role: Any, text: str) -> Message:
        message = _speech(role, text)
        self._history.append(message)
        return message

    async def _speak(self, asked: Asked) -> None:
        try:
            made = self._early.take(asked) or self._make(asked)
        except SpeechError as error:  # the session could not be opened: too many, or no such voice
            await self.events.put(NoAnswer(str(error)))
            return
        assert made.session is not None
        async with made.session:
            self._answer = made.answer
            ending = await made.answer.run(self)
        if ending.error is not None or not (made.answer.text.strip() or ending.outcome == "cancelled"):
            await self.events.put(NoAnswer(str(ending.error or "the language model wrote nothing to say")))

    async def _interrupt(self) -> None:
        """Stop the answer, if there is one that is still made or played."""
        answer = self._answer
        if answer is None or (self._done and answer.playback.remaining_s <= 0):
            return
        answer.spoken.heard_s = answer.heard_s
        self._answer = None
        await self.stop("turn_detected", answer)
        for _ in range(self.events.qsize()):
            if not isinstance(waiting := self.events.get_nowait(), Answered):
                self.events.put_nowait(waiting)
        await self.events.put(Interrupted(answer.spoken.heard))

    @property
    def _done(self) -> bool:
        return self._answering is None or self._answering.done()

    async def stop(self, reason: str, answer: Answer | None = None) -> None:
        """Stop the answer that is being made, and return once nothing of it is left."""
        answer = answer or self._answer
        answering, self._answering = self._answering, None
        if answering is not None:
            if answer is not None:
                answer.cancel(reason)
            answering.cancel()  # it may wait for a reader that comes no more
            with suppress(asyncio.CancelledError):
                await answering

    async def aclose(self) -> None:
        """Stop everything, and return once nothing of it is left."""
        await self.stop("stopped")
        self._early.drop()
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def spoke(self, chunk: SpeechChunk, text: str) -> None:
        """Give out further audio; with the first the answer is in the history."""
        if self._answer is not None and self._told is not self._answer:
            self._told = self._answer
            self._add("assistant", "").spoken = self._answer.spoken
        await self.events.put(Answered(chunk.samples, chunk.sample_rate, text))


def _speech(role: Any, text: str) -> Message:
    return Message(f"{role}-{next(_numbers)}", role, (Part("speech", text, is_speech=True),))
