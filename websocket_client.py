"""Client of the Kani text-to-speech server.

Copy this file and websocket_config.py into any project: they need Python 3.11 and `websockets` (13 or later),
nothing else. As a program, which is client/command.py beside it, it speaks:

    python websocket_client.py "¡Hola! ¿Cómo estás?" -o hola.wav
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import inspect
import json
import logging
import random
import runpy
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
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
_PING = json.dumps({"type": MESSAGE_TYPES["PING"], "data": {}})
_CANCEL = json.dumps({"type": "tts_cancel", "data": {}})
_CANCEL_TIMEOUT_S = 5.0
_FIRST_DELAY_S, _LONGEST_DELAY_S = 0.25, 8.0
_TRIES_OF_AN_ASSISTANT = 13  # half a minute at least: as long as a server may take to start
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
# An answer in one piece comes when all of it is spoken: the time it may take grows with the text.
_SECONDS_PER_CHARACTER = 0.1
# Close codes by which a server refuses the message itself; sending it again would end the same way.
_REFUSALS = {1003, 1007, 1008, 1009}


class KaniTTSError(Exception):
    """Anything that kept speech from arriving; `str(error)` is a sentence for people."""


class NotConnected(KaniTTSError, ConnectionError):
    """There is no connection to the server, or it was lost."""


class NoServer(NotConnected):
    """No server listens at the address."""


class AuthenticationFailed(NotConnected):
    """The server wants an API key, or another one."""


class AnswerTimeout(KaniTTSError, TimeoutError):
    """The server kept silent for too long."""


class UnexpectedAnswer(KaniTTSError):
    """The peer said something that is not the Kani protocol."""


class StreamLeftOpen(KaniTTSError):
    """Another stream of this client has the connection, and nobody reads on or closes it."""


class RequestFailed(KaniTTSError):
    """The server refused the request, or it is none that could be sent; `message` says why."""

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

    It serves one event loop at a time: in a new one (`asyncio.run` for every request, say) it connects anew.

    url: replaces host and port (`wss://…`). open_timeout: seconds for one try to connect. chunk_timeout: the
    longest silence within a stream, in seconds; a whole answer may take 0.1 s a character more. So long, too,
    do others wait for a stream that nobody reads.
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
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opening, self._turn = asyncio.Lock(), asyncio.Lock()
        self._waiting: set[asyncio.Timeout] = set()
        self._unread = False
        self._closing: AsyncGenerator[None, None] | None = None

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
        self._enter_loop()
        async with self._opening:
            self._wanted = False
            if self.websocket is not None:
                await self.websocket.close()

    async def ping(self) -> bool:
        """Whether the server answers; waits for the request under way."""
        try:
            async with contextlib.aclosing(self._exchange(_PING, self.chunk_timeout)) as answers:
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
        NotConnected (never connected, or lost and not to be had back), RequestFailed, StreamLeftOpen,
        AnswerTimeout, UnexpectedAnswer.
        """
        patience = self.chunk_timeout + _SECONDS_PER_CHARACTER * len(text)
        request = _request("TTS_REQUEST", text, config, reference_audio)
        async with contextlib.aclosing(self._exchange(request, patience)) as answers:
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
        return self._parts(_request("TTS_STREAM_REQUEST", text, config, reference_audio))

    async def cancel(self) -> bool:
        """End the request under way, wherever it was made; False if there is none."""
        self._enter_loop()
        websocket = self.websocket
        if websocket is None or not self._turn.locked():
            return False
        with contextlib.suppress(ConnectionClosed):
            await websocket.send(_CANCEL)
            return True
        return False

    async def _parts(self, request: str) -> AsyncGenerator[SpeechPart, None]:
        async with contextlib.aclosing(self._exchange(request, self.chunk_timeout)) as answers:
            async for kind, data in answers:
                if kind == MESSAGE_TYPES["TTS_STREAM_CHUNK"]:
                    yield SpeechPart(*_content(data))
                elif kind != MESSAGE_TYPES["TTS_STREAM_COMPLETE"]:
                    _content(data)  # raises what an error answer says
                    raise UnexpectedAnswer(f"{self.url} answered a tts_stream_request with {kind}")

    async def _exchange(
        self, message: str, patience: float
    ) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
        """Send one message and yield its answers up to the last; closing the generator early cancels it."""
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
                        with self._lying_unread():
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
        # Waiting for the server has limits of its own; a reader who doesn't read on has none. So this wait is
        # limited while an answer lies unread; a stream whose loop was just left is soon closed.
        self._enter_loop()
        turn = self._turn
        try:
            async with asyncio.timeout(self.chunk_timeout if self._unread else None) as limit:
                self._waiting.add(limit)
                try:
                    await turn.acquire()
                finally:
                    self._waiting.discard(limit)
        except TimeoutError:
            raise StreamLeftOpen(
                f"a stream of this client is still open, and nobody read it for {self.chunk_timeout:g} s:"
                " finish or close it first"
            ) from None
        try:
            yield
        finally:
            turn.release()

    @contextlib.contextmanager
    def _lying_unread(self) -> Iterator[None]:
        """Meanwhile the patience of those who wait for their turn runs out."""
        self._limit_waiting(asyncio.get_running_loop().time() + self.chunk_timeout)
        try:
            yield
        finally:
            self._limit_waiting(None)

    def _limit_waiting(self, when: float | None) -> None:
        self._unread = when is not None
        for limit in self._waiting:
            if not limit.expired():
                limit.reschedule(when)

    def _enter_loop(self) -> None:
        """Belong to the running event loop: connection and locks of another one don't work in it."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self.websocket, self._closing = loop, None, None
            self._opening, self._turn = asyncio.Lock(), asyncio.Lock()
            self._waiting, self._unread = set(), False

    async def _open(self) -> ClientConnection:
        self._enter_loop()
        async with self._opening:
            if self.websocket is not None and self.connected:
                return self.websocket
            options: dict[str, Any] = {}
            headers = {"Authorization": f"Bearer {self._api_key}"} if self._api_key else None
            try:
                # A proxy of the environment is for others; before websockets 15 there is none to turn off.
                if (
                    urlsplit(self.url).hostname in LOCAL_HOSTS
                    and "proxy" in inspect.signature(connect).parameters
                ):
                    options["proxy"] = None
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
            # A TimeoutError is an OSError; a host or port that cannot be is a ValueError.
            except (OSError, WebSocketException, ValueError) as failure:
                told = f"cannot connect to {self.url}: "
                if "Connect call failed" in str(failure):
                    raise NoServer(f"{told}no server listens there") from failure
                reason = str(failure) or type(failure).__name__
                if isinstance(failure, ssl.SSLError) and failure.reason == "WRONG_VERSION_NUMBER":
                    reason = "the server speaks no TLS; its address begins with ws://"
                raise NotConnected(f"{told}{reason}") from failure
            self._closing = _closed_with_the_loop(self.websocket)
            await anext(self._closing)
            self._wanted = True
            logger.info("connected to %s", self.url)
            return self.websocket

    async def _reconnected(self) -> ClientConnection:
        """The open connection; a lost one is opened anew. Raises NotConnected."""
        tries = 0
        while self._wanted:
            try:
                return await self._open()
            except AuthenticationFailed:
                raise
            except NotConnected as failure:
                tries += 1
                logger.warning("%s (try %d of %d)", failure, tries, self.reconnect_tries)
                if tries >= self.reconnect_tries:
                    raise
            longest = min(_FIRST_DELAY_S * 2 ** (tries - 1), _LONGEST_DELAY_S)
            await asyncio.sleep(longest * random.uniform(0.5, 1))  # noqa: S311
        raise NotConnected("not connected: call connect() first")

    async def _receive(self, websocket: ClientConnection, patience: float) -> tuple[str, dict[str, Any]]:
        try:
            async with asyncio.timeout(patience):
                raw = await websocket.recv()
        except TimeoutError:
            raise AnswerTimeout(f"{self.url} said nothing for {patience:g} s") from None
        return _read(raw, self.url)

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


async def _closed_with_the_loop(websocket: ClientConnection) -> AsyncGenerator[None, None]:
    # An event loop that ends closes the generators begun in it, but would leave its connections open. For a
    # closing handshake, which begins generators of its own, it is too late then.
    try:
        yield
    finally:
        websocket.transport.abort()
        await websocket.wait_closed()


def _request(kind: str, text: str, config: Mapping[str, Any] | None, reference_audio: bytes | None) -> str:
    """The message that asks for speech. Raises RequestFailed if its parts cannot be sent."""
    try:
        data: dict[str, Any] = {"text": text, "config": dict(DEFAULT_CONFIG if config is None else config)}
        if reference_audio is not None:
            data["reference_audio"] = base64.b64encode(reference_audio).decode("ascii")
        return json.dumps({"type": MESSAGE_TYPES[kind], "data": data}, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise RequestFailed(f"the request cannot be sent as JSON: {error}") from error


def _read(raw: str | bytes, url: str) -> tuple[str, dict[str, Any]]:
    """The type and the data of a message of the server at ``url``. Raises UnexpectedAnswer."""
    try:
        message = json.loads(raw)
    except (ValueError, RecursionError):
        raise UnexpectedAnswer(f"{url} sent something that is not JSON") from None
    match message:
        case {"type": str(kind), "data": dict(data)}:
            return kind, data
    raise UnexpectedAnswer(
        f"{url} does not speak Kani's protocol (a message came without type and data):"
        f" its server has that on another port, {WEBSOCKET_PORT} if nothing else is set"
    )


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

    voice_config: protocol fields that differ from DEFAULT_CONFIG with emotion "friendly". reconnect_tries: as
    KaniTTSClient has it; 13 of them wait 30 to 60 s for a server that is being restarted.
    """

    def __init__(
        self,
        tts_host: str = WEBSOCKET_HOST,
        tts_port: int = WEBSOCKET_PORT,
        *,
        api_key: str | None = None,
        url: str | None = None,
        reconnect_tries: int = _TRIES_OF_AN_ASSISTANT,
    ) -> None:
        self.tts_client = KaniTTSClient(
            tts_host, tts_port, api_key=api_key, url=url, reconnect_tries=reconnect_tries
        )
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
    friendly = {"language": "spanish", "emotion": "friendly", "speed": 1.0}
    return {**DEFAULT_CONFIG, **friendly, **(voice_config or {})}


if __name__ == "__main__":
    # The program imports the library, never the other way round: it stays at home when this file is copied.
    program = Path(__file__).with_name("client") / "command.py"
    if not program.exists():
        raise SystemExit("error: as a program this needs the folder client/ beside it: copy that, too")
    runpy.run_path(str(program), run_name="__main__")
