"""WebSockets of the relay between an app and ElevenLabs, with this server's speech.

``/stream_tts`` speaks to the client that asks. ``/client`` does too, and also receives the utterances that
agents write on ``/agent``. Source: github.com/said4244/elevenlabs_phonemes, kani/server/ and
lib/src/tts_stream_handler.dart.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from kani.core.errors import SpeechError
from kani.core.service import SpeechService
from kani.core.session.voice_resolver import LanguageMemory
from kani.protocols.elevenlabs.relay import messages
from kani.protocols.elevenlabs.relay.alignment_files import RelayLogs
from kani.protocols.elevenlabs.relay.broadcast import MAX_BACKLOG_BYTES, Broadcast, Subscriber
from kani.protocols.elevenlabs.relay.messages import Append, Finish, Ping, Start, Stop
from kani.protocols.elevenlabs.relay.queue import UtteranceQueue
from kani.protocols.elevenlabs.relay.settings import RelaySettings, RelayState
from kani.protocols.elevenlabs.relay.utterance import RelayContext, Send, Utterance
from kani.protocols.elevenlabs.settings import ElevenLabsSettings
from kani.protocols.shared.client_languages import accept_languages
from kani.protocols.shared.connection import client_address, close
from kani.protocols.shared.errors import BadMessage
from kani.protocols.shared.tasks import run_until_first

__all__ = ["AGENT_PATH", "CLIENT_PATH", "STREAM_PATH", "RelaySettings", "RelayState", "routes"]

STREAM_PATH = "/stream_tts"
CLIENT_PATH = "/client"
AGENT_PATH = "/agent"

TRY_AGAIN_LATER = 1013
CLOSE_TIMEOUT_S = 5.0
"""Time for sending the close frame to a client that does not read."""


def routes(
    service: SpeechService, settings: ElevenLabsSettings, relay_settings: RelaySettings, state: RelayState
) -> list[BaseRoute]:
    """Return the relay's routes; ``state`` counts their connections."""
    logs = RelayLogs(relay_settings.logs) if relay_settings.logs is not None else None
    context = RelayContext(service, settings, relay_settings, state, logs)
    broadcast = Broadcast(state)

    async def stream(websocket: WebSocket) -> None:
        await websocket.accept()
        output = _Output(websocket)
        queue = UtteranceQueue(state, asyncio.Lock())
        state.clients += 1
        try:
            reading = _Reader(websocket, context, queue, output.send, output.send).run()
            await run_until_first(reading, queue.run(), name="relay", ignore=WebSocketDisconnect)
        finally:
            state.clients -= 1

    async def client(websocket: WebSocket) -> None:
        await websocket.accept()
        output = _Output(websocket)
        turn = asyncio.Lock()
        queue = UtteranceQueue(state, turn)
        state.clients += 1
        try:
            with broadcast.subscribe() as subscriber:
                await run_until_first(
                    _Reader(websocket, context, queue, output.send, output.send).run(),
                    queue.run(),
                    _forward_broadcast(subscriber, output.send, turn),
                    _wait_for_overflow(subscriber),
                    name="relay client",
                    ignore=WebSocketDisconnect,
                )
        finally:
            state.clients -= 1
        if subscriber.overflowed.is_set():
            reason = f"too slow: more than {MAX_BACKLOG_BYTES >> 20} MiB waited to be read"
            await output.close(TRY_AGAIN_LATER, reason)

    async def agent(websocket: WebSocket) -> None:
        await websocket.accept()
        output = _Output(websocket)
        broadcast.start()
        state.agents += 1
        reader = _Reader(websocket, context, broadcast.queue, output.send, broadcast.send, broadcast.stop)
        try:
            with suppress(WebSocketDisconnect):
                await reader.run()
        finally:
            state.agents -= 1
            reader.finish()

    return [
        WebSocketRoute(STREAM_PATH, stream),
        WebSocketRoute(CLIENT_PATH, client),
        WebSocketRoute(AGENT_PATH, agent),
    ]


class _Output:
    """Sends messages to one client; sending waits while the client does not read."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._disconnected = False

    async def send(self, message: str, *, last: bool = False) -> None:
        """Send a message. Raises WebSocketDisconnect."""
        if self._disconnected:
            raise WebSocketDisconnect
        try:
            await self._websocket.send_text(message)
        except WebSocketDisconnect:
            # Starlette raises RuntimeError for further sends.
            self._disconnected = True
            raise

    async def close(self, code: int, reason: str) -> None:
        """Close the connection, unless the client has disconnected."""
        if not self._disconnected:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await close(self._websocket, code, reason)


class _Reader:
    """Executes the commands of one client.

    answer: sends to this client; speak: sends speech, to this client or to all subscribers; stopped: tells
    subscribers, if it speaks to them, that nothing more comes.
    """

    def __init__(
        self,
        websocket: WebSocket,
        context: RelayContext,
        queue: UtteranceQueue,
        answer: Send,
        speak: Send,
        stopped: Send | None = None,
    ) -> None:
        self._websocket = websocket
        self._context = context
        self._queue = queue
        self._answer = answer
        self._speak = speak
        self._stopped = stopped
        self._client = client_address(websocket)
        self._languages = accept_languages(websocket.headers)
        self._memory = LanguageMemory()
        self._incremental: Utterance | None = None

    async def run(self) -> None:
        """Serve until the client disconnects."""
        while True:
            received = await self._websocket.receive()
            if received["type"] == "websocket.disconnect":
                return
            try:
                await self._execute(messages.parse_command(received.get("text")))
            except (BadMessage, SpeechError) as error:
                await self._answer(messages.error_message(error))

    async def _execute(self, command: messages.Command) -> None:
        match command:
            case Start(text):
                self._add(text).finish()
            case Append(text):
                self._append(text)
            case Finish():
                self.finish()
            case Stop():
                self._queue.stop()
                if self._stopped is not None:
                    await self._stopped(messages.STOPPED, last=True)
                await self._answer(messages.STOPPED)
            case Ping():
                await self._answer(messages.PONG)

    def _add(self, text: str) -> Utterance:
        """Queue a new utterance. Raises BadMessage and TextTooLong."""
        utterance = Utterance(self._context, self._client, self._languages, self._memory, self._speak)
        utterance.feed(text)
        try:
            self._queue.add(utterance)
        except BadMessage:
            utterance.discard()
            raise
        return utterance

    def _append(self, text: str) -> None:
        if not text:
            return
        if self._incremental is None or self._incremental.closed:
            self._incremental = self._add(text)
        else:
            self._incremental.feed(text)

    def finish(self) -> None:
        """End the incremental text, if there is one."""
        if self._incremental is not None and not self._incremental.closed:
            self._incremental.finish()


async def _forward_broadcast(subscriber: Subscriber, send: Send, turn: asyncio.Lock) -> None:
    """Send a client the broadcast; holds ``turn`` during an utterance, so that its own ones wait."""
    while True:
        message, last = await subscriber.get()
        async with turn:
            await send(message)
            while not last:
                message, last = await subscriber.get()
                await send(message)


async def _wait_for_overflow(subscriber: Subscriber) -> None:
    """Return once the subscriber has fallen behind."""
    await subscriber.overflowed.wait()
