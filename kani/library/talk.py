"""Turns of a conversation in, answers out."""

import asyncio
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, NoReturn

from typing_extensions import override

from kani.core.conversation.answer import Answer, Ending
from kani.core.conversation.config import ConversationConfig
from kani.core.conversation.history import History
from kani.core.conversation.input.audio import InputAudio
from kani.core.conversation.input.events import InputEvents, Refused
from kani.core.conversation.input.transcript import Transcript
from kani.core.conversation.items import Message
from kani.core.conversation.responses import Output, Response, Responses
from kani.core.conversation.turn_answers import TurnAnswers
from kani.core.errors import SpeechError
from kani.core.recognizer import NO_WORDS
from kani.core.service import SpeechService
from kani.core.session.context import Terms
from kani.core.session.session import SpeechSession
from kani.core.transcriber import TranscriptionOptions
from kani.core.turns.interruption import SAID_S
from kani.core.types import SpeechChunk, SpeechRequest
from kani.library.asynchronous import LIBRARY
from kani.library.results import Answered, ConversationEvent, Heard, Interrupted, NoAnswer
from kani.library.sounds import Pieces, mono
from kani.library.streams import items_of

MAX_WAITING = 64
"""Events that wait for their reader; the audio of one has 0.25 s at most."""


@dataclass(frozen=True, slots=True)
class TalkConfig(ConversationConfig):
    """Configuration of one call of ``talk``."""

    language: str | None = None  # of the user's speech
    prompt: str = ""

    @property
    @override
    def hears(self) -> TranscriptionOptions:
        return TranscriptionOptions(self.language, prompt=self.prompt)


class Talk(InputEvents):
    """One call of ``talk``: turns in, answers out."""

    def __init__(
        self, service: SpeechService, history: History, config: TalkConfig, request: SpeechRequest
    ) -> None:
        """request: how answers are spoken."""
        self.history = history
        self._events: asyncio.Queue[tuple[ConversationEvent, Answer | None]] = asyncio.Queue(MAX_WAITING)
        self._untold: deque[Transcript] = deque()  # of turns that have ended
        self._answers = _Answers(service, self, request)
        turns = TurnAnswers(self._answers, history, self, lambda: config, self.start)
        self._input = InputAudio(service, LIBRARY, history, self, config, "", turns)
        self._group: asyncio.TaskGroup

    async def feed(self, audio: Pieces) -> None:
        """Have ``audio`` recognised to its end."""
        try:
            async for piece in items_of(audio, "audio"):
                await self._input.append(mono(piece))
        finally:
            self._input.finish()

    async def listen(self) -> None:
        """Recognise turns to the end of the audio, and answer each."""
        try:
            async with asyncio.TaskGroup() as self._group:
                await self._input.run()
                await self._input.told()
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a part of an answer as a task, unless another one has failed."""
        try:
            self._group.create_task(work)
        except RuntimeError:
            work.close()

    @property
    def has_events(self) -> bool:
        """True if events wait for their reader."""
        return not self._events.empty()

    async def event(self) -> ConversationEvent:
        """Return the next event, without the audio of answers that were interrupted meanwhile."""
        while True:
            event, answer = await self._events.get()
            if answer is None or not answer.broken_off:
                return event

    async def tell(self, event: ConversationEvent, answer: Answer | None = None) -> None:
        """Have an event read; answer: the one that it is the audio of."""
        await self._events.put((event, answer))

    @override
    async def stopped(self, transcript: Transcript) -> None:
        self._untold.append(transcript)

    async def tell_live_words(self) -> None:
        """Tell the words of a turn that is answered before it was heard as a whole."""
        item = self.history.get(self._untold[0].item_id) if self._untold else None
        if isinstance(item, Message) and not item.pending:
            await self.completed(self._untold[0])

    @override
    async def completed(self, transcript: Transcript) -> None:
        if transcript not in self._untold:
            return
        self._untold.remove(transcript)
        if transcript.text:
            await self.tell(Heard(transcript.text, transcript.language))
            return
        if transcript.voiced_s >= SAID_S:
            await self.tell(NoAnswer(NO_WORDS))
        transcript.voiced_s = 0.0  # or the model would be asked to answer nothing

    @override
    async def failed(self, transcript: Transcript, error: SpeechError) -> None:
        raise error

    @override
    async def refused(self, error: Refused) -> None:
        await self.tell(NoAnswer(str(error)))

    @override
    def refusal(self, error: SpeechError) -> NoReturn:
        """Raise the error: a program gets it as it is."""
        raise error

    def silence(self) -> None:
        """Tell of the answers that the user has interrupted."""
        for output in self._answers.playing:
            if isinstance(output, _Output) and output.is_cut():
                self.start(self.tell(Interrupted(output.answer.spoken.heard)))

    async def aclose(self) -> None:
        """Free what is left, once nothing listens."""
        await self._input.aclose()
        await self._answers.aclose()


class _Output(Output):
    """One answer. With its first audio it is in the conversation."""

    def __init__(self, answer: Answer, talk: Talk) -> None:
        super().__init__(answer)
        self._talk = talk
        self._cut = False  # whether its interruption was told

    @override
    async def start(self) -> None:
        await self._talk.tell_live_words()

    @override
    async def spoke(self, chunk: SpeechChunk, text: str) -> None:
        if self.message.spoken is None:
            self.message.spoken = self.answer.spoken
            self._talk.history.append(self.message)
        await self._talk.tell(Answered(chunk.samples, chunk.sample_rate, text), self.answer)

    @override
    async def end_items(self, ending: Ending) -> None:
        """Tell nothing: the audio has come to its end."""

    @override
    async def end(self, ending: Ending) -> None:
        if ending.error is not None or not (self.answer.text.strip() or ending.outcome == "cancelled"):
            reason = str(ending.error or "the language model wrote nothing to say")
            await self._talk.tell(NoAnswer(reason))

    def is_cut(self) -> bool:
        """Return True once, after the user has interrupted it and something of it was given out."""
        cut = not self._cut and self.answer.broken_off and self.answer.spoken.duration_s > 0
        self._cut |= cut
        return cut


class _Answers(Responses):
    def __init__(self, service: SpeechService, talk: Talk, request: SpeechRequest) -> None:
        super().__init__(service, LIBRARY, talk.history, talk.start, talk.silence)
        self._talk, self._request = talk, request

    @override
    async def answer(self, config: TalkConfig) -> Response | None:
        items = self._history.items
        made = self._early.take(self._asked(items, config))
        if made is None:
            made = self._made(self._ask(items, config), await self._open_session(config), config)
        return self._add(Response(_Output(made.answer, self._talk), made.session))

    @override
    async def _open_session(self, config: TalkConfig) -> SpeechSession:
        try:
            return self._service.open(
                self._request, protocol=LIBRARY, memory=self._memory, terms=Terms(fallback_language="en")
            )
        except SpeechError as error:  # too many sessions, or no such voice
            raise Refused(str(error)) from error
