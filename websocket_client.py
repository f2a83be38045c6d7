"""Client of the Kani text-to-speech server.

Copy this file and websocket_config.py into any project: they need Python 3.11 and `websockets` (13 or later),
nothing else. As a program it runs kani/cli/client.py:

    python websocket_client.py "¡Hola! ¿Cómo estás?" -o hola.wav
"""

from __future__ import annotations

if __name__ == "__main__":
    # The program imports this library, never the reverse, so that this file can be copied without it. It ends
    # the process; it runs before the imports below, as it says what they lack.
    import runpy
    from importlib.util import find_spec

    if find_spec("kani") is None:
        raise SystemExit("error: as a program this needs the folder kani/ beside it: copy that, too")
    runpy.run_module("kani.cli.client", run_name="__main__")

import asyncio
import base64
import contextlib
import inspect
import json
import logging
import random
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus, WebSocketException
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
_STARTING_DELAY_S = 0.5
_ANOTHER_SERVER = "what answers there is no Kani server, or a proxy that does not reach it"
_STARTING = "the server is starting"  # its answer to a handshake until it is ready
_TRIES_OF_AN_ASSISTANT = 13  # half a minute at least, which a server may take to start
_LIMIT_OF_AN_ASSISTANT_S = 10.0  # a listener takes a longer silence for a failure
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
# A whole answer arrives when all of it is spoken, so its time limit grows with the text.
_SECONDS_PER_CHARACTER = 0.1
# Close codes of a server that refuses the message itself; a repetition would be refused too.
_REFUSALS = {1003, 1007, 1008, 1009}


class KaniTTSError(Exception):
    """Base of all failures; `str(error)` is a sentence for people."""


class NotConnected(KaniTTSError, ConnectionError):
    """The connection to the server is missing or lost."""


class NoServer(NotConnected):
    """No server listens at the address."""


class ServerStarting(NotConnected):
    """The server is there, and says that it is starting."""


class AuthenticationFailed(NotConnected):
    """The server requires an API key, or another one."""


class AnswerTimeout(KaniTTSError, TimeoutError):
    """The server sent nothing for too long."""


class UnexpectedAnswer(KaniTTSError):
    """The peer sent a message that is not of the Kani protocol."""


class StreamLeftOpen(KaniTTSError):
    """Another stream of this client holds the connection, and is neither read nor closed."""


class RequestFailed(KaniTTSError):
    """The server refused the request, or it cannot be sent; `message` is the reason."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class RequestCancelled(RequestFailed):
    """The request was ended by `cancel()`."""


@dataclass(frozen=True, slots=True)
class SpeechPart:
    """A piece of a stream: raw little-endian 16-bit mono samples and the server's metadata."""

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
    """One connection to a server, for one request at a time; concurrent callers wait their turn.

    It belongs to one event loop at a time: in a new one (`asyncio.run` for every request) it connects anew.

    url: replaces host and port (`wss://…`). open_timeout: seconds for one attempt to connect. start_timeout:
    longest wait for a server that says that it is starting, in seconds; 0 for none. chunk_timeout:
    longest gap within a stream, in seconds; a whole answer may take 0.1 s a character more. Other requests
    wait as long for a stream that is not read.
    reconnect_tries: attempts of a request to restore a lost connection, with growing pauses; they end also
    after reconnect_timeout seconds, if that is not None. The request is repeated on the new connection once,
    and only if the old one had brought no answer.
    last_answer: status, message and metadata at the end of the latest request.
    """

    def __init__(
        self,
        host: str = WEBSOCKET_HOST,
        port: int = WEBSOCKET_PORT,
        *,
        api_key: str | None = None,
        url: str | None = None,
        open_timeout: float = WEBSOCKET_PING_TIMEOUT,
        start_timeout: float = 120.0,
        chunk_timeout: float = STREAMING_CONFIG["chunk_timeout"],
        reconnect_tries: int = 6,
        reconnect_timeout: float | None = None,
    ) -> None:
        self.host, self.port = host, port
        self.websocket: ClientConnection | None = None
        self.last_answer: dict[str, Any] = {}
        self.open_timeout, self.start_timeout = open_timeout, start_timeout
        self.chunk_timeout = chunk_timeout
        self.reconnect_tries, self.reconnect_timeout = reconnect_tries, reconnect_timeout
        self._url, self._api_key = url, api_key
        self._wanted = False
        self._disconnects = 0
        self._failure: NotConnected | None = None  # of the latest connect()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opening, self._turn = asyncio.Lock(), asyncio.Lock()
        self._waiting: set[asyncio.Timeout] = set()
        self._unread = False
        self._closing: AsyncGenerator[None, None] | None = None

    @property
    def url(self) -> str:
        """Address of the server."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self._url or f"ws://{host}:{self.port}"

    @property
    def connected(self) -> bool:
        """True while the connection is open."""
        return self.websocket is not None and self.websocket.state is State.OPEN

    async def __aenter__(self) -> Self:
        """Connect, as `connect()` does. Raises NotConnected."""
        await self._open_once_started()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.disconnect()

    async def connect(self) -> bool:
        """Connect, in one attempt; return False when that fails (the reason is logged).

        While the server says that it is starting, wait for it, `start_timeout` seconds at most.
        """
        try:
            await self._open_once_started()
        except NotConnected as failure:
            logger.error("%s", failure)
            self._failure = failure
            return False
        return True

    async def disconnect(self) -> None:
        """Close the connection; a request under way ends with NotConnected."""
        self._enter_loop()
        async with self._opening:
            self._wanted, self._failure = False, None
            self._disconnects += 1
            if self.websocket is not None:
                await self.websocket.close()

    async def ping(self) -> bool:
        """Return True if the server answers; waits for the request under way."""
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
        """Speak `text` and return the whole speech as a WAV file (16 bit, mono).

        config: the protocol's fields, instead of DEFAULT_CONFIG; reference_audio: an audio file. Raises
        NotConnected (never connected, or lost and not restored), RequestFailed, StreamLeftOpen,
        AnswerTimeout, UnexpectedAnswer.
        """
        limit_s = self.chunk_timeout + _SECONDS_PER_CHARACTER * len(text)
        request = _request("TTS_REQUEST", text, config, reference_audio)
        async with contextlib.aclosing(self._exchange(request, limit_s)) as answers:
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
        """Speak `text`, calling `chunk_callback(pcm, metadata)` for each piece as it arrives.

        The callback may be a coroutine function; `on_chunk` is another name for it. Return True when all was
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
                    except Exception:  # the caller's code; its failure is False too
                        logger.exception("the chunk callback failed")
                        return False
        except KaniTTSError as failure:
            logger.error("streaming: %s", failure)
            return False
        return True

    def stream(
        self, text: str, config: Mapping[str, Any] | None = None, reference_audio: bytes | None = None
    ) -> AsyncGenerator[SpeechPart, None]:
        """Speak `text` and iterate over the audio; arguments and errors as in `send_tts_request`.

        Leaving the loop cancels the rest of the speech, and the connection stays usable. Inside the loop only
        `cancel()` can be called, after which the loop raises RequestCancelled.
        """
        return self._parts(_request("TTS_STREAM_REQUEST", text, config, reference_audio))

    async def cancel(self) -> bool:
        """End the request under way, from any task; return False if there is none."""
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
                    _content(data)  # raises the error of an error answer
                    raise UnexpectedAnswer(f"{self.url} answered a tts_stream_request with {kind}")

    async def _exchange(
        self, message: str, limit_s: float
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
                        answer = await self._receive(websocket, limit_s)
                        answered, finished = True, answer[0] in _LAST
                        if finished:
                            self.last_answer = {k: v for k, v in answer[1].items() if k != "audio"}
                        with self._unread_answer():
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
        # Waiting for the server has time limits of its own, a caller that stops reading a stream has none. So
        # this wait is limited while an answer is unread; a stream left by its loop is closed soon.
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
                f"a stream of this client is open and was not read for {self.chunk_timeout:g} s:"
                " finish or close it first"
            ) from None
        try:
            yield
        finally:
            turn.release()

    @contextlib.contextmanager
    def _unread_answer(self) -> Iterator[None]:
        """Limit the wait of queued requests while the body runs."""
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
        """Attach to the running event loop; connection and locks of another one do not work in it."""
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
                # No proxy for this machine; websockets before version 15 know none.
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
                detail = _sentence(bytes(refusal.response.body or b""))
                if status == 503 and _STARTING in detail:
                    raise ServerStarting(f"{self.url}: {_STARTING}") from refusal
                error = AuthenticationFailed if status in (401, 403) else NotConnected
                told = f"{self.url} refused the connection ({status})"
                raise error(f"{told}: {detail or _ANOTHER_SERVER}") from refusal
            # A TimeoutError is an OSError; an impossible host or port is a ValueError.
            except (OSError, WebSocketException, ValueError) as failure:
                prefix = f"cannot connect to {self.url}: "
                if "Connect call failed" in str(failure):
                    raise NoServer(f"{prefix}no server listens there") from failure
                raise NotConnected(f"{prefix}{_reason(failure)}") from failure
            self._closing = _closed_with_the_loop(self.websocket)
            await anext(self._closing)
            self._wanted, self._failure = True, None
            logger.info("connected to %s", self.url)
            return self.websocket

    async def _open_once_started(self) -> ClientConnection:
        """Return the open connection; waits for a server that starts. Raises NotConnected."""
        clock = asyncio.get_running_loop().time
        until, before, told = clock() + self.start_timeout, self._disconnects, False
        while True:
            try:
                return await self._open()
            except ServerStarting as failure:
                if clock() >= until:
                    raise ServerStarting(f"{failure}; waited for {self.start_timeout:g} s") from failure
                if not told:
                    logger.warning("%s; waiting for it, %g s at most", failure, self.start_timeout)
                told = True
            await asyncio.sleep(_STARTING_DELAY_S)
            if self._disconnects != before:
                raise NotConnected("disconnected while the server was starting")

    async def _reconnected(self) -> ClientConnection:
        """Return the open connection, restored if it was lost. Raises NotConnected."""
        try:
            async with asyncio.timeout(self.reconnect_timeout):
                return await self._open_in_tries()
        except TimeoutError:
            raise NotConnected(f"no connection to {self.url} in {self.reconnect_timeout:g} s") from None

    async def _open_in_tries(self) -> ClientConnection:
        tries = 0
        while self._wanted:
            try:
                return await self._open_once_started()
            except (AuthenticationFailed, ServerStarting):
                raise
            except NotConnected as failure:
                tries += 1
                logger.warning("%s (try %d of %d)", failure, tries, self.reconnect_tries)
                if tries >= self.reconnect_tries:
                    raise
            longest = min(_FIRST_DELAY_S * 2 ** (tries - 1), _LONGEST_DELAY_S)
            await asyncio.sleep(longest * random.uniform(0.5, 1))  # noqa: S311
        raise NotConnected(
            f"not connected: connect() failed: {self._failure}"
            if self._failure is not None
            else "not connected: call connect() first"
        )

    async def _receive(self, websocket: ClientConnection, limit_s: float) -> tuple[str, dict[str, Any]]:
        try:
            async with asyncio.timeout(limit_s):
                raw = await websocket.recv()
        except TimeoutError:
            raise AnswerTimeout(f"{self.url} sent nothing for {limit_s:g} s") from None
        return _read(raw, self.url)

    async def _abandon(self, websocket: ClientConnection) -> None:
        """Cancel on the server and read its last answers: the next message then answers the next request."""
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


def _sentence(body: bytes) -> str:
    """Return the error that a refusal tells, or the beginning of its text."""
    told = body[:2000].decode("utf-8", "replace").strip()
    with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
        told = json.loads(told)["error"]["message"]
    # Of a page there is nothing to tell.
    return "" if str(told).startswith("<") else " ".join(str(told)[:200].split())


def _reason(failure: Exception) -> str:
    """Return the reason of a connection that failed, and the remedy if there is one."""
    if isinstance(failure, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted here ({failure.verify_message}): name the certificate, or that "
            "of its authority, in SSL_CERT_FILE"
        )
    if isinstance(failure, ssl.SSLError) and failure.reason == "WRONG_VERSION_NUMBER":
        return "the server speaks no TLS; its address begins with ws://"
    if isinstance(failure, socket.gaierror):
        return "no machine of that name is known"
    if isinstance(failure, InvalidMessage):
        # It quotes the status line, such as that of HTTP/1.0.
        if str(failure.__cause__).partition(": ")[2].startswith("HTTP/"):
            return _ANOTHER_SERVER
        return "it does not answer in HTTP; the address of a server with TLS begins with wss://"
    if isinstance(failure, TimeoutError):
        return "it takes the connection and does not answer: it may be starting"
    if isinstance(failure, UnicodeError):
        return "no machine can have that name"
    return str(failure) or type(failure).__name__


async def _closed_with_the_loop(websocket: ClientConnection) -> AsyncGenerator[None, None]:
    # asyncio.run closes the async generators of its loop at the end, but not its connections. A closing
    # handshake would start further generators, which is too late then.
    try:
        yield
    finally:
        websocket.transport.abort()
        await websocket.wait_closed()


def _request(kind: str, text: str, config: Mapping[str, Any] | None, reference_audio: bytes | None) -> str:
    """Return the message of a request. Raises RequestFailed if its parts cannot be sent as JSON."""
    try:
        data: dict[str, Any] = {"text": text, "config": dict(DEFAULT_CONFIG if config is None else config)}
        if reference_audio is not None:
            data["reference_audio"] = base64.b64encode(reference_audio).decode("ascii")
        return json.dumps({"type": MESSAGE_TYPES[kind], "data": data}, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise RequestFailed(f"the request cannot be sent as JSON: {error}") from error


def _read(raw: str | bytes, url: str) -> tuple[str, dict[str, Any]]:
    """Return the type and the data of a message from ``url``. Raises UnexpectedAnswer."""
    try:
        message = json.loads(raw)
    except (ValueError, RecursionError):
        raise UnexpectedAnswer(f"{url} sent something that is not JSON") from None
    if isinstance(message, dict):
        kind, data = message.get("type"), message.get("data")
        if isinstance(kind, str) and isinstance(data, dict):
            return kind, data
    raise UnexpectedAnswer(
        f"{url} does not speak Kani's protocol (a message came without type and data):"
        f" its server has that on another port, {WEBSOCKET_PORT} if nothing else is set"
    )


def _content(data: Mapping[str, Any]) -> tuple[bytes, Metadata]:
    """Return the audio of an answer and its metadata. Raises RequestFailed, UnexpectedAnswer."""
    if data.get("status") == "error":
        message = str(data.get("message"))
        raise RequestCancelled(message) if message == "cancelled" else RequestFailed(message)
    try:
        return base64.b64decode(data["audio"], validate=True), {**data["metadata"]}
    except (KeyError, TypeError, ValueError):
        raise UnexpectedAnswer("an answer without audio and metadata") from None


class SpanishAITTSIntegration:
    """Voice of a Spanish assistant: connects by itself, speaks friendly Spanish, logs failures.

    voice_config: protocol fields that differ from DEFAULT_CONFIG with emotion "friendly". reconnect_tries,
    reconnect_timeout: see KaniTTSClient. Without a server a request fails after 10 s; with a timeout of 60
    the 13 tries wait 30 to 60 s, for a server that is being restarted.
    """

    def __init__(
        self,
        tts_host: str = WEBSOCKET_HOST,
        tts_port: int = WEBSOCKET_PORT,
        *,
        api_key: str | None = None,
        url: str | None = None,
        reconnect_tries: int = _TRIES_OF_AN_ASSISTANT,
        reconnect_timeout: float | None = _LIMIT_OF_AN_ASSISTANT_S,
    ) -> None:
        self.tts_client = KaniTTSClient(
            tts_host,
            tts_port,
            api_key=api_key,
            url=url,
            reconnect_tries=reconnect_tries,
            reconnect_timeout=reconnect_timeout,
        )
        self._initialized = False

    @property
    def connected(self) -> bool:
        """True while the connection is open."""
        return self.tts_client.connected

    async def __aenter__(self) -> Self:
        await self.initialize()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.disconnect()

    async def initialize(self) -> bool:
        """Connect; return True if the server answers a ping."""
        self._initialized = await self.tts_client.connect() and await self.tts_client.ping()
        return self._initialized

    async def generate_speech(
        self,
        text: str,
        voice_config: Mapping[str, Any] | None = None,
        *,
        reference_audio: bytes | None = None,
    ) -> bytes | None:
        """Speak `text`; return a WAV file, or None on failure (the reason is logged)."""
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
