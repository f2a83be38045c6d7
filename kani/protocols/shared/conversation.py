"""One connection of a conversation: its client's messages, and beside them what becomes of its audio."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from starlette.websockets import WebSocketDisconnect

from kani.core.conversation.input.audio import InputAudio, InputFailed
from kani.core.conversation.responses import Responses
from kani.core.conversation.turn_answers import TurnAnswers
from kani.core.service import SpeechService
from kani.protocols.shared.connection import GOING_AWAY, NORMAL, STOPPING, TRY_LATER, Client

CANNOT_HEAR = "speech cannot be recognised now"


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Times of a connection, in seconds."""

    session_s: float  # its longest life
    idle_s: float  # longest time without a client event


class ConversationConnection(ABC):
    """One client; its messages are handled in order."""

    _input: InputAudio
    _responses: Responses
    _turns: TurnAnswers

    def __init__(self, client: Client, service: SpeechService, limits: ConnectionLimits) -> None:
        self._client = client
        self._service = service
        self._limits = limits
        self._memory = service.budgets.conversations.open()

    @abstractmethod
    async def _greet(self) -> None:
        """Send what comes before any event of the client."""

    @abstractmethod
    async def _handle_message(self, received: str | bytes) -> None:
        """Handle one message. Raises InputFailed."""

    @abstractmethod
    async def _tell_end(self, reason: str) -> None:
        """Send that the session has ended; the connection is closed next."""

    def _release(self) -> None:
        """Give back the memory that is held."""
        self._memory.resize(0)

    async def run(self, first: str | bytes | None = None) -> None:
        """Serve until the client disconnects, or its time is over; first: a message that has come before."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                tasks = {group.create_task(self._transcribe(), name="conversation input")}
                self._tasks = tasks
                await self._greet()
                await self._receive(first)
                for task in tasks:
                    task.cancel()
        except* WebSocketDisconnect:
            pass
        finally:
            self._turns.stop_idling()
            await self._input.aclose()
            await self._responses.aclose()
            self._release()
            # A task that was cancelled while it ended refers to this connection: a cycle, unless removed.
            self._tasks.clear()

    async def _transcribe(self) -> None:
        try:
            await self._input.run()
        except InputFailed:
            await self._client.close(TRY_LATER, CANNOT_HEAR)
            return
        await self._client.close(GOING_AWAY, STOPPING)

    async def _receive(self, received: str | bytes | None) -> None:
        """Handle events until the client disconnects; received: the first one, if it has come already."""
        now = asyncio.get_running_loop().time
        expires_at = now() + self._limits.session_s
        while True:
            idle_at = now() + self._limits.idle_s
            try:
                async with asyncio.timeout_at(min(expires_at, idle_at)):
                    received = await self._client.receive() if received is None else received
            except TimeoutError:
                await self._expire(idle=idle_at < expires_at)
                return
            if received is None:
                return
            try:
                await self._handle_message(received)
            except InputFailed:
                await self._client.close(TRY_LATER, CANNOT_HEAR)
                return
            received = None

    async def _expire(self, *, idle: bool) -> None:
        limits = self._limits
        reason = f"no event came for {limits.idle_s:g} s" if idle else f"it lasted {limits.session_s:g} s"
        await self._tell_end(f"the session has ended: {reason}")
        await self._client.close(NORMAL, reason)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a part of an answer as a task of this connection, unless that is ending."""
        try:
            task = self._group.create_task(work, name="conversation response")
        except RuntimeError:
            # After an error the group takes no more; a track may tell of its answer until it is stopped.
            work.close()
            return
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
