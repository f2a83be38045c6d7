"""The WebSocket that speaks: words go in as they are written, frames and the words' times come out."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace

from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from protocols.kyutai import voice_payload
from protocols.kyutai.connection import Closing, client_address, close, closing_for
from protocols.kyutai.messages import BadMessage, Eos, SpeechMessage, Text, Voice, read_speech_message
from protocols.kyutai.meter import Meter
from protocols.kyutai.output import Frames, OutputEncoder
from protocols.kyutai.query import BadQuery, read_speech_query
from protocols.kyutai.text_input import TextFeeder
from protocols.shared.client_languages import accept_languages
from protocols.shared.tasks import run_until_first
from speech.errors import InvalidRequest, SpeechError
from speech.service import SpeechService
from speech.session.session import SpeechSession
from speech.types import Samples, SpeechChunk

log = logging.getLogger(__name__)

PROTOCOL = "kyutai"

IDLE_FLUSH_S = 0.9
"""How long the next word is waited for before those that are there are spoken to their end."""


async def serve_speech(websocket: WebSocket, service: SpeechService, meter: Meter, idle_s: float) -> None:
    """Serve one client of ``/api/tts_streaming``, who may wait ``idle_s`` seconds with its text."""
    try:
        query = read_speech_query(websocket.query_params, service)
    except BadQuery as error:
        await websocket.send_denial_response(PlainTextResponse(str(error), 400))
        return
    await websocket.accept()
    output = OutputEncoder(query.format)
    try:
        request = replace(query.request, languages=accept_languages(websocket.headers))
        session = service.open(request, protocol=PROTOCOL, client=client_address(websocket))
    except SpeechError as error:
        await _refuse(websocket, output, error)
        return
    meter.speech_opened()
    feeder = TextFeeder(session, service.limits.max_text)
    connection = _Connection(websocket, session, feeder, output, query.max_frames, meter, idle_s)
    try:
        async with session:
            await connection.run()
    finally:
        meter.speech_closed(connection.frames)


async def _refuse(websocket: WebSocket, output: OutputEncoder, error: SpeechError) -> None:
    ending = closing_for(error)
    try:
        if message := output.error(ending.reason):
            await websocket.send_bytes(message)
    except WebSocketDisconnect:
        return
    await close(websocket, ending)


class _Connection:
    """One client. What was fed is spoken also where what came behind it is wrong."""

    def __init__(
        self,
        websocket: WebSocket,
        session: SpeechSession,
        feeder: TextFeeder,
        output: OutputEncoder,
        most_frames: int | None,
        meter: Meter,
        idle_s: float,
    ) -> None:
        self._websocket = websocket
        self._session = session
        self._feeder = feeder
        self._output = output
        self._most_frames = most_frames
        self._meter = meter
        self._idle_s = idle_s
        self._voice_field = "voice"
        self._finished = False
        self._ending = Closing()
        self._since = time.perf_counter()
        self.frames = 0

    async def run(self) -> None:
        """Serve until all is spoken, the client goes, or something breaks that no message explains."""
        try:
            for message in self._output.start_messages():
                await self._send(message)
            await run_until_first(
                self._read(), self._speak(), name="kyutai speaking", ignore=WebSocketDisconnect
            )
        except WebSocketDisconnect:
            return

    async def _read(self) -> None:
        """Take what the client sends, until it goes."""
        now = asyncio.get_running_loop().time
        unsaid, due = False, now() + self._idle_s
        while True:
            try:
                async with asyncio.timeout_at(None if self._finished else due):
                    received = await self._websocket.receive()
            except TimeoutError:
                if unsaid:
                    self._meter.idle_flushed()
                    self._session.flush()
                    unsaid, due = False, now() + self._idle_s
                else:
                    self._end(Closing(reason=f"no text came for {self._idle_s:g} s"))
                continue
            if received["type"] == "websocket.disconnect":
                return
            raw = received.get("text")
            try:
                # Only words put off what is waited for.
                if self._take(read_speech_message(raw if raw is not None else received["bytes"])):
                    unsaid, due = True, now() + IDLE_FLUSH_S
            except (BadMessage, InvalidRequest) as error:
                self._end(closing_for(error))

    def _take(self, message: SpeechMessage) -> bool:
        """Do what a message asks for; whether there are new words, which may not be the last."""
        if isinstance(message, Eos):
            self._end(Closing())
        elif isinstance(message, Text):
            return self._feed(message.text)
        elif not self._feeder.has_text and not self._finished:
            self._sound_like(message)
        return False

    def _sound_like(self, voice: Voice) -> None:
        """Speak like a voice that this server made; who would speak anyway does for any other."""
        embeddings = voice_payload.unpack(voice.embeddings)
        if embeddings is None:
            log.info("a voice that another server made, or another version: it is passed over")
        elif embeddings:
            self._voice_field = "embeddings"
            self._session.use_embeddings(embeddings)

    def _feed(self, text: str) -> bool:
        if self._ending.reason:
            return False
        if self._finished:
            if text.strip():
                raise BadMessage("text: came after Eos")
            return False
        self._since = time.perf_counter()
        return self._feeder.feed(text)

    def _end(self, ending: Closing) -> None:
        """No more text is taken; the first ending that has something to complain of stands."""
        if not self._ending.reason:
            self._ending = ending
        if not self._finished:
            self._finished = True
            self._session.finish()

    async def _speak(self) -> None:
        """Send what is spoken, and close."""
        frames = Frames()
        try:
            async for chunk in self._session:
                await self._send_words(chunk)
                if not await self._send_frames(frames.feed(chunk)):
                    break
            else:
                await self._send_frames(frames.finish())
        except SpeechError as error:
            self._ending = closing_for(error, self._voice_field)
        if self._ending.reason:
            await self._send(self._output.error(self._ending.reason))
        for message in self._output.end_messages():
            await self._send(message)
        await close(self._websocket, self._ending)

    async def _send_words(self, chunk: SpeechChunk) -> None:
        for word in self._feeder.aligner.align(chunk.spans):
            await self._send(self._output.word(word))

    async def _send_frames(self, frames: list[Samples]) -> bool:
        """Send frames; False once there were as many as the client wanted at most."""
        if frames:
            now = time.perf_counter()
            self._meter.frames_spoken(len(frames), now - self._since)
            self._since = now
        for frame in frames:
            if self._most_frames is not None and self.frames >= self._most_frames:
                return False
            self.frames += 1
            await self._send(self._output.frame(frame))
        return True

    async def _send(self, message: bytes) -> None:
        if message:
            await self._websocket.send_bytes(message)
