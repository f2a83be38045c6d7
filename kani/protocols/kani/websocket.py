"""The Kani JSON protocol on its WebSocket: requests are spoken one at a time, in their order."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket

from kani.core import request_ids
from kani.core.errors import Busy, SpeechCancelled, SpeechError
from kani.core.service import SpeechService
from kani.core.session.budget import Share
from kani.core.session.session import SpeechSession
from kani.core.session.voice_resolver import LanguageMemory
from kani.core.timing.spans import span_rows
from kani.core.types import SpeechChunk
from kani.protocols.kani import messages
from kani.protocols.kani.messages import SpeakRequest
from kani.protocols.kani.request import (
    STREAMED,
    WAV,
    NamedVoices,
    answer_metadata,
    completion_message,
    open_speech,
)
from kani.protocols.shared.connection import Client
from kani.protocols.shared.errors import BadMessage
from kani.protocols.shared.whole_answer import WholeAnswer

MAX_WAITING = 16
"""Requests of one connection that wait while another is spoken."""

MAX_WAITING_BYTES = 32 * 2**20
"""Bytes of those requests together."""


def websocket_routes(service: SpeechService) -> list[BaseRoute]:

    async def serve(websocket: WebSocket) -> None:
        await websocket.accept()
        await KaniConnection(Client(websocket), service).run()

    return [WebSocketRoute("/", serve)]


@dataclass(eq=False)
class KaniConnection:
    """One client. Each request gets one answer, in the order of the requests."""

    _client: Client
    _service: SpeechService
    _voices: NamedVoices = field(init=False)
    _held: Share = field(init=False)  # bytes of the requests that are not answered
    _memory: LanguageMemory = field(default_factory=LanguageMemory)
    # Requests, and invalid messages in their order, each with its size in bytes.
    _waiting: deque[tuple[SpeakRequest | BadMessage, int]] = field(default_factory=deque)
    _waiting_bytes: int = 0
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)
    # The request that can be cancelled; None once its last message is being sent.
    _speaking: asyncio.Task[None] | None = None
    _idle: bool = True
    _requests: int = 0

    async def run(self) -> None:
        budgets = self._service.budgets
        with budgets.requests.share() as self._held, budgets.references.share() as named:
            self._voices = NamedVoices(named)
            await self._client.serve(self._read(), self._work())

    async def _read(self) -> None:
        while (raw := await self._client.receive()) is not None:
            try:
                message = messages.read_message(raw)
            except BadMessage as error:
                await self._queue(error, len(raw))
                continue
            match message:
                case "ping":
                    await self._client.send(messages.pong(self._service.ready))
                case "tts_cancel":
                    self._cancel()
                case SpeakRequest():
                    await self._queue(message, len(raw))

    def _cancel(self) -> None:
        """Cancel the current request, or the one about to begin because it came just before."""
        if self._speaking is not None:
            self._speaking.cancel()
        elif self._idle and self._waiting and isinstance(self._waiting[0][0], SpeakRequest):
            self._waiting[0] = (BadMessage(str(SpeechCancelled())), self._waiting[0][1])

    async def _queue(self, request: SpeakRequest | BadMessage, size: int) -> None:
        """Queue a request; also an invalid message, so that answers keep the order of the requests."""
        if len(self._waiting) >= MAX_WAITING or self._waiting_bytes + size > MAX_WAITING_BYTES:
            limit = f"{MAX_WAITING}, and {MAX_WAITING_BYTES // 2**20} MiB in all"
            await self._client.send(messages.failure(f"too many requests are waiting (at most {limit})"))
            return
        try:
            self._held.grow(size)
        except Busy as error:
            await self._client.send(messages.failure(str(error)))
            return
        self._waiting.append((request, size))
        self._waiting_bytes += size
        self._arrived.set()

    async def _work(self) -> None:
        while True:
            while not self._waiting:
                self._idle = True
                self._arrived.clear()
                await self._arrived.wait()
            self._idle = False
            request, size = self._waiting.popleft()
            self._waiting_bytes -= size
            await self._take(request)
            self._held.hold(self._held.size - size)

    async def _take(self, request: SpeakRequest | BadMessage) -> None:
        """Answer a request, or an invalid message."""
        if isinstance(request, BadMessage):
            await self._client.send(messages.failure(str(request)))
            return
        self._requests += 1
        with request_ids.bind(f"{request_ids.current()}-{self._requests}"):
            task = self._speaking = asyncio.create_task(self._answer(request), name="kani request")
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            # A cycle: the task keeps its error, that its frames, and those this connection.
            self._speaking = None
            task.cancel()
            await asyncio.wait([task])
            raise
        self._speaking = None
        if task.cancelled():
            await self._client.send(messages.failure(str(SpeechCancelled())))
        else:
            task.result()

    async def _answer(self, speak: SpeakRequest) -> None:
        """Speak one request. It can be cancelled until its last message is being sent.

        The session stays open until that message is sent: a server that stops waits for open sessions.
        """
        client = self._client
        try:
            async with AsyncExitStack() as stack:
                whole = None
                if speak.wants_whole:
                    memory = stack.enter_context(self._service.budgets.whole_answers.share(STREAMED))
                    whole = WholeAnswer(memory, WAV)
                opening = open_speech(
                    self._service, speak, client.address, client.languages, self._voices, self._memory
                )
                last = await self._speak(speak, *await stack.enter_async_context(opening), whole)
                self._speaking = None
                await client.send(last)
        except SpeechError as error:
            self._speaking = None
            await self._client.send(messages.failure(messages.error_message(error)))

    async def _speak(
        self,
        speak: SpeakRequest,
        session: SpeechSession,
        chunks: AsyncIterator[SpeechChunk],
        whole: WholeAnswer | None,
    ) -> str:
        """Send the chunks if they are wanted; return the message that ends the answer."""
        samples = 0
        async for chunk in chunks:
            samples += len(chunk.samples)
            if speak.wants_chunks:
                await self._client.send(messages.stream_chunk(chunk))
            if whole is not None:
                await whole.add(chunk)
        metadata = answer_metadata(session, speak, samples)
        if whole is None:
            done = completion_message(session, "Audio streaming completed")
            return messages.stream_complete(done, metadata)
        metadata["spans"] = span_rows(whole.spans)
        done = completion_message(session, "Audio generated successfully")
        if whole.is_large:
            return await asyncio.to_thread(lambda: messages.success(whole.finish(), done, metadata))
        return messages.success(whole.finish(), done, metadata)
