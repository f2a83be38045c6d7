"""A WebSocket to ElevenLabs that is closed at once, without waiting for the service."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK, WebSocketException

from kani.engines.elevenlabs import messages
from kani.engines.elevenlabs.failures import UpstreamFailed, from_connection_error, from_error_frame
from kani.engines.elevenlabs.messages import Message

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
