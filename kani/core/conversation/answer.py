"""One answer: text as a model writes it, into a speech session, and its audio out."""

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Literal

from kani.core.audio.playback import Playback
from kani.core.audio.resampling import reframe
from kani.core.chat_model import ChatEnd, ChatEvent, ChatText, ChatUsage, ChatWaiting, FinishReason, ToolCall
from kani.core.conversation.echo import AnswerAudio
from kani.core.conversation.items import SpokenText
from kani.core.errors import SpeechCancelled, SpeechError, TextTooLong
from kani.core.session.session import SpeechSession
from kani.core.types import MESSAGE_S, Samples, SpeechChunk

NEARLY_ENDED_S = 1.0
"""Seconds of an answer that are left to play, from which on speech is taken for a reply to it."""

ECHOES_S = 3.0
"""Seconds after the end of an answer, by the server's estimate, until which it may still be heard."""

PREPARED_CHARACTERS = 100
"""Characters that are read of an answer before it is run: enough for the first clause."""

NO_USAGE = ChatUsage()


class AnswerOutput:
    """Takes an answer while it is made; a subclass takes what it has a use for."""

    async def waiting(self, seconds: float) -> None:
        """The model has written nothing for so long: it may be loading."""

    async def began(self) -> None:
        """The first text has come; audio or text follows."""

    async def wrote(self, text: str) -> None:
        """Further text of an answer without audio."""

    async def fed(self, text: str) -> None:
        """Further text that the model has written goes to the voice."""

    async def spoke(self, chunk: SpeechChunk, text: str) -> None:
        """Further audio, and the text that begins to be spoken in it."""

    async def called(self, call: ToolCall) -> None:
        """A call of a tool; it comes after all speech."""


@dataclass(frozen=True, slots=True)
class Ending:
    """Outcome of an answer."""

    outcome: Literal["completed", "incomplete", "cancelled", "failed"]
    reason: str = ""
    """A ``FinishReason`` of "incomplete"; of "cancelled" the reason that ``Answer.cancel`` was given."""
    error: SpeechError | None = None  # error of "failed"
    usage: ChatUsage = NO_USAGE


@dataclass(eq=False)
class Answer:
    """One answer. ``run`` makes it, ``cancel`` stops it at any time; ``text`` is what was written so far.

    ``prepare`` begins it before ``run``; one that is not run is cancelled, and closed by ``aclose``.
    """

    _events: AsyncGenerator[ChatEvent, None]  # of the model, closed at the end
    _session: SpeechSession | None  # speaks it; None for a written answer
    _sample_rate: int  # hertz of the audio that is given out
    _stage: Callable[[str, float], None] = lambda _stage, _seconds: None
    """Called with "first_token" and "first_audio" and the seconds that each took."""
    _reading: asyncio.Task[None] | None = None
    _output: AnswerOutput | None = None
    _running: asyncio.Event = field(default_factory=asyncio.Event)
    _prepared: deque[str] = field(default_factory=deque)  # text that was read before ``run``
    _began: bool = False
    _ended: ChatEnd | None = None
    _done: bool = False  # all of its audio was given out
    _calls: list[ToolCall] = field(default_factory=list)
    cancel_reason: str | None = None
    text: str = ""
    spoken: SpokenText = field(default_factory=SpokenText)
    playback: Playback = field(default_factory=Playback)

    def __post_init__(self) -> None:
        self._audio = AnswerAudio(self._sample_rate)
        self._at = time.perf_counter()

    def cancel(self, reason: str) -> None:
        """Stop at once: the model's stream is closed, and the engine is free."""
        self.cancel_reason = self.cancel_reason or reason
        if self._session is not None:
            self._session.cancel()
        if self._reading is not None:
            self._reading.cancel()

    def check(self) -> None:
        """Raise SpeechCancelled once it was cancelled."""
        if self.cancel_reason is not None:
            raise SpeechCancelled

    @property
    def given_out(self) -> bool:
        """True once a part of it was given out: audio, or text of an answer without audio."""
        return self.spoken.duration_s > 0 or (self._session is None and self._began)

    @property
    def heard_s(self) -> float:
        """Seconds of the audio that were played by now, if each piece was played when it came."""
        return max(0.0, self.spoken.duration_s - max(0.0, self.playback.remaining_s))

    def is_echo(self, heard: Samples, sample_rate: int) -> bool:
        """Return True if what a microphone has just heard is this answer; see ``AnswerAudio.is_in``."""
        if not self.spoken.duration_s or self.playback.remaining_s < -ECHOES_S:
            return False
        return self._audio.is_in(heard, sample_rate, self.heard_s)

    @property
    def broken_off(self) -> bool:
        """True once it was cancelled or interrupted: clients play no more of it."""
        return self.cancel_reason is not None or self.spoken.heard_s < math.inf

    @property
    def is_heard(self) -> bool:
        """True while it is played, and not nearly at its end: what is said over it is no reply to it."""
        if self.broken_off or not self.spoken.duration_s:
            return False
        return not self._done or self.playback.remaining_s > NEARLY_ENDED_S

    def prepare(self) -> asyncio.Task[None]:
        """Ask the model, and have its first clause synthesized; nothing is given out before ``run``.

        Returns the task that reads the model's answer.
        """
        self._reading = asyncio.create_task(self._read())
        return self._reading

    @property
    def failed(self) -> bool:
        reading = self._reading
        return reading is not None and reading.done() and (reading.cancelled() or bool(reading.exception()))

    async def run(self, output: AnswerOutput) -> Ending:
        """Make the answer, and return how it ended. What ``output`` raises ends it."""
        try:
            self.check()
            self._at = time.perf_counter()
            self._output = output
            while self._prepared:
                await self._begin(output)
                await self._tell(self._prepared.popleft(), output)
            self._running.set()
            if self._reading is None:
                self._reading = asyncio.create_task(self._read())
            if self._session is not None:
                await self._speak(output, self._session)
            await self._reading
            self.check()
            for call in self._calls:
                await output.called(call)
        except (SpeechError, asyncio.CancelledError) as error:
            if self.cancel_reason is not None and not _cancelling():
                return self._ending("cancelled", self.cancel_reason)
            if isinstance(error, asyncio.CancelledError):
                raise
            return self._ending("failed", error=error)
        finally:
            self._done = True
            await self.aclose()
        reason: FinishReason = self._ended.reason if self._ended is not None else "stop"
        return self._ending("completed") if reason == "stop" else self._ending("incomplete", reason)

    def _ending(
        self,
        outcome: Literal["completed", "incomplete", "cancelled", "failed"],
        reason: str = "",
        error: SpeechError | None = None,
    ) -> Ending:
        usage = self._ended.usage if self._ended is not None else NO_USAGE
        return Ending(outcome, reason, error, usage)

    async def aclose(self) -> None:
        """Close the model's stream, and return once nothing reads it."""
        # Kept, a task that failed would hold this answer by its traceback, and the answer the task.
        reading, self._reading = self._reading, None
        if reading is not None and not reading.done():
            reading.cancel()
            await asyncio.wait([reading])
        if reading is not None and not reading.cancelled():
            reading.exception()  # it is no news where the speech failed first
        # An output refers to its answer, too: both would stay, with the session.
        self._output = None
        await self._events.aclose()

    async def _read(self) -> None:
        """Feed the model's text to the session; what was written before a failure is still spoken."""
        try:
            async with aclosing(self._events) as events:
                async for event in events:
                    match event:
                        case ChatText():
                            await self._take(event.text)
                        case ToolCall():
                            self._calls.append(event)
                        case ChatWaiting():
                            if self._output is not None:
                                await self._output.waiting(event.seconds)
                        case ChatEnd():
                            self._ended = event
        except TextTooLong:
            self._ended = ChatEnd("length")
        finally:
            if self._session is not None and self.cancel_reason is None:
                self._session.finish()

    async def _take(self, text: str) -> None:
        if not self._running.is_set():
            self._feed(text)
            self._prepared.append(text)
            if len(self.text) >= PREPARED_CHARACTERS:
                await self._running.wait()
            return
        assert self._output is not None
        await self._begin(self._output)  # before there can be audio
        self._feed(text)
        await self._tell(text, self._output)

    def _feed(self, text: str) -> None:
        if self._session is not None:
            self._session.feed(text)
        self.text += text

    async def _begin(self, output: AnswerOutput) -> None:
        if not self._began:
            self._began = True
            self._staged("first_token")
            await output.began()

    async def _tell(self, text: str, output: AnswerOutput) -> None:
        if self._session is None:
            await output.wrote(text)
        else:
            await output.fed(text)

    async def _speak(self, output: AnswerOutput, session: SpeechSession) -> None:
        rate = self._sample_rate
        async with aclosing(reframe(aiter(session), rate, round(MESSAGE_S * rate), even=True)) as chunks:
            async for chunk in chunks:
                # It may have been taken from the session before a cancellation.
                self.check()
                if not self.spoken.duration_s:
                    self._staged("first_audio")
                text = "".join(self.spoken.add(self.text, span) for span in chunk.spans)
                self.spoken.duration_s += chunk.duration_s
                self.playback.add(chunk.duration_s)
                self._audio.add(chunk.samples, self.heard_s)
                await output.spoke(chunk, text)

    def _staged(self, stage: str) -> None:
        now = time.perf_counter()
        self._stage(stage, now - self._at)
        self._at = now


def _cancelling() -> bool:
    """Return True if the running task itself is being cancelled, and not only what it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
