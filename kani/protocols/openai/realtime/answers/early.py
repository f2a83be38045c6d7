"""An answer that is begun in a pause of the user, before it is sure that the turn has ended."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from kani.core.chat_model import ChatRequest
from kani.core.conversation.answer import Answer
from kani.core.conversation.items import Item
from kani.core.conversation.prompt import chat_messages
from kani.core.session.session import SpeechSession
from kani.protocols.openai.realtime.client_events import EventError
from kani.protocols.openai.realtime.session_config import SessionConfig

Start = Callable[[Coroutine[Any, Any, None]], None]
"""Runs a coroutine as a task of the connection."""


def chat_request(items: Iterable[Item], config: SessionConfig) -> ChatRequest:
    """Return the request for the answer to ``items``."""
    messages = chat_messages(config.instructions, items)
    return ChatRequest(messages, config.tools, config.tool_choice, config.max_output_tokens)


@dataclass(frozen=True, slots=True)
class Asked:
    """Everything that an answer depends on: one that was begun early is used only if this is the same."""

    request: ChatRequest
    config: SessionConfig
    language: str  # of the user's speech


@dataclass(eq=False, slots=True)
class Made:
    """An answer, and the session that speaks it: None for an answer in writing."""

    answer: Answer
    session: SpeechSession | None

    async def aclose(self) -> None:
        """End both."""
        self.answer.cancel("dropped")
        await self.answer.aclose()
        if self.session is not None:
            await self.session.aclose()


class Make(Protocol):
    """Makes answers that are not begun yet."""

    async def __call__(self, asked: Asked) -> Made:
        """Return one. Raises EventError."""


class EarlyAnswer:
    """The answer of a connection that is not sure to be wanted: one at most, and nothing of it is sent."""

    def __init__(self, make: Make, start: Start, report: Callable[[str], None]) -> None:
        """report: called with "started", "used" or "dropped"."""
        self._make = make
        self._start = start
        self._report = report
        self._asked: Asked | None = None
        self._made: Made | None = None
        self._busy = False  # while one is opened or closed
        self._closing: Made | None = None

    def begin(self, asked: Asked) -> None:
        """Begin an answer, unless it has begun, or another one is still being opened or closed."""
        if asked == self._asked:
            return
        self.drop()
        if not self._busy:
            self._busy, self._asked = True, asked
            self._start(self._open(asked))

    async def _open(self, asked: Asked) -> None:
        try:
            made = await self._make(asked)
        except EventError:
            return  # that of the turn itself fails as well, and says why
        finally:
            self._busy = False
        if self._asked is not asked:
            self._close_soon(made)
            return
        self._made = made
        made.answer.prepare()
        self._report("started")

    def take(self, asked: Asked) -> Made | None:
        """Return the answer if it is one to ``asked``; drops any other."""
        made = self._made
        if made is None or self._asked != asked or made.answer.failed:
            self.drop()
            return None
        self._asked = self._made = None
        self._report("used")
        return made

    def drop(self) -> None:
        """Close the answer, if there is one; returns at once."""
        made, self._made, self._asked = self._made, None, None
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
        """Close what the connection's tasks have not closed."""
        for made in (self._made, self._closing):
            if made is not None:
                await made.aclose()
        self._made = self._closing = None
