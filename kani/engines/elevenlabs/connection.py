"""A WebSocket to ElevenLabs: text is sent as it is written while messages are received.

It is closed at once, without waiting for the service.
"""

import asyncio
import logging
import math
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK, WebSocketException

from kani.engines.elevenlabs import messages
from kani.engines.elevenlabs.failures import UpstreamFailed, from_connection_error, from_error_frame
from kani.engines.elevenlabs.messages import Message
from kani.engines.elevenlabs.times import CharacterTimes
from kani.engines.upstream.text import SegmentText
from kani.runtime.cancelling import wait_until_done

MAX_MESSAGE_BYTES = 8 << 20
"""Largest message accepted; the audio of three minutes."""

MAX_INVALID_MESSAGES = 100
"""Messages that cannot be parsed, after which the stream is given up."""

_PARSE_IN_THREAD_FROM = 128 << 10

logger = logging.getLogger(__name__)

_quiet = logging.getLogger(f"{__name__}.websockets")
"""Logger of the WebSocket library. At DEBUG it logs all headers, the API key included."""
_quiet.setLevel(logging.INFO)


class _ConnectWithoutRedirect(connect):
    """Follows no redirect: the key and the text go to the configured host and to no other."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class UpstreamConnection:
    """An open stream. Every failure is raised as UpstreamFailed."""

    def __init__(self, socket: ClientConnection, key: str) -> None:
        """key: removed from all messages for the log."""
        self._socket = socket
        self._key = key
        self._invalid = 0

    async def send(self, message: str) -> None:
        """Send a message. Does nothing on a closed stream; ``receive`` raises why it is closed."""
        try:
            await self._socket.send(message)
        except ConnectionClosed:
            logger.debug("ElevenLabs closed the stream before all text was sent")

    async def receive(self) -> Message | None:
        """Return the next valid message; None where the stream was closed in order."""
        while True:
            try:
                raw = await self._socket.recv()
            except ConnectionClosedOK:
                return None
            except ConnectionClosed as error:
                raise from_connection_error(error, self._key) from error
            try:
                message = await self._parse(raw)
            except ValueError as error:
                self._count_invalid(str(error))
                continue
            if message.error is not None:
                raise from_error_frame(*message.error, self._key)
            return message

    async def _parse(self, raw: str | bytes) -> Message:
        if isinstance(raw, bytes):
            raise ValueError("a binary message")
        if len(raw) > _PARSE_IN_THREAD_FROM:
            return await asyncio.to_thread(messages.parse, raw)
        return messages.parse(raw)

    def _count_invalid(self, reason: str) -> None:
        if not self._invalid:
            logger.warning("ignored an invalid message of ElevenLabs (%s)", reason)
        self._invalid += 1
        if self._invalid > MAX_INVALID_MESSAGES:
            raise UpstreamFailed("other", f"more than {MAX_INVALID_MESSAGES} invalid messages")


@asynccontextmanager
async def open_connection(
    url: str, key: str, *, tls_context: ssl.SSLContext | None, timeout_s: float
) -> AsyncIterator[UpstreamConnection]:
    """Connect to ``url`` (ws or wss) within ``timeout_s`` seconds. Raises UpstreamFailed.

    tls_context: certificates that wss trusts. On exit the socket is aborted: a closing handshake would wait
    for the service. Proxies named by the environment are ignored.
    """
    try:
        socket = await _ConnectWithoutRedirect(
            url,
            additional_headers={"xi-api-key": key},
            ssl=tls_context,
            proxy=None,
            compression=None,
            max_size=MAX_MESSAGE_BYTES,
            open_timeout=timeout_s,
            logger=_quiet,
        )
    except (OSError, WebSocketException) as error:
        raise from_connection_error(error, key) from error
    try:
        yield UpstreamConnection(socket, key)
    finally:
        socket.transport.abort()
        await socket.wait_closed()


KEEP_ALIVE_S = 5.0
"""Interval of keep-alive messages while text is awaited, in seconds.

Far below ElevenLabs' inactivity timeout: a fallback engine may have to wait as long for the end of the text.
"""


async def send_and_receive(
    connection: UpstreamConnection,
    text: SegmentText,
    times: CharacterTimes,
    timeout_s: float,
    within_s: float,
) -> AsyncGenerator[Message, None]:
    """Send all of ``text``, from its start, and yield the messages received, up to the final one.

    times: is given the text that was sent. timeout_s: longest silence of the service once all text was sent;
    within_s: most seconds from then on in all, as a sample now and then is no silence. Raises UpstreamFailed.
    """
    loop = asyncio.get_running_loop()
    sent = 0
    has_audio = False
    deadline, latest = None, math.inf
    growth: asyncio.Task[None] | None = None
    incoming = asyncio.create_task(connection.receive(), name="ElevenLabs speaks")
    try:
        while True:
            if deadline is None and (growth is None or growth.done()):
                now, complete = text.text, text.complete
                times.extend_text(now)
                if len(now) > sent:
                    await connection.send(messages.add_text(now[sent:]))
                elif not complete:
                    await connection.send(messages.KEEP_ALIVE)
                sent = len(now)
                growth = text.growth(KEEP_ALIVE_S)
                if complete:
                    await connection.send(messages.END_OF_TEXT)
                    deadline, latest = loop.time() + timeout_s, loop.time() + within_s
            awaited = {incoming} if growth is None else {incoming, growth}
            left_s = None if deadline is None else max(deadline - loop.time(), 0.0)
            done, _ = await asyncio.wait(awaited, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                raise UpstreamFailed("stalled", f"no sound for {timeout_s:g} s, or no end in {within_s:g} s")
            if growth is not None and growth.done():
                growth.result()
            if not incoming.done():
                continue
            message = incoming.result()
            if message is None:
                if deadline is None or not has_audio or times.incomplete:
                    raise UpstreamFailed("closed_early", "closed in order, but before all text was spoken")
                return
            if message.audio:
                has_audio = True
                deadline = deadline and min(loop.time() + timeout_s, latest)
            yield message
            if message.final:
                return
            incoming = asyncio.create_task(connection.receive(), name="ElevenLabs speaks")
    finally:
        incoming.cancel()
        await wait_until_done(incoming)
