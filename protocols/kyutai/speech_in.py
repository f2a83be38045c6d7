"""The WebSocket that listens: audio goes in as it is spoken, words, pauses and times come out."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from protocols.kyutai import messages
from protocols.kyutai.connection import GOING_AWAY, Closing, client_address, close, closing_for
from protocols.kyutai.messages import (
    FRAME_SAMPLES,
    SAMPLE_RATE,
    Audio,
    BadMessage,
    Init,
    Marker,
    OggOpus,
    read_recognition_message,
)
from protocols.kyutai.meter import Meter
from protocols.kyutai.query import BadQuery, read_language
from protocols.shared.tasks import run_until_first
from speech.audio.decoding import STREAM_POOL, run_in_pool
from speech.audio.ogg_opus import OggOpusDecoder
from speech.errors import SpeechError
from speech.recognizer import Mark, RecognitionEvent, RecognizedWord, Step
from speech.service import SpeechService
from speech.session.recognition import RecognitionSession
from speech.types import Samples

PROTOCOL = "kyutai-asr"

IDLE_TIMEOUT_S = 120.0
"""How long a client may send nothing at all; moshi-server waits as long."""

DECODE_IN_THREAD_BYTES = 2**16
"""Bytes of samples that are unpacked in a thread, as Ogg Opus always is: so nobody waits for it."""


async def serve_recognition(
    websocket: WebSocket, service: SpeechService, meter: Meter, idle_timeout_s: float = IDLE_TIMEOUT_S
) -> None:
    """Serve one client of ``/api/asr-streaming``, who may send nothing for ``silent_s`` seconds."""
    try:
        language = read_language(websocket.query_params)
    except BadQuery as error:
        await websocket.send_denial_response(PlainTextResponse(str(error), 400))
        return
    await websocket.accept()

    def opened() -> RecognitionSession:
        return service.open_recognition(
            protocol=PROTOCOL, client=client_address(websocket), sample_rate=SAMPLE_RATE, language=language
        )

    connection = _Connection(websocket, opened, meter, idle_timeout_s)
    try:
        await connection.run()
    finally:
        if connection.admitted:
            meter.recognition_closed(connection.steps)


class _Connection:
    """One client."""

    def __init__(
        self,
        websocket: WebSocket,
        opened: Callable[[], RecognitionSession],
        meter: Meter,
        silent_s: float,
    ) -> None:
        """opened: opens a session, at first and after each ``Init`` of the client."""
        self._websocket = websocket
        self._open = opened
        self._session: RecognitionSession | None = None
        self._meter = meter
        self._silent_s = silent_s
        # Whether an Init waits for another session, and when there is one that takes audio.
        self._begins_anew = False
        self._begun = asyncio.Event()
        self._opus: OggOpusDecoder | None = None
        # Samples that were fed up to a message, and when it came; of those that are not heard yet.
        self._arrivals: deque[tuple[int, float]] = deque()
        self._fed = 0
        self.steps = 0
        self.admitted = False
        """Whether there was a place for the client."""

    async def run(self) -> None:
        """Serve until the client goes, or something breaks that no message explains."""
        try:
            await run_until_first(
                self._read(), self._tell(), name="kyutai listening", ignore=WebSocketDisconnect
            )
        except (BadMessage, SpeechError) as error:
            # An Error behind Ready would break the clients there are: only the close tells why.
            await close(self._websocket, closing_for(error))

    async def _read(self) -> None:
        """Take what the client sends, until it goes. Raises BadMessage and InvalidRequest."""
        now = asyncio.get_running_loop().time
        due = now() + self._silent_s
        while True:
            try:
                async with asyncio.timeout_at(due):
                    received = await self._websocket.receive()
            except TimeoutError:
                await close(self._websocket, Closing(reason=f"nothing came for {self._silent_s:g} s"))
                return
            if received["type"] == "websocket.disconnect":
                return
            if (packed := received.get("bytes")) is not None:
                await self._take(packed)
                due = now() + self._silent_s

    async def _take(self, packed: bytes) -> None:
        await self._begun.wait()
        session = self._session
        assert session is not None
        message = read_recognition_message(packed)
        match message:
            case Init():
                self._opus = None
                self._begins_anew = True
                self._begun.clear()
                session.cancel()
            case Marker():
                await session.mark(message.id)
            case Audio():
                if len(packed) > DECODE_IN_THREAD_BYTES:
                    await self._feed(session, await asyncio.to_thread(messages.audio_samples, message))
                else:
                    await self._feed(session, messages.audio_samples(message))
            case OggOpus():
                self._opus = self._opus or OggOpusDecoder(SAMPLE_RATE)
                pages = messages.ogg_bytes(message)
                samples = await run_in_pool(STREAM_POOL, self._opus.feed, pages)
                await self._feed(session, samples)

    async def _feed(self, session: RecognitionSession, samples: Samples) -> None:
        if len(samples):
            self._fed += len(samples)
            self._arrivals.append((self._fed, time.perf_counter()))
            await session.feed(samples)

    async def _tell(self) -> None:
        """Send what is heard; after an ``Init`` of the client, anew. Raises SpeechError."""
        while self._session is None or self._begins_anew:
            async with self._opened() as session, aclosing(session.events()) as events:
                self._session = session
                self._begins_anew = False
                self._arrivals.clear()
                self._fed = 0
                await self._websocket.send_bytes(messages.ready())
                self._begun.set()
                async for event in events:
                    if self._begins_anew:
                        break
                    await self._send(event, session)
        await close(self._websocket, Closing(GOING_AWAY, "the server is stopping"))

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[RecognitionSession]:
        try:
            opened = self._open()
        except SpeechError as error:
            if not self.admitted:
                await self._websocket.send_bytes(messages.error(closing_for(error).reason))
            raise
        if not self.admitted:
            self.admitted = True
            self._meter.recognition_opened()
        async with opened as session:
            yield session

    async def _send(self, event: RecognitionEvent, session: RecognitionSession) -> None:
        send = self._websocket.send_bytes
        match event:
            case RecognizedWord():
                await send(messages.word(event.text, event.start_s))
                await send(messages.end_word(event.end_s))
            case Mark():
                await send(messages.marker(event.number))
            case Step():
                self.steps += 1
                self._meter.frame_recognized(
                    time.perf_counter() - self._arrived((event.index + 1) * FRAME_SAMPLES)
                )
                await send(messages.step(event.index, event.pause_probabilities, session.backlog_samples))

    def _arrived(self, sample: int) -> float:
        """When the audio up to a sample had come; what came before is forgotten."""
        while len(self._arrivals) > 1 and self._arrivals[0][0] < sample:
            self._arrivals.popleft()
        return self._arrivals[0][1]
