"""The WebSocket for speech: words go in as they are written, audio frames and the words' times come out."""

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace

from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from kani.core.errors import InvalidRequest, SpeechError
from kani.core.service import SpeechService
from kani.core.session.session import SpeechSession
from kani.core.types import Samples
from kani.protocols.kyutai import voice_payload
from kani.protocols.kyutai.connection import Closing, closing_for
from kani.protocols.kyutai.messages import Eos, SpeechMessage, Text, Voice, read_speech_message
from kani.protocols.kyutai.metrics import KyutaiMetrics
from kani.protocols.kyutai.output import Frames, OutputEncoder
from kani.protocols.kyutai.query import read_speech_query
from kani.protocols.kyutai.words import TextFeeder
from kani.protocols.shared.connection import Client
from kani.protocols.shared.errors import BadMessage
from kani.protocols.shared.idle_flush import IdleFlush

log = logging.getLogger(__name__)

PROTOCOL = "kyutai"

IDLE_S = 3600.0
"""Longest wait of an open session for its client's text."""

IDLE_FLUSH_S = 0.9
"""Seconds to wait for the next word before the words so far are spoken to their end."""


async def serve_speech(websocket: WebSocket, service: SpeechService, metrics: KyutaiMetrics) -> None:
    try:
        query = read_speech_query(websocket.query_params, service)
    except InvalidRequest as error:
        await websocket.send_denial_response(PlainTextResponse(str(error), 400))
        return
    await websocket.accept()
    client, output = Client(websocket), OutputEncoder(query.format)
    try:
        request = replace(query.request, languages=client.languages)
        session = service.open(request, protocol=PROTOCOL, client=client.address)
    except SpeechError as error:
        closing = closing_for(error)
        await client.close(closing.code, closing.reason, last=output.error(closing.reason))
        return
    metrics.speech_opened()
    feeder = TextFeeder(session, service.limits.max_text)
    connection = _SpeechConnection(client, session, feeder, output, query.max_frames, metrics)
    try:
        async with session:
            await connection.run()
    finally:
        metrics.speech_closed(connection.frames)


@dataclass(eq=False)
class _SpeechConnection:
    """One client. Text that was accepted is spoken even if a later message is wrong."""

    _client: Client
    _session: SpeechSession
    _feeder: TextFeeder
    _output: OutputEncoder
    _max_frames: int | None
    _metrics: KyutaiMetrics
    _voice_field: str = "voice"  # the field that named the voice, for errors about it
    _finished: bool = False  # True once the session takes no more text
    _closing: Closing = field(default_factory=Closing)
    # Time of the last text that came or of the last frames that were sent.
    _since: float = field(default_factory=time.perf_counter)
    frames: int = 0  # frames sent so far

    async def run(self) -> None:
        """Serve until everything is spoken or the client disconnects."""
        with suppress(WebSocketDisconnect):
            for message in self._output.start_messages():
                await self._send(message)
            await self._client.serve(self._read(), self._speak())

    async def _read(self) -> None:
        idle_flush = IdleFlush(IDLE_FLUSH_S)
        try:
            await self._read_messages(idle_flush)
        finally:
            idle_flush.cancel()

    async def _read_messages(self, idle_flush: IdleFlush) -> None:
        now = asyncio.get_running_loop().time
        deadline = now() + IDLE_S
        while True:
            try:
                async with asyncio.timeout_at(None if self._finished else deadline):
                    message = await self._client.receive()
            except TimeoutError:
                self._end(Closing(reason=f"no text came for {IDLE_S:g} s"))
                continue
            if message is None:
                return
            try:
                # Only words put off the deadlines, not empty text.
                if self._handle(read_speech_message(message)):
                    idle_flush.restart(self._flush)
                    deadline = now() + IDLE_FLUSH_S + IDLE_S
            except (BadMessage, InvalidRequest) as error:
                self._end(closing_for(error))

    def _flush(self) -> None:
        if not self._finished:
            self._metrics.missing_words.inc()
            self._session.flush()

    def _handle(self, message: SpeechMessage) -> bool:
        """Handle a message; return whether it brought words, as more may come after them."""
        if isinstance(message, Eos):
            self._end(Closing())
        elif isinstance(message, Text):
            return self._feed(message.text)
        elif not self._feeder.has_text and not self._finished:
            self._use_voice(message)
        return False

    def _use_voice(self, voice: Voice) -> None:
        """Speak with a voice of this server's ``/api/voice``; embeddings from elsewhere are ignored."""
        embeddings = voice_payload.unpack(voice.embeddings)
        if embeddings is None:
            log.info("ignored a voice that another server, or another version of this one, has made")
        elif embeddings:
            self._voice_field = "embeddings"
            self._session.use_embeddings(embeddings)

    def _feed(self, text: str) -> bool:
        if self._closing.reason:
            return False
        if self._finished:
            if text.strip():
                raise BadMessage("text: came after Eos")
            return False
        self._since = time.perf_counter()
        return self._feeder.feed(text)

    def _end(self, closing: Closing) -> None:
        """End the text. The connection closes with the first ``closing`` that has a reason."""
        if not self._closing.reason:
            self._closing = closing
        if not self._finished:
            self._finished = True
            self._session.finish()

    async def _speak(self) -> None:
        frames = Frames(self._max_frames)
        try:
            async for chunk in self._session:
                for word in self._feeder.aligner.align(chunk.spans):
                    await self._send(self._output.word(word))
                await self._send_frames(frames.feed(chunk))
                if frames.overflowed:
                    break
            else:
                await self._send_frames(frames.finish())
        except SpeechError as error:
            self._closing = closing_for(error, self._voice_field)
        if self._closing.reason:
            await self._send(self._output.error(self._closing.reason))
        for message in self._output.end_messages():
            await self._send(message)
        await self._client.close(self._closing.code, self._closing.reason)

    async def _send_frames(self, frames: list[Samples]) -> None:
        if frames:
            now = time.perf_counter()
            self._metrics.frames_spoken(len(frames), now - self._since)
            self._since = now
        for frame in frames:
            self.frames += 1
            await self._send(self._output.frame(frame))

    async def _send(self, message: bytes) -> None:
        if message:
            await self._client.send(message)
