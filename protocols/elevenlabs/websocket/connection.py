"""What ElevenLabs' two WebSockets have in common: who comes in, how long one waits, how a connection ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from starlette.websockets import WebSocket, WebSocketDisconnect

from protocols.elevenlabs.settings import ElevenLabsSettings
from protocols.elevenlabs.voice_ids import resolve_voice
from protocols.elevenlabs.voice_settings import VoiceSettings
from protocols.elevenlabs.websocket import messages
from protocols.elevenlabs.websocket.context import Context, OutputOptions
from protocols.elevenlabs.websocket.messages import (
    BadMessage,
    ClientMessage,
    ErrorMessage,
    MessageWriter,
    ProtocolError,
    error_message,
    input_timeout,
    strip_bearer,
)
from protocols.elevenlabs.websocket.priority_sender import PrioritySender
from protocols.elevenlabs.websocket.query import Query
from protocols.shared.client_languages import accept_languages
from speech.errors import SpeechCancelled, SpeechError
from speech.service import SpeechService
from speech.session.priority import SessionPriorities
from speech.session.session import SpeechSession
from speech.types import SpeechRequest

PROTOCOL = "elevenlabs"

KEY_TIMEOUT_S = 10.0
"""How long a client that has shown no key may take for its first message."""

MAX_REASON_BYTES = 123
"""Bytes of a close frame's reason (RFC 6455, 5.5)."""

_CREDENTIALS = ("xi-api-key", "authorization")
_CREDENTIAL_PARAMETERS = ("authorization", "single_use_token")


class BaseConnection:
    """One client. What it gave is spoken, and sent, also where what came behind it is wrong."""

    def __init__(
        self, websocket: WebSocket, service: SpeechService, settings: ElevenLabsSettings, query: Query
    ) -> None:
        self._websocket = websocket
        self._service = service
        self._settings = settings
        self._query = query
        self._voice_id: str = websocket.path_params["voice_id"]
        self._voice: str | None = None
        self._is_key: Callable[[str], bool] | None = websocket.scope.get("key_check")
        self._begun = False
        self._failure: ErrorMessage | None = None
        self._input_ended = asyncio.Event()
        self._outgoing = PrioritySender(websocket.send_text)
        self._precedence = SessionPriorities()
        self._contexts: dict[asyncio.Task[None], Context] = {}

    async def run(self) -> None:
        """Serve until all is said, the client goes, or something breaks that no message explains."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                concluding = group.create_task(self._conclude(), name="elevenlabs connection")
                await self._read()
                for task in (concluding, *self._contexts):
                    task.cancel()
        except* WebSocketDisconnect:
            pass
        finally:
            # Those whose tasks were cancelled before they had begun.
            for context in self._contexts.values():
                await context.aclose()
            # What is in it was cancelled while it ended: such a task refers to this connection.
            self._contexts.clear()

    async def _read(self) -> None:
        """Take what the client sends, until it goes."""
        now = asyncio.get_running_loop().time
        if self._is_key is not None and self._has_shown_credentials():
            self._end_input(messages.INVALID_KEY)
        patience_s = KEY_TIMEOUT_S if self._is_key is not None else self._query.inactivity_timeout_s
        silent_at = now() + patience_s
        while True:
            try:
                async with asyncio.timeout_at(self._next_due(silent_at)):
                    received = await self._websocket.receive()
            except TimeoutError:
                for context in self._contexts.values():
                    context.flush_if_due(now())
                if silent_at <= now():
                    self._end_input(messages.INVALID_KEY if self._is_key else input_timeout(patience_s))
                continue
            if received["type"] == "websocket.disconnect":
                return
            try:
                await self._hear(received.get("text"))
            except ProtocolError as refused:
                self._end_input(refused.error_message)
            except SpeechError as error:
                self._end_input(error_message(error, self._voice_id))
            patience_s = self._query.inactivity_timeout_s
            silent_at = now() + patience_s

    def _has_shown_credentials(self) -> bool:
        """Whether the client sent a key with its handshake, which then was a wrong one."""
        websocket = self._websocket
        return any(name in websocket.headers for name in _CREDENTIALS) or any(
            name in websocket.query_params for name in _CREDENTIAL_PARAMETERS
        )

    def _next_due(self, silent_at: float) -> float | None:
        """When there is something to do although nothing came, by the event loop's clock."""
        if self._input_ended.is_set():
            return None
        return min(
            [silent_at, *(each.flush_at for each in self._contexts.values() if each.flush_at is not None)]
        )

    async def _hear(self, raw: str | None) -> None:
        """Take one message. Raises Refused and SpeechError."""
        if self._input_ended.is_set() and self._failure is not None:
            return
        if raw is None:
            raise BadMessage("binary messages are not supported")
        message = messages.parse_message(raw)
        if self._is_key is not None:
            if message.key is None or not self._is_key(strip_bearer(message.key)):
                self._end_input(messages.INVALID_KEY)
                return
            self._is_key = None
        if not self._begun:
            self._begun = True
            language = self._query.language
            self._voice = resolve_voice(self._service, self._voice_id, self._settings, language)
        await self._handle_message(message)

    async def _handle_message(self, message: ClientMessage) -> None:
        """Do what a message says. Raises Refused and SpeechError."""
        raise NotImplementedError

    def _new_context(self) -> Context:
        timing = self._settings.timing
        absolute = timing == "absolute" or (timing == "auto" and self._query.sync_alignment)
        output = OutputOptions(self._query.audio_format, absolute, strict=timing == "relative")
        return Context(self._start, output, auto_mode=self._query.auto_mode)

    def _start(self, voice: VoiceSettings) -> SpeechSession:
        """A session for a context. Raises Busy and InvalidRequest."""
        request = SpeechRequest(
            voice=self._voice,
            language=self._query.language,
            languages=accept_languages(self._websocket.headers),
            speed=voice.speed,
            normalize=self._query.normalize,
            sampling=voice.sampling(self._query.seed),
        )
        client = self._websocket.client
        return self._service.open(
            request,
            protocol=PROTOCOL,
            client=client.host if client else "",
            max_text=self._settings.max_text,
            priorities=self._precedence,
        )

    def _start_sending(
        self, context: Context, writer: MessageWriter, before: asyncio.Task[None] | None = None
    ) -> asyncio.Task[None]:
        """Send what ``context`` says, behind what ``before`` sends."""
        task = self._group.create_task(self._send_context(context, writer, before), name="elevenlabs context")
        self._contexts[task] = context
        return task

    async def _send_context(
        self, context: Context, writer: MessageWriter, before: asyncio.Task[None] | None
    ) -> None:
        if before is not None:
            await asyncio.wait([before])
        try:
            async for data, timing in context.audio():
                await self._outgoing.send(writer.audio(data, timing), low_priority=lambda: context.superseded)
            if not context.input_ended:
                # The server stops, and waits for no more text.
                raise SpeechCancelled
            if self._failure is None or writer.multi:
                await self._outgoing.send(writer.final())
        except SpeechError as error:
            await self._fail_context(writer, error)
        finally:
            await context.aclose()
            # Without a name for the task: it keeps its error, that this frame, and the frame would keep it,
            # a cycle with all that the context held, until the garbage collector runs.
            del self._contexts[cast("asyncio.Task[None]", asyncio.current_task())]

    async def _fail_context(self, writer: MessageWriter, error: SpeechError) -> None:
        """A context ends by ``error``, and the connection with it."""
        self._end_input(error_message(error, self._voice_id))

    def _end_input(self, failure: ErrorMessage | None = None) -> None:
        """No more is taken. All that was is spoken; then the connection ends, by its first failure if any."""
        if self._failure is None:
            self._failure = failure
        if not self._input_ended.is_set():
            self._input_ended.set()
            for context in self._contexts.values():
                context.finish()

    async def _conclude(self) -> None:
        """Wait for the end, and for what is still spoken; say why, and close."""
        await self._input_ended.wait()
        while self._contexts:
            await asyncio.wait(self._contexts)
        if self._failure is None:
            await self._close(1000, "")
        else:
            await self._outgoing.send(MessageWriter().error(self._failure))
            await self._close(self._failure.code, self._failure.message)

    async def _close(self, code: int, sentence: str) -> None:
        reason = sentence.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
        with suppress(RuntimeError):
            await self._websocket.close(code, reason)
