"""Base of ElevenLabs' WebSocket connections: authentication, timeouts, contexts and the closing handshake."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import cast

from starlette.websockets import WebSocketDisconnect

from kani.core.errors import SpeechCancelled, SpeechError
from kani.core.service import SpeechService
from kani.core.session.context import Terms
from kani.core.session.priority import SessionPriorities
from kani.core.session.session import SpeechSession
from kani.core.session.voice_resolver import LanguageMemory
from kani.core.types import SpeechRequest
from kani.protocols.elevenlabs.plugin import ElevenLabsSettings
from kani.protocols.elevenlabs.voice_ids import resolve_voice
from kani.protocols.elevenlabs.voice_settings import VoiceSettings
from kani.protocols.elevenlabs.websocket import messages
from kani.protocols.elevenlabs.websocket.context import Context
from kani.protocols.elevenlabs.websocket.query import Query
from kani.protocols.elevenlabs.websocket.timed_audio import AlignmentClock, TimedEncoder
from kani.protocols.shared.connection import Client
from kani.protocols.shared.errors import BadMessage

PROTOCOL = "elevenlabs"

KEY_TIMEOUT_S = 10.0
"""Time for the first message of a client that has sent no API key with its handshake."""

_CREDENTIAL_HEADERS = ("xi-api-key", "authorization")
_CREDENTIAL_PARAMETERS = ("authorization", "single_use_token")


@dataclass(eq=False)
class BaseConnection:
    """One client. Text received before an error is spoken and sent before the error."""

    _client: Client
    _service: SpeechService
    _settings: ElevenLabsSettings
    _query: Query
    _voice: str | None = None
    _voice_resolved: bool = False
    _error: messages.ErrorMessage | None = None
    _input_ended: asyncio.Event = field(default_factory=asyncio.Event)
    _priorities: SessionPriorities = field(default_factory=SessionPriorities)
    _memory: LanguageMemory = field(default_factory=LanguageMemory)
    _contexts: dict[asyncio.Task[None], Context] = field(default_factory=dict)
    """By the task that sends their audio."""

    def __post_init__(self) -> None:
        websocket = self._client.websocket
        self._voice_id: str = websocket.path_params.get("voice_id", "")  # none of a dialogue
        # Set by the access middleware while the client still has to send a key.
        self._is_key: Callable[[str], bool] | None = websocket.scope.get("key_check")
        self._sender = PrioritySender(self._client.send)

    async def run(self) -> None:
        """Serve until all is spoken, the client disconnects, or an unexpected error is raised."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                closing = group.create_task(self._close_when_done(), name="elevenlabs connection")
                await self._receive()
                for task in (closing, *self._contexts):
                    task.cancel()
        except* WebSocketDisconnect:
            pass
        finally:
            # Contexts with tasks that were cancelled before their first step.
            for context in self._contexts.values():
                await context.aclose()
            # A task that was cancelled while it ended refers to this connection: a cycle, unless removed.
            self._contexts.clear()

    async def _receive(self) -> None:
        if self._is_key is not None and self._sent_credentials():
            self._end_input(messages.INVALID_KEY)
        timeout_s = KEY_TIMEOUT_S if self._is_key is not None else self._query.inactivity_timeout_s
        while True:
            try:
                async with asyncio.timeout(None if self._input_ended.is_set() else timeout_s):
                    text = await self._client.receive()
            except TimeoutError:
                self._end_input(messages.INVALID_KEY if self._is_key else messages.input_timeout(timeout_s))
                continue
            if text is None:
                return
            try:
                await self._handle_text(text)
            except BadMessage as error:
                self._end_input(messages.invalid_message(str(error)))
            except messages.ProtocolError as error:
                self._end_input(error.error_message)
            except SpeechError as error:
                self._end_input(messages.error_message(error, self._voice_id))
            timeout_s = self._query.inactivity_timeout_s

    def _sent_credentials(self) -> bool:
        """Return whether the handshake had a key, which was invalid if one is still needed."""
        websocket = self._client.websocket
        return any(name in websocket.headers for name in _CREDENTIAL_HEADERS) or any(
            name in websocket.query_params for name in _CREDENTIAL_PARAMETERS
        )

    async def _handle_text(self, raw: str | bytes) -> None:
        """Handle one message. Raises BadMessage, ProtocolError, SpeechError."""
        if self._input_ended.is_set() and self._error is not None:
            return
        if isinstance(raw, bytes):
            raise BadMessage("binary messages are not supported")
        message = self._parse(raw)
        if self._is_key is not None:
            if message.key is None or not self._is_key(messages.strip_bearer(message.key)):
                self._end_input(messages.INVALID_KEY)
                return
            self._is_key = None
        if not self._voice_resolved:
            self._voice_resolved = True
            if self._voice_id:
                self._voice = self._find_voice(self._voice_id)
        await self._handle_message(message)

    def _parse(self, raw: str) -> messages.ClientMessage:
        """Parse a message. Raises BadMessage and InvalidRequest."""
        return messages.parse_message(raw)

    def _find_voice(self, voice_id: str) -> str | None:
        """Find this server's voice; None is the default voice of the text's language. Raises UnknownVoice."""
        return resolve_voice(self._service, voice_id, self._settings, self._query.language)

    async def _handle_message(self, message: messages.ClientMessage) -> None:
        """Handle one message of an authenticated client. Raises BadMessage, ProtocolError, SpeechError."""
        raise NotImplementedError

    def _new_context(self) -> Context:
        timing, query = self._settings.own.times, self._query
        absolute = timing == "absolute" or (timing == "auto" and query.sync_alignment)
        return Context(
            partial(self._open_session, self._voice),
            # Clients join the contexts' streams, and a tag between two MP3s costs a frame.
            TimedEncoder(replace(query.audio_format, marked=False), AlignmentClock(absolute=absolute)),
            # A format that fills frames first would end them elsewhere.
            cut=not (absolute or query.audio_format.slow),
            strict=timing == "relative",
            auto_mode=query.auto_mode,
            audio_tags=query.audio_tags,
        )

    def _open_session(self, voice: str | None, voice_settings: VoiceSettings) -> SpeechSession:
        """Open the session of a context. Raises Busy and InvalidRequest."""
        request = SpeechRequest(
            voice=voice,
            language=self._query.language,
            quotations=self._query.quotations,
            languages=self._client.languages,
            speed=voice_settings.speed,
            normalize=self._query.normalize,
            sampling=voice_settings.sampling(self._query.seed),
        )
        return self._service.open(
            request,
            protocol=PROTOCOL,
            client=self._client.address,
            memory=self._memory,
            terms=Terms(max_text=self._settings.max_text, priorities=self._priorities),
        )

    def _start_sending(
        self, context: Context, writer: messages.MessageWriter, predecessor: asyncio.Task[None] | None = None
    ) -> asyncio.Task[None]:
        """Start a task that sends the audio of ``context``, after ``predecessor`` has ended."""
        sending = self._send_context(context, writer, predecessor)
        task = self._group.create_task(sending, name="elevenlabs context")
        self._contexts[task] = context
        return task

    async def _send_context(
        self, context: Context, writer: messages.MessageWriter, predecessor: asyncio.Task[None] | None
    ) -> None:
        if predecessor is not None:
            await asyncio.wait([predecessor])
        try:
            async for data, alignments in context.audio():
                message = writer.audio(data, alignments)
                await self._sender.send(
                    message, low_priority=lambda: context.superseded, dropped=lambda: context.interrupted
                )
                context.audible = True
            if not context.input_ended:
                # The audio ends before the input only when the server is stopping.
                raise SpeechCancelled
            if self._error is None or writer.multi:
                await self._sender.send(writer.final())
        except SpeechError as error:
            await self._fail_context(writer, error)
        finally:
            await context.aclose()
            # Without a variable for the task: the task keeps its error, the error this frame, and the frame
            # would keep the task: a cycle with all that the context holds, until garbage is collected.
            del self._contexts[cast("asyncio.Task[None]", asyncio.current_task())]

    async def _fail_context(self, writer: messages.MessageWriter, error: SpeechError) -> None:
        self._end_input(messages.error_message(error, self._voice_id))

    def _end_input(self, error: messages.ErrorMessage | None = None) -> None:
        """Ignore further messages; the connection closes once all is spoken, by its first error if any."""
        if self._error is None:
            self._error = error
        if not self._input_ended.is_set():
            self._input_ended.set()
            for context in self._contexts.values():
                context.finish()

    async def _close_when_done(self) -> None:
        """Wait for the end of the input and of all contexts, then send the error, if any, and close."""
        await self._input_ended.wait()
        while self._contexts:
            await asyncio.wait(self._contexts)
        if self._error is None:
            await self._client.close()
        else:
            await self._sender.send(messages.MessageWriter().error(self._error))
            await self._client.close(self._error.code, self._error.message)


def _never() -> bool:
    return False


class PrioritySender:
    """Sends messages one at a time: Starlette's WebSocket supports a single sender."""

    def __init__(self, send: Callable[[str], Awaitable[None]]) -> None:
        self._send = send
        self._lock = asyncio.Lock()
        self._waiting = 0  # messages of normal priority that are not sent yet
        self._none_waiting = asyncio.Event()
        self._none_waiting.set()

    async def send(
        self, message: str, low_priority: Callable[[], bool] = _never, dropped: Callable[[], bool] = _never
    ) -> None:
        """Send a message; while ``low_priority()`` is true, it waits for all other messages.

        It is dropped if ``dropped()`` is true when its turn has come.
        """
        while low_priority() and self._waiting:
            await self._none_waiting.wait()
        if low_priority():
            await self._write(message, dropped)
            return
        self._waiting += 1
        self._none_waiting.clear()
        try:
            await self._write(message, dropped)
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._none_waiting.set()

    async def _write(self, message: str, dropped: Callable[[], bool]) -> None:
        async with self._lock:
            if not dropped():
                await self._send(message)
