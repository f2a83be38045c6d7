"""WebSockets of the relay between an app and ElevenLabs, with this server's speech.

``/stream_tts`` speaks to the client that asks. ``/client`` does too, and also receives the utterances that
agents write on ``/agent``. Source: github.com/said4244/elevenlabs_phonemes, kani/server/ and
lib/src/tts_stream_handler.dart.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from kani.core.errors import SpeechError
from kani.core.service import SpeechService
from kani.core.session.voice_resolver import LanguageMemory
from kani.protocols.elevenlabs.plugin import ElevenLabsSettings
from kani.protocols.elevenlabs.relay import messages
from kani.protocols.elevenlabs.relay.alignment_files import RelayLogs
from kani.protocols.elevenlabs.relay.queue import (
    MAX_BACKLOG_BYTES,
    Broadcast,
    RelayState,
    Subscriber,
    UtteranceQueue,
)
from kani.protocols.elevenlabs.relay.utterance import RelayContext, Send, Utterance
from kani.protocols.shared.connection import TRY_LATER, Client
from kani.protocols.shared.errors import BadMessage

PATHS = ("/stream_tts", "/client", "/agent")

CLOSE_TIMEOUT_S = 5.0
"""Time for sending the close frame to a client that does not read."""


def routes(
    service: SpeechService, settings: ElevenLabsSettings, state: RelayState, logs: RelayLogs | None
) -> list[BaseRoute]:
    """Return the relay's routes; state: counts their connections; logs: stores what is spoken."""
    context = RelayContext(service, settings, logs)
    broadcast = Broadcast(state)

    async def serve(client: Client, subscriber: Subscriber | None = None) -> None:
        turn = asyncio.Lock()
        queue = UtteranceQueue(state, turn)
        works = [_Reader(client, context, queue, _speech_to(client)).run(), queue.run()]
        if subscriber is not None:
            works += [_forward_broadcast(subscriber, client, turn), _wait_for_overflow(subscriber)]
        state.clients += 1
        try:
            await client.serve(*works)
        finally:
            state.clients -= 1

    async def stream(websocket: WebSocket) -> None:
        await websocket.accept()
        await serve(Client(websocket))

    async def client(websocket: WebSocket) -> None:
        await websocket.accept()
        client = Client(websocket)
        with broadcast.subscribe() as subscriber:
            await serve(client, subscriber)
        if subscriber.overflowed.is_set():
            reason = f"too slow: more than {MAX_BACKLOG_BYTES >> 20} MiB waited to be read"
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await client.close(TRY_LATER, reason)

    async def agent(websocket: WebSocket) -> None:
        await websocket.accept()
        broadcast.start()
        state.agents += 1
        reader = _Reader(Client(websocket), context, broadcast.queue, broadcast.send, broadcast.stop)
        try:
            with suppress(WebSocketDisconnect):
                await reader.run()
        finally:
            state.agents -= 1
            reader.finish()

    return [
        WebSocketRoute(path, handler) for path, handler in zip(PATHS, (stream, client, agent), strict=True)
    ]


def _speech_to(client: Client) -> Send:
    async def send(message: str, *, last: bool = False) -> None:
        await client.send(message)

    return send


@dataclass(eq=False)
class _Reader:
    """Executes the commands of one client.

    speak: sends speech, to this client or to all subscribers; stopped: tells subscribers, if it speaks to
    them, that nothing more comes.
    """

    _client: Client
    _context: RelayContext
    _queue: UtteranceQueue
    _speak: Send
    _stopped: Send | None = None
    _memory: LanguageMemory = field(default_factory=LanguageMemory)
    _incremental: Utterance | None = None

    async def run(self) -> None:
        while (message := await self._client.receive()) is not None:
            try:
                await self._execute(messages.parse_command(message))
            except (BadMessage, SpeechError) as error:
                await self._client.send(messages.error_message(error))

    async def _execute(self, command: messages.Command) -> None:
        match command.action:
            case "start_tts":
                self._add(command.text).finish()
            case "append_tts":
                self._append(command.text)
            case "finish_tts":
                self.finish()
            case "stop":
                self._queue.stop()
                if self._stopped is not None:
                    await self._stopped(messages.STOPPED, last=True)
                await self._client.send(messages.STOPPED)
            case "ping":
                await self._client.send(messages.PONG)

    def _add(self, text: str) -> Utterance:
        """Queue a new utterance. Raises BadMessage and TextTooLong."""
        client = self._client
        utterance = Utterance(self._context, client.address, client.languages, self._memory, self._speak)
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


async def _forward_broadcast(subscriber: Subscriber, client: Client, turn: asyncio.Lock) -> None:
    """Send a client the broadcast; holds ``turn`` during an utterance, so that its own ones wait."""
    while True:
        message, last = await subscriber.get()
        async with turn:
            await client.send(message)
            while not last:
                message, last = await subscriber.get()
                await client.send(message)


async def _wait_for_overflow(subscriber: Subscriber) -> None:
    await subscriber.overflowed.wait()
