"""The WebSocket for recognition: audio goes in as it is spoken, words, pauses and times come out."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field

from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocket

from kani.core.audio.decoding import STREAM_POOL, run_if_long, run_in_pool
from kani.core.audio.ogg_opus import OggOpusDecoder
from kani.core.errors import InvalidRequest, SpeechError
from kani.core.recognizer import Mark, RecognitionEvent, RecognizedWord, Step
from kani.core.service import SpeechService
from kani.core.session.recognition import RecognitionSession
from kani.core.types import Samples
from kani.protocols.kyutai import messages
from kani.protocols.kyutai.connection import closing_for
from kani.protocols.kyutai.messages import FRAME_SAMPLES, SAMPLE_RATE
from kani.protocols.kyutai.metrics import KyutaiMetrics
from kani.protocols.kyutai.query import read_language, read_prompt
from kani.protocols.shared.connection import GOING_AWAY, NORMAL, STOPPING, Client
from kani.protocols.shared.errors import BadMessage

PROTOCOL = "kyutai-asr"

IDLE_TIMEOUT_S = 120.0
"""Seconds without any message after which a client is disconnected, as by moshi-server."""


async def serve_recognition(websocket: WebSocket, service: SpeechService, metrics: KyutaiMetrics) -> None:
    try:
        language = read_language(websocket.query_params, service.recognition)
        prompt = read_prompt(websocket.query_params)
    except InvalidRequest as error:
        await websocket.send_denial_response(PlainTextResponse(str(error), 400))
        return
    await websocket.accept()
    client = Client(websocket)

    def open_session() -> RecognitionSession:
        return service.recognition.open_recognition(
            protocol=PROTOCOL,
            client=client.address,
            sample_rate=SAMPLE_RATE,
            language=language,
            prompt=prompt,
        )

    connection = _RecognitionConnection(client, open_session, metrics)
    try:
        await connection.run()
    finally:
        if connection.admitted:
            metrics.recognition_closed(connection.steps)


@dataclass(eq=False)
class _RecognitionConnection:
    """One client."""

    _client: Client
    _open_session: Callable[[], RecognitionSession]  # called at first, and after each Init of the client
    _metrics: KyutaiMetrics
    _session: RecognitionSession | None = None
    _restarting: bool = False  # an Init waits for a new session
    _session_ready: asyncio.Event = field(default_factory=asyncio.Event)  # set while one takes audio
    _opus: OggOpusDecoder | None = None
    # For audio that is not recognized yet: samples fed up to a message, and when that came.
    _arrivals: deque[tuple[int, float]] = field(default_factory=deque)
    _fed: int = 0
    steps: int = 0  # steps sent so far
    admitted: bool = False  # True once a session could be opened

    async def run(self) -> None:
        try:
            await self._client.serve(self._read(), self._recognize())
        except (BadMessage, SpeechError) as error:
            closing = closing_for(error)
            # Unmute takes a close for the end, and fails at an Error: only a client at fault gets one.
            at_fault = isinstance(error, BadMessage | InvalidRequest)
            last = messages.encode(messages.Error(closing.reason)) if at_fault else b""
            await self._client.close(closing.code, closing.reason, last=last)

    async def _read(self) -> None:
        """Handle the client's messages until it disconnects. Raises BadMessage and InvalidRequest."""
        now = asyncio.get_running_loop().time
        deadline = now() + IDLE_TIMEOUT_S
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    packed = await self._client.receive()
            except TimeoutError:
                await self._client.close(NORMAL, f"nothing came for {IDLE_TIMEOUT_S:g} s")
                return
            if packed is None:
                return
            if isinstance(packed, bytes):
                await self._handle(packed)
                deadline = now() + IDLE_TIMEOUT_S

    async def _handle(self, packed: bytes) -> None:
        await self._session_ready.wait()
        session = self._session
        assert session is not None
        message = messages.read_recognition_message(packed)
        match message:
            case messages.Init():
                self._opus = None
                self._restarting = True
                self._session_ready.clear()
                session.cancel()
            case messages.Marker():
                await session.mark(message.id)
            case messages.Audio():
                await self._feed(session, await run_if_long(packed, messages.audio_samples, message))
            case messages.OggOpus():
                self._opus = self._opus or OggOpusDecoder(SAMPLE_RATE)
                pages = messages.ogg_bytes(message)
                samples = await run_in_pool(STREAM_POOL, self._opus.feed, pages)
                await self._feed(session, samples)

    async def _feed(self, session: RecognitionSession, samples: Samples) -> None:
        if len(samples):
            self._fed += len(samples)
            self._arrivals.append((self._fed, time.perf_counter()))
            await session.feed(samples)

    async def _recognize(self) -> None:
        """Send what is recognized, in a new session after each ``Init``. Raises SpeechError."""
        while self._session is None or self._restarting:
            async with self._admitted_session() as session, aclosing(session.events()) as events:
                self._session = session
                self._restarting = False
                self._arrivals.clear()
                self._fed = 0
                await self._client.send(messages.encode(messages.Ready()))
                self._session_ready.set()
                async for event in events:
                    if self._restarting:
                        break
                    await self._send(event, session)
        await self._client.close(GOING_AWAY, STOPPING)

    @asynccontextmanager
    async def _admitted_session(self) -> AsyncIterator[RecognitionSession]:
        try:
            opened = self._open_session()
        except SpeechError as error:
            if not self.admitted:
                await self._client.send(messages.encode(messages.Error(closing_for(error).reason)))
            raise
        if not self.admitted:
            self.admitted = True
            self._metrics.recognition_opened()
        opened.judges_turns = True
        async with opened as session:
            yield session

    async def _send(self, event: RecognitionEvent, session: RecognitionSession) -> None:
        send = self._client.send
        match event:
            case RecognizedWord():
                await send(messages.encode(messages.Word(event.text, event.start_s)))
                await send(messages.encode(messages.EndWord(event.end_s)))
            case Mark():
                await send(messages.encode(messages.Marker(event.number)))
            case Step():
                self.steps += 1
                # When the last of its audio had come; what came before counts for no later step.
                while len(self._arrivals) > 1 and self._arrivals[0][0] < (event.index + 1) * FRAME_SAMPLES:
                    self._arrivals.popleft()
                self._metrics.recognition_step.observe(time.perf_counter() - self._arrivals[0][1])
                await send(messages.step(event.index, event.pause_probabilities, session.backlog_samples))
