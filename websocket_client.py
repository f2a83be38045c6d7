"""Client of the Kani text-to-speech server.

Copy this file and websocket_config.py into any project: they need Python 3.11 and `websockets` (13 or later),
nothing else. As a program, which is websocket_speak.py beside it, it speaks:

    python websocket_client.py "¡Hola! ¿Cómo estás?" -o hola.wav
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import inspect
import itertools
import json
import logging
import random
import runpy
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.protocol import State

from websocket_config import (
    DEFAULT_CONFIG,
    MESSAGE_TYPES,
    STREAMING_CONFIG,
    WEBSOCKET_HOST,
    WEBSOCKET_PING_INTERVAL,
    WEBSOCKET_PING_TIMEOUT,
    WEBSOCKET_PORT,
)

logger = logging.getLogger(__name__)

Metadata = dict[str, Any]
ChunkCallback = Callable[[bytes, Metadata], Awaitable[None] | None]

_LAST = {MESSAGE_TYPES[key] for key in ("TTS_RESPONSE", "TTS_STREAM_COMPLETE", "PONG")}
_CANCEL = json.dumps({"type": "tts_cancel", "data": {}})
_CANCEL_TIMEOUT_S = 5.0
_FIRST_DELAY_S, _LONGEST_DELAY_S = 0.25, 8.0
_LOCAL = ("localhost", "127.0.0.1", "::1")
# An answer in one piece comes when all of it is spoken: the time it may take grows with the text.
_SECONDS_PER_CHARACTER = 0.1
# Close codes by which a server refuses the message itself; sending it again would end the same way.
_REFUSALS = {1003, 1007, 1008, 1009}


class KaniTTSError(Exception):
    """Anything that kept speech from arriving; `str(error)` is a sentence for people."""


class NotConnected(KaniTTSError, ConnectionError):
    """There is no connection to the server, or it was lost."""


class AuthenticationFailed(NotConnected):
    """The server wants an API key, or another one."""


class AnswerTimeout(KaniTTSError, TimeoutError):
    """The server kept silent for too long."""


class UnexpectedAnswer(KaniTTSError):
    """The peer said something that is not the Kani protocol."""


class RequestFailed(KaniTTSError):
    """The server answered with an error; `message` is its sentence."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class RequestCancelled(RequestFailed):
    """The request was ended by `cancel()`."""


@dataclass(frozen=True, slots=True)
class SpeechPart:
    """A piece of a stream: raw little-endian 16-bit mono samples and what the server says about them."""

    pcm: bytes
    metadata: Metadata

    @property
    def sample_rate(self) -> int:
        """Hertz."""
        return int(self.metadata["sample_rate"])

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.pcm) / (2 * self.sample_rate)


class KaniTTSClient:
    """One connection to a server; it speaks one request at a time, and concurrent callers wait their turn.

    url: replaces host and port (`wss://…`). open_timeout: seconds for one try to connect. chunk_timeout: the
    longest silence within a stream, in seconds; a whole answer may take 0.1 s a character more.
    reconnect_tries: how often a request tries to get a lost connection back, waiting longer each time. It is
    repeated on the new connection, once, and only if nothing had come back on the old one.
    last_answer: what the server said at the end of the latest request: status, message, metadata.
    """

    def __init__(
        self,
        host: str = WEBSOCKET_HOST,
        port: int = WEBSOCKET_PORT,
        *,
        api_key: str | None = None,
        url: str | None = None,
        open_timeout: float = WEBSOCKET_PING_TIMEOUT,
        chunk_timeout: float = STREAMING_CONFIG["chunk_timeout"],
        reconnect_tries: int = 6,
    ) -> None:
        self.host, self.port = host, port
        self.websocket: ClientConnection | None = None
        self.last_answer: dict[str, Any] = {}
        self.open_timeout, self.chunk_timeout = open_timeout, chunk_timeout
        self.reconnect_tries = reconnect_tries
        self._url, self._api_key = url, api_key
        self._wanted = False
        self._opening = asyncio.Lock()
        self._turn = asyncio.Lock()
        self._turn_of: asyncio.Task[Any] | None = None

    @property
    def url(self) -> str:
        """Where the server is."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self._url or f"ws://{host}:{self.port}"

    @property
    def connected(self) -> bool:
        """Whether the connection is open at this moment."""
        return self.websocket is not None and self.websocket.state is State.OPEN

    async def __aenter__(self) -> Self:
        """Connect. Raises NotConnected."""
        await self._open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.disconnect()

    async def connect(self) -> bool:
        """Connect, in one try; False when that fails (the reason is logged)."""
        try:
            await self._open()
        except NotConnected as failure:
            logger.error("%s", failure)
            return False
        return True

    async def disconnect(self) -> None:
        """Close the connection; a request under way ends with NotConnected."""
        async with self._opening:
            self._wanted = False
            if self.websocket is not None:
                await self.websocket.close()

    async def ping(self) -> bool:
        """Whether the server answers; waits for the request under way."""
        try:
            async with contextlib.aclosing(self._exchange("PING", {}, self.chunk_timeout)) as answers:
                kind, _ = await anext(answers)
        except KaniTTSError as failure:
            logger.error("ping: %s", failure)
            return False
        return kind == MESSAGE_TYPES["PONG"]

    async def send_tts_request(
        self, text: str, config: Mapping[str, Any] | None = None, reference_audio: bytes | None = None
    ) -> bytes:
        """Speak `text` and wait for the whole of it; returns a WAV file (16 bit, mono).

        config: the protocol's fields, in place of DEFAULT_CONFIG; reference_audio: an audio file. Raises
        NotConnected (never connected, or lost and not to be had back), RequestFailed, AnswerTimeout,
        UnexpectedAnswer.
        """
        patience = self.chunk_timeout + _SECONDS_PER_CHARACTER * len(text)
        request = _request(text, config, reference_audio)
        async with contextlib.aclosing(self._exchange("TTS_REQUEST", request, patience)) as answers:
            kind, data = await anext(answers)
            if kind != MESSAGE_TYPES["TTS_RESPONSE"]:
                raise UnexpectedAnswer(f"{self.url} answered a tts_request with {kind}")
        return _content(data)[0]

    async def stream_tts_request(
        self,
        text: str,
        config: Mapping[str, Any] | None = None,
        reference_audio: bytes | None = None,
        chunk_callback: ChunkCallback | None = None,
        *,
        on_chunk: ChunkCallback | None = None,
    ) -> bool:
        """Speak `text`, calling `chunk_callback(pcm, metadata)` for each piece as it comes.

        The callback may be a coroutine function; `on_chunk` is another name for it. Returns True when all was
        spoken, False on any failure, the callback's own included (the reason is logged).
        """
        if chunk_callback is not None and on_chunk is not None:
            raise TypeError("give chunk_callback or on_chunk, not both")
        callback = chunk_callback or on_chunk
        try:
            async with contextlib.aclosing(self.stream(text, config, reference_audio)) as parts:
                async for part in parts:
                    try:
                        outcome = callback(part.pcm, part.metadata) if callback else None
                        if inspect.isawaitable(outcome):
                            await outcome
                    except Exception:  # it is the caller's code, and False is what the caller is promised
                        logger.exception("the chunk callback failed")
                        return False
        except KaniTTSError as failure:
            logger.error("streaming: %s", failure)
            return False
        return True

    def stream(
        self, text: str, config: Mapping[str, Any] | None = None, reference_audio: bytes | None = None
    ) -> AsyncGenerator[SpeechPart, None]:
        """Speak `text` and iterate over the audio as it comes; arguments and errors as in `send_tts_request`.

        Leaving the loop cancels what is left to speak, and the connection stays usable. From inside the loop
        nothing else can be asked but `cancel()`, after which the loop raises RequestCancelled.
        """
        return self._parts(_request(text, config, reference_audio))

    async def cancel(self) -> bool:
        """End the request under way, wherever it was made; False if there is none."""
        websocket = self.websocket
        if websocket is None or not self._turn.locked():
            return False
        with contextlib.suppress(ConnectionClosed):
            await websocket.send(_CANCEL)
            return True
        return False

    async def _parts(self, request: Mapping[str, Any]) -> AsyncGenerator[SpeechPart, None]:
        exchange = self._exchange("TTS_STREAM_REQUEST", request, self.chunk_timeout)
        async with contextlib.aclosing(exchange) as answers:
            async for kind, data in answers:
                if kind == MESSAGE_TYPES["TTS_STREAM_CHUNK"]:
                    yield SpeechPart(*_content(data))
                elif kind != MESSAGE_TYPES["TTS_STREAM_COMPLETE"]:
                    _content(data)  # raises what an error answer says
                    raise UnexpectedAnswer(f"{self.url} answered a tts_stream_request with {kind}")

    async def _exchange(
        self, kind: str, data: Mapping[str, Any], patience: float
    ) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
        """Send one message and yield its answers up to the last; closing the generator early cancels it."""
        message = json.dumps({"type": MESSAGE_TYPES[kind], "data": data})
        async with self._taking_turn():
            answered = repeated = False
            while True:
                websocket = await self._reconnected()
                finished = False
                try:
                    await websocket.send(message)
                    while not finished:
                        answer = await self._receive(websocket, patience)
                        answered, finished = True, answer[0] in _LAST
                        if finished:
                            self.last_answer = {k: v for k, v in answer[1].items() if k != "audio"}
                        yield answer
                    return
                except ConnectionClosed as closed:
                    failure = self._lost(closed)
                    if answered or repeated or isinstance(failure, RequestFailed):
                        raise failure from closed
                    logger.info("%s; asking again", failure)
                    repeated = True
                except (AnswerTimeout, UnexpectedAnswer):
                    await websocket.close()
                    raise
                finally:
                    if not finished and websocket.state is State.OPEN:
                        await self._abandon(websocket)

    @contextlib.asynccontextmanager
    async def _taking_turn(self) -> AsyncGenerator[None, None]:
        # A stream whose loop was left needs a moment to be cancelled; one that this task still reads would
        # make the task wait for itself for ever.
        own = self._turn_of is not None and self._turn_of is asyncio.current_task()
        try:
            async with asyncio.timeout(2 * _CANCEL_TIMEOUT_S if own else None):
                await self._turn.acquire()
        except TimeoutError:
            raise KaniTTSError("this task is still reading a stream: finish or close it first") from None
        self._turn_of = asyncio.current_task()
        try:
            yield
        finally:
            self._turn_of = None
            self._turn.release()

    async def _open(self) -> ClientConnection:
        async with self._opening:
            if self.websocket is not None and self.connected:
                return self.websocket
            # A proxy of the environment is for other hosts; before websockets 15 there is none to turn off.
            options: dict[str, Any] = {}
            if urlsplit(self.url).hostname in _LOCAL and "proxy" in inspect.signature(connect).parameters:
                options["proxy"] = None
            headers = {"Authorization": f"Bearer {self._api_key}"} if self._api_key else None
            try:
                self.websocket = await connect(
                    self.url,
                    additional_headers=headers,
                    compression=None,
                    max_size=None,
                    open_timeout=self.open_timeout,
                    ping_interval=WEBSOCKET_PING_INTERVAL,
                    ping_timeout=WEBSOCKET_PING_TIMEOUT,
                    close_timeout=_CANCEL_TIMEOUT_S,
                    **options,
                )
            except InvalidStatus as refusal:
                status = refusal.response.status_code
                said = (refusal.response.body or b"").decode("utf-8", "replace").strip()[:200]
                error = AuthenticationFailed if status in (401, 403) else NotConnected
                raise error(f"{self.url} refused the connection ({status}) {said}".strip()) from refusal
            except (OSError, WebSocketException) as failure:  # a TimeoutError is an OSError
                refused = "Connect call failed" in str(failure)
                reason = "no server listens there" if refused else str(failure) or type(failure).__name__
                raise NotConnected(f"cannot connect to {self.url}: {reason}") from failure
            self._wanted = True
            logger.info("connected to %s", self.url)
            return self.websocket

    async def _reconnected(self) -> ClientConnection:
        """The open connection; a lost one is opened anew. Raises NotConnected."""
        for attempt in itertools.count(1):
            if not self._wanted:
                break
            try:
                return await self._open()
            except AuthenticationFailed:
                raise
            except NotConnected as failure:
                logger.warning("%s (try %d of %d)", failure, attempt, self.reconnect_tries)
                if attempt >= self.reconnect_tries:
                    raise
            longest = min(_FIRST_DELAY_S * 2 ** (attempt - 1), _LONGEST_DELAY_S)
            await asyncio.sleep(longest * random.uniform(0.5, 1))  # noqa: S311
        raise NotConnected("not connected: call connect() first")

    async def _receive(self, websocket: ClientConnection, patience: float) -> tuple[str, dict[str, Any]]:
        try:
            async with asyncio.timeout(patience):
                message = json.loads(await websocket.recv())
        except TimeoutError:
            raise AnswerTimeout(f"{self.url} said nothing for {patience:g} s") from None
        except ValueError:
            raise UnexpectedAnswer(f"{self.url} sent something that is not JSON") from None
        match message:
            case {"type": str(kind), "data": dict(data)}:
                return kind, data
        raise UnexpectedAnswer(f"{self.url} sent a message without type and data")

    async def _abandon(self, websocket: ClientConnection) -> None:
        """Have the server stop, and read what it had sent: the next message then answers the next request."""
        clean = False
        try:
            async with asyncio.timeout(_CANCEL_TIMEOUT_S):
                await websocket.send(_CANCEL)
                while not clean:
                    clean = (await self._receive(websocket, _CANCEL_TIMEOUT_S))[0] in _LAST
        except (ConnectionClosed, KaniTTSError, TimeoutError) as failure:
            logger.info("the server did not stop: %s", failure or type(failure).__name__)
        finally:
            if not clean:
                await websocket.close()

    def _lost(self, closed: ConnectionClosed) -> NotConnected | RequestFailed:
        if closed.rcvd is not None and closed.rcvd.code in _REFUSALS:
            return RequestFailed(f"{self.url} refused the message: {closed.rcvd.reason or closed.rcvd.code}")
        return NotConnected(f"the connection to {self.url} was lost: {closed}")


def _request(text: str, config: Mapping[str, Any] | None, reference_audio: bytes | None) -> dict[str, Any]:
    request = {"text": text, "config": dict(DEFAULT_CONFIG if config is None else config)}
    if reference_audio:
        request["reference_audio"] = base64.b64encode(reference_audio).decode("ascii")
    return request


def _content(data: Mapping[str, Any]) -> tuple[bytes, Metadata]:
    """The audio of an answer and its metadata. Raises RequestFailed, UnexpectedAnswer."""
    if data.get("status") == "error":
        message = str(data.get("message"))
        raise RequestCancelled(message) if message == "cancelled" else RequestFailed(message)
    try:
        return base64.b64decode(data["audio"], validate=True), {**data["metadata"]}
    except (KeyError, TypeError, ValueError):
        raise UnexpectedAnswer("an answer without audio and metadata") from None


class SpanishAITTSIntegration:
    """A Spanish assistant's voice: connects by itself, speaks friendly Spanish, returns rather than raises.

    voice_config: protocol fields that differ from DEFAULT_CONFIG with emotion "friendly".
    """

    def __init__(
        self,
        tts_host: str = WEBSOCKET_HOST,
        tts_port: int = WEBSOCKET_PORT,
        *,
        api_key: str | None = None,
        url: str | None = None,
    ) -> None:
        self.tts_client = KaniTTSClient(tts_host, tts_port, api_key=api_key, url=url)
        self._initialized = False

    @property
    def connected(self) -> bool:
        """Whether the connection is open at this moment."""
        return self.tts_client.connected

    async def __aenter__(self) -> Self:
        await self.initialize()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.disconnect()

    async def initialize(self) -> bool:
        """Connect and see whether the server answers."""
        self._initialized = await self.tts_client.connect() and await self.tts_client.ping()
        return self._initialized

    async def generate_speech(
        self,
        text: str,
        voice_config: Mapping[str, Any] | None = None,
        *,
        reference_audio: bytes | None = None,
    ) -> bytes | None:
        """Speak `text`; returns a WAV file, or None on failure (the reason is logged)."""
        if not (self._initialized or await self.initialize()):
            return None
        try:
            return await self.tts_client.send_tts_request(text, _spanish(voice_config), reference_audio)
        except KaniTTSError as failure:
            logger.error("speech: %s", failure)
            return None

    async def stream_speech(
        self,
        text: str,
        voice_config: Mapping[str, Any] | None = None,
        on_chunk: ChunkCallback | None = None,
        *,
        chunk_callback: ChunkCallback | None = None,
        reference_audio: bytes | None = None,
    ) -> bool:
        """Speak `text`, calling `on_chunk(pcm, metadata)` for each piece, as `stream_tts_request` does."""
        if not (self._initialized or await self.initialize()):
            return False
        return await self.tts_client.stream_tts_request(
            text, _spanish(voice_config), reference_audio, chunk_callback, on_chunk=on_chunk
        )

    async def disconnect(self) -> None:
        """Close the connection."""
        self._initialized = False
        await self.tts_client.disconnect()


def _spanish(voice_config: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        **DEFAULT_CONFIG,
        "language": "spanish",
        "emotion": "friendly",
        "speed": 1.0,
        **(voice_config or {}),
    }


if __name__ == "__main__":
    # The program imports the library, never the other way round: it stays at home when this file is copied.
    runpy.run_path(str(Path(__file__).with_name("websocket_speak.py")), run_name="__main__")
