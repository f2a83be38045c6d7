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
from protocols.elevenlabs.relay.broadcast import MOST_BEHIND, Broadcast, Listener
from protocols.elevenlabs.relay.messages import Append, BadMessage, Finish, Ping, Start, Stop
from protocols.elevenlabs.relay.queue import Performance
from protocols.elevenlabs.relay.settings import RelaySettings, RelayState
from protocols.elevenlabs.relay.utterance import House, Send, Utterance
from protocols.elevenlabs.settings import ElevenLabsSettings
from protocols.shared.client_languages import accepted
from protocols.shared.tasks import until_first
from speech.errors import SpeechError
from speech.service import SpeechService

__all__ = ["AGENT", "CLIENT", "STREAM", "RelaySettings", "RelayState", "routes"]

STREAM = "/stream_tts"
CLIENT = "/client"
AGENT = "/agent"

TRY_LATER = 1013
CLOSING_S = 5.0
"""How long one who does not read is waited for with a close frame."""


def routes(
    service: SpeechService, settings: ElevenLabsSettings, relayed: RelaySettings, state: RelayState
) -> list[BaseRoute]:
    """The relay's routes, spoken by ``service``; who is there is told to ``state``."""
    logs = RelayLogs(relayed.logs_dir, alignment=relayed.log_alignment, outputs=relayed.log_outputs)
    house = House(service, settings, relayed, state, logs)
    broadcast = Broadcast(state)

    async def stream(websocket: WebSocket) -> None:
        await websocket.accept()
        line = _Line(websocket)
        performance = Performance(state, asyncio.Lock())
        state.clients += 1
        try:
            reading = _Reader(websocket, house, performance, line.send, line.send).run()
            await until_first(reading, performance.run(), name="relay", quietly=WebSocketDisconnect)
        finally:
            state.clients -= 1

    async def client(websocket: WebSocket) -> None:
        await websocket.accept()
        line = _Line(websocket)
        floor = asyncio.Lock()
        performance = Performance(state, floor)
        state.clients += 1
        try:
            with broadcast.listening() as listener:
                await until_first(
                    _Reader(websocket, house, performance, line.send, line.send).run(),
                    performance.run(),
                    _hear(listener, line.send, floor),
                    _fall_behind(listener),
                    name="relay client",
                    quietly=WebSocketDisconnect,
                )
        finally:
            state.clients -= 1
        if listener.behind.is_set():
            await line.close(TRY_LATER, f"too slow: more than {MOST_BEHIND >> 20} MiB waited to be read")

    async def agent(websocket: WebSocket) -> None:
        await websocket.accept()
        line = _Line(websocket)
        broadcast.begin()
        state.agents += 1
        reader = _Reader(websocket, house, broadcast.performance, line.send, broadcast.send)
        try:
            with suppress(WebSocketDisconnect):
                await reader.run()
        finally:
            state.agents -= 1
            reader.finish()

    return [WebSocketRoute(STREAM, stream), WebSocketRoute(CLIENT, client), WebSocketRoute(AGENT, agent)]


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
                async with asyncio.timeout(CLOSING_S):
                    await self._websocket.close(code, reason)


class _Reader:
    """Does what one client asks for. answer: its own line; speak: where speech goes."""

    def __init__(
        self, websocket: WebSocket, house: House, performance: Performance, answer: Send, speak: Send
    ) -> None:
        self._websocket = websocket
        self._house = house
        self._performance = performance
        self._answer = answer
        self._speak = speak
        self._client = websocket.client.host if websocket.client else ""
        self._languages = accepted(websocket.headers)
        self._written: Utterance | None = None

    async def run(self) -> None:
        """Serve until the client goes."""
        while True:
            received = await self._websocket.receive()
            if received["type"] == "websocket.disconnect":
                return
            try:
                await self._do(messages.read(received.get("text")))
            except (BadMessage, SpeechError) as error:
                await self._answer(messages.failed(error))

    async def _do(self, message: messages.ToRelay) -> None:
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
            utterance.drop()
            raise
        return utterance

    def _append(self, text: str) -> None:
        if not text:
            return
        if self._written is None or self._written.over:
            self._written = self._add(text)
        else:
            self._written.feed(text)

    def finish(self) -> None:
        """What was appended so far is all; nothing is to be done where nothing was."""
        if self._written is not None and not self._written.over:
            self._written.finish()


async def _hear(listener: Listener, send: Send, floor: asyncio.Lock) -> None:
    """Send a listener what agents say, an utterance at a time: its own do not come in between."""
    while True:
        message, last = await listener.get()
        async with floor:
            await send(message)
            while not last:
                message, last = await listener.get()
                await send(message)


async def _fall_behind(listener: Listener) -> None:
    """Return once the listener has not kept up."""
    await listener.behind.wait()
