"""The WebSocket that listens: audio goes in as it is spoken, words, pauses and times come out."""

from __future__ import annotations

import asyncio
import time

from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from dialects.kyutai import messages
from dialects.kyutai.connection import GOING_AWAY, Ending, close, ending_of, host, until_first
from dialects.kyutai.messages import SAMPLE_RATE, Audio, BadMessage, Init, Marker, OggOpus, read_to_hear
from dialects.kyutai.meter import Meter
from dialects.kyutai.query import BadQuery, read_language
from speech.errors import SpeechError
from speech.ogg_opus import OggOpusDecoder
from speech.recognition import RecognitionSession
from speech.recognizer import Heard, HeardWord, Mark
from speech.service import SpeechService
from speech.types import Samples

PROTOCOL = "kyutai-asr"

SILENT_S = 120.0
"""How long a client may send nothing at all; moshi-server waits as long."""

IN_A_THREAD = 2**14
"""Bytes of a message beyond which what is in it is unpacked in a thread, so that nobody waits for it."""


async def listen(
    websocket: WebSocket, service: SpeechService, meter: Meter, silent_s: float = SILENT_S
) -> None:
    """Serve one client of ``/api/asr-streaming``, who may send nothing for ``silent_s`` seconds."""
    try:
        language = read_language(websocket.query_params)
    except BadQuery as error:
        await websocket.send_denial_response(PlainTextResponse(str(error), 400))
        return
    await websocket.accept()
    connection = _Connection(websocket, service, language, meter, silent_s)
    meter.listening_opened()
    try:
        await connection.run()
    finally:
        meter.listening_closed(connection.steps)


class _Connection:
    """One client."""

    def __init__(
        self,
        websocket: WebSocket,
        service: SpeechService,
        language: str | None,
        meter: Meter,
        silent_s: float,
    ) -> None:
        self._websocket = websocket
        self._service = service
        self._language = language
        self._meter = meter
        self._silent_s = silent_s
        self._session: RecognitionSession | None = None
        self._opened = asyncio.Event()
        self._opus: OggOpusDecoder | None = None
        self._since = 0.0
        self.steps = 0

    async def run(self) -> None:
        """Serve until the client goes, or something breaks that no message explains."""
        try:
            await until_first(self._read(), self._tell())
        except WebSocketDisconnect:
            return
        except (BadMessage, SpeechError) as error:
            # An Error behind Ready would break the clients there are: only the close tells why.
            await close(self._websocket, ending_of(error))

    async def _read(self) -> None:
        """Take what the client sends, until it goes. Raises BadMessage and InvalidRequest."""
        while True:
            try:
                async with asyncio.timeout(self._silent_s):
                    received = await self._websocket.receive()
            except TimeoutError:
                await close(self._websocket, Ending(reason=f"nothing came for {self._silent_s:g} s"))
                return
            if received["type"] == "websocket.disconnect":
                return
            if (packed := received.get("bytes")) is not None:
                await self._take(packed)

    async def _take(self, packed: bytes) -> None:
        await self._opened.wait()
        session = self._session
        assert session is not None
        message = read_to_hear(packed)
        match message:
            case Init():
                self._opened.clear()
                self._opus = None
                session.finish()
            case Marker():
                await session.mark(message.id)
            case Audio() | OggOpus():
                if len(packed) > IN_A_THREAD:
                    samples = await asyncio.to_thread(self._samples, message)
                else:
                    samples = self._samples(message)
                self._since = time.perf_counter()
                await session.feed(samples)

    def _samples(self, message: Audio | OggOpus) -> Samples:
        if isinstance(message, Audio):
            return messages.samples(message)
        if self._opus is None:
            self._opus = OggOpusDecoder(SAMPLE_RATE)
        return self._opus.feed(messages.ogg_bytes(message))

    async def _tell(self) -> None:
        """Send what is heard; after an ``Init`` of the client, anew. Raises SpeechError."""
        client = host(self._websocket)
        again = True
        while again:
            try:
                opened = self._service.listen(
                    protocol=PROTOCOL, client=client, sample_rate=SAMPLE_RATE, language=self._language
                )
            except SpeechError as error:
                await self._websocket.send_bytes(messages.error(ending_of(error).reason))
                raise
            async with opened as session:
                self._session = session
                await self._websocket.send_bytes(messages.ready())
                self._opened.set()
                async for event in session.events():
                    if self._opened.is_set():
                        await self._send(event, session)
                again = not self._opened.is_set()
        await close(self._websocket, Ending(GOING_AWAY, "the server is stopping"))

    async def _send(self, event: Heard, session: RecognitionSession) -> None:
        send = self._websocket.send_bytes
        match event:
            case HeardWord():
                await send(messages.word(event.text, event.start_s))
                await send(messages.end_word(event.end_s))
            case Mark():
                await send(messages.marker(event.number))
            case _:
                now = time.perf_counter()
                self._meter.listened(now - self._since)
                self._since = now
                self.steps += 1
                await send(messages.step(event.index, event.pauses, session.backlog))
