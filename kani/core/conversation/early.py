"""An answer that is begun in a pause of the user, before it is sure that the turn has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

from kani.core.chat_model import ChatRequest
from kani.core.conversation.answer import Answer
from kani.core.session.session import SpeechSession
from kani.core.turns.words import without_marks

Start = Callable[[Coroutine[Any, Any, None]], object]
"""Runs a coroutine as a task of the conversation."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Everything that an answer depends on."""

    request: ChatRequest
    language: str  # of the user's speech
    config: Any = None  # of the protocol; compared

    def is_like(self, other: Asked | None) -> bool:
        """Return True if nothing but capitals and marks of the last words differ; question marks count."""
        return other is not None and self._in_words() == other._in_words()

    def _in_words(self) -> Asked:
        *before, last = self.request.messages
        messages = (*before, replace(last, text=without_marks(last.text)))
        return replace(self, request=replace(self.request, messages=messages))


@dataclass(eq=False, slots=True)
class Made:
    """An answer, and the session that speaks it: None for an answer in writing."""

    answer: Answer
    session: SpeechSession | None

    async def aclose(self) -> None:
        self.answer.cancel("dropped")
        await self.answer.aclose()
        if self.session is not None:
            await self.session.aclose()


@dataclass(eq=False)
class EarlyAnswer:
    """The answer that is not sure to be wanted: one at most, and nothing of it is given out."""

    _make: Callable[[Asked], Awaitable[Made | None]]
    """Makes an answer that is not begun yet; None if it cannot: that of the turn says why."""
    _start: Start
    _report: Callable[[str], None]  # called with "started", "used" or "dropped"
    _asked: Asked | None = None
    _made: Made | None = None
    _busy: bool = False  # while one is opened or closed
    _closing: Made | None = None
    _audible: asyncio.Event = field(default_factory=asyncio.Event)

    def begin(self, asked: Asked) -> None:
        """Begin an answer, unless it has begun, or another one is still being opened or closed."""
        if asked.is_like(self._asked):
            return
        self.drop()
        if not self._busy:
            self._busy, self._asked = True, asked
            self._start(self._open(asked))

    async def _open(self, asked: Asked) -> None:
        try:
            made = await self._make(asked)
        finally:
            self._busy = False
        if made is None:
            return
        if self._asked is not asked:
            self._close_soon(made)
            return
        self._made = made
        reading = made.answer.prepare()
        self._report("started")
        if made.session is not None:
            self._start(self._listen(made, made.session))
        await asyncio.wait([reading])
        if self._made is made and made.answer.failed:
            # ``_asked`` stays: the same is not asked again before the turn ends.
            self._made = None
            self._report("dropped")
            self._close_soon(made)

    async def _listen(self, made: Made, session: SpeechSession) -> None:
        await session.wait_until_audible()
        if self._made is made and not made.answer.failed:
            self._audible.set()

    async def wait_until_audible(self, ended: Coroutine[Any, Any, None], further_s: float = 0.0) -> None:
        """Return once the answer has its first audio, or ``ended`` has returned.

        further_s: longest wait after that for the audio of an answer that has its first text.
        """
        tasks = [asyncio.create_task(work) for work in (ended, self._audible.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if self._made is not None and self._made.answer.text:
                await asyncio.wait(tasks[1:], timeout=further_s)
        finally:
            for task in tasks:
                task.cancel()

    def take(self, asked: Asked) -> Made | None:
        """Return the answer if it is one to ``asked``; drops any other."""
        made = self._made
        if made is None or not asked.is_like(self._asked) or made.answer.failed:
            self.drop()
            return None
        self._asked = self._made = None
        self._audible.clear()
        self._report("used")
        return made

    def drop(self) -> None:
        """Close the answer, if there is one; returns at once."""
        made, self._made, self._asked = self._made, None, None
        self._audible.clear()
        if made is not None:
            self._report("dropped")
            self._close_soon(made)

    def _close_soon(self, made: Made) -> None:
        self._busy, self._closing = True, made
        made.answer.cancel("dropped")
        self._start(self._close(made))

    async def _close(self, made: Made) -> None:
        await made.aclose()
        self._busy, self._closing = False, None

    async def aclose(self) -> None:
        """Close what no task has closed."""
        for made in (self._made, self._closing):
            if made is not None:
                await made.aclose()
        self._made = self._closing = None
