"""The relay that stands between an app and ElevenLabs, spoken by this server.

``/stream_tts`` speaks to whoever asks; ``/client`` does too, and hears besides what agents write on
``/agent``. Source: github.com/said4244/elevenlabs_phonemes, server/ and lib/src/tts_stream_handler.dart.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from protocols.elevenlabs.relay import messages
from protocols.elevenlabs.relay.alignment_files import RelayLogs
from protocols.elevenlabs.relay.broadcast import MAX_BACKLOG_BYTES, Broadcast, Subscriber
from protocols.elevenlabs.relay.messages import Append, BadMessage, Finish, Ping, Start, Stop
from protocols.elevenlabs.relay.queue import UtteranceQueue
from protocols.elevenlabs.relay.settings import RelaySettings, RelayState
from protocols.elevenlabs.relay.utterance import RelayContext, Send, Utterance
from protocols.elevenlabs.settings import ElevenLabsSettings
from protocols.shared.client_languages import accept_languages
from protocols.shared.tasks import run_until_first
from speech.errors import SpeechError
from speech.service import SpeechService

__all__ = ["AGENT_PATH", "CLIENT_PATH", "STREAM_PATH", "RelaySettings", "RelayState", "routes"]

STREAM_PATH = "/stream_tts"
CLIENT_PATH = "/client"
AGENT_PATH = "/agent"

TRY_AGAIN_LATER = 1013
CLOSE_TIMEOUT_S = 5.0
"""How long one who does not read is waited for with a close frame."""


def routes(
    service: SpeechService, settings: ElevenLabsSettings, relayed: RelaySettings, state: RelayState
) -> list[BaseRoute]:
    """The relay's routes, spoken by ``service``; who is there is told to ``state``."""
    logs = RelayLogs(relayed.logs_dir, alignment=relayed.log_alignment, outputs=relayed.log_outputs)
    house = RelayContext(service, settings, relayed, state, logs)
    broadcast = Broadcast(state)

    async def stream(websocket: WebSocket) -> None:
        await websocket.accept()
        line = _Line(websocket)
        performance = UtteranceQueue(state, asyncio.Lock())
        state.clients += 1
        try:
            reading = _Reader(websocket, house, performance, line.send, line.send).run()
            await run_until_first(reading, performance.run(), name="relay", ignore=WebSocketDisconnect)
        finally:
            state.clients -= 1

    async def client(websocket: WebSocket) -> None:
        await websocket.accept()
        line = _Line(websocket)
        floor = asyncio.Lock()
        performance = UtteranceQueue(state, floor)
        state.clients += 1
        try:
            with broadcast.subscribe() as listener:
                await run_until_first(
                    _Reader(websocket, house, performance, line.send, line.send).run(),
                    performance.run(),
                    _hear(listener, line.send, floor),
                    _fall_behind(listener),
                    name="relay client",
                    ignore=WebSocketDisconnect,
                )
        finally:
            state.clients -= 1
        if listener.overflowed.is_set():
            await line.close(
                TRY_AGAIN_LATER, f"too slow: more than {MAX_BACKLOG_BYTES >> 20} MiB waited to be read"
            )

    async def agent(websocket: WebSocket) -> None:
        await websocket.accept()
        line = _Line(websocket)
        broadcast.start()
        state.agents += 1
        reader = _Reader(websocket, house, broadcast.queue, line.send, broadcast.send)
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


class _Line:
    """The way to one client; whoever sends waits while that does not read."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._gone = False

    async def send(self, message: str, *, last: bool = False) -> None:
        """Send a message. Raises WebSocketDisconnect."""
        if self._gone:
            raise WebSocketDisconnect
        try:
            await self._websocket.send_text(message)
        except WebSocketDisconnect:
            # Starlette complains of the next who tries.
            self._gone = True
            raise

    async def close(self, code: int, reason: str) -> None:
        """Close the connection, if the client is still there."""
        if not self._gone:
            with suppress(WebSocketDisconnect, TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await self._websocket.close(code, reason)


class _Reader:
    """Does what one client asks for. answer: its own line; speak: where speech goes."""

    def __init__(
        self,
        websocket: WebSocket,
        house: RelayContext,
        performance: UtteranceQueue,
        answer: Send,
        speak: Send,
    ) -> None:
        self._websocket = websocket
        self._house = house
        self._performance = performance
        self._answer = answer
        self._speak = speak
        self._client = websocket.client.host if websocket.client else ""
        self._languages = accept_languages(websocket.headers)
        self._written: Utterance | None = None

    async def run(self) -> None:
        """Serve until the client goes."""
        while True:
            received = await self._websocket.receive()
            if received["type"] == "websocket.disconnect":
                return
            try:
                await self._do(messages.parse_command(received.get("text")))
            except (BadMessage, SpeechError) as error:
                await self._answer(messages.error_message(error))

    async def _do(self, message: messages.Command) -> None:
        match message:
            case Start(text):
                self._add(text).finish()
            case Append(text):
                self._append(text)
            case Finish():
                self.finish()
            case Stop():
                self._performance.stop()
                await self._answer(messages.STOPPED)
                if self._speak != self._answer:
                    await self._speak(messages.STOPPED, last=True)
            case Ping():
                await self._answer(messages.PONG)

    def _add(self, text: str) -> Utterance:
        """A new utterance, behind those that are there. Raises BadMessage and TextTooLong."""
        utterance = Utterance(self._house, self._client, self._languages, self._speak)
        utterance.feed(text)
        try:
            self._performance.add(utterance)
        except BadMessage:
            utterance.discard()
            raise
        return utterance

    def _append(self, text: str) -> None:
        if not text:
            return
        if self._written is None or self._written.closed:
            self._written = self._add(text)
        else:
            self._written.feed(text)

    def finish(self) -> None:
        """What was appended so far is all; nothing is to be done where nothing was."""
        if self._written is not None and not self._written.closed:
            self._written.finish()


async def _hear(listener: Subscriber, send: Send, floor: asyncio.Lock) -> None:
    """Send a listener what agents say, an utterance at a time: its own do not come in between."""
    while True:
        message, last = await listener.get()
        async with floor:
            await send(message)
            while not last:
                message, last = await listener.get()
                await send(message)


async def _fall_behind(listener: Subscriber) -> None:
    """Return once the listener has not kept up."""
    await listener.overflowed.wait()
