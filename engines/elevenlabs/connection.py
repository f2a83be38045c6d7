"""One WebSocket to ElevenLabs: opened, spoken into, listened to, and let go in one step."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK, WebSocketException

from engines.elevenlabs import messages
from engines.elevenlabs.failures import UpstreamFailed, from_connection_error, from_error_frame
from engines.elevenlabs.messages import Message

MAX_MESSAGE_BYTES = 8 << 20
"""Bytes; the audio of three minutes."""

MAX_INVALID_MESSAGES = 100
"""Messages that cannot be read, before the stream is given up."""

_LARGE = 128 << 10

logger = logging.getLogger(__name__)

_quiet = logging.getLogger(f"{__name__}.websockets")
"""At its lowest level the library logs all headers, and the key is one of them."""
_quiet.setLevel(logging.INFO)


class _Straight(connect):
    """Follows no redirect: the key and the text go to the host that was named, and nowhere else."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class UpstreamConnection:
    """An open stream. Whatever fails raises UpstreamFailed."""

    def __init__(self, socket: ClientConnection, key: str) -> None:
        self._socket = socket
        self._key = key
        self._rubbish = 0

    async def send(self, message: str) -> None:
        """Send; to a stream that has ended already nothing, as its last messages say why."""
        try:
            await self._socket.send(message)
        except ConnectionClosed:
            logger.debug("ElevenLabs had ended the stream before all text was sent")

    async def receive(self) -> Message | None:
        """The next message that can be read; None where the stream was closed in order."""
        while True:
            try:
                raw = await self._socket.recv()
            except ConnectionClosedOK:
                return None
            except ConnectionClosed as error:
                raise from_connection_error(error, self._key) from error
            try:
                message = await self._read(raw)
            except ValueError as error:
                self._count_rubbish(str(error))
                continue
            if message.error is not None:
                raise from_error_frame(*message.error, self._key)
            return message

    async def _read(self, raw: str | bytes) -> Message:
        if isinstance(raw, bytes):
            raise ValueError("a binary message")
        return await asyncio.to_thread(messages.parse, raw) if len(raw) > _LARGE else messages.parse(raw)

    def _count_rubbish(self, reason: str) -> None:
        if not self._rubbish:
            logger.warning("ElevenLabs sent a message that cannot be read (%s); it is passed over", reason)
        self._rubbish += 1
        if self._rubbish > MAX_INVALID_MESSAGES:
            raise UpstreamFailed("other", "nothing but messages that cannot be read")


@asynccontextmanager
async def open_connection(
    url: str, key: str, *, tls_context: ssl.SSLContext | None, timeout_s: float
) -> AsyncIterator[UpstreamConnection]:
    """A connection to ``url`` (ws or wss), made within ``timeout_s``. Raises UpstreamFailed.

    context: whom wss trusts. However one leaves, the socket is closed at once, without a goodbye that
    ElevenLabs could be slow to answer. No proxy of the environment is used.
    """
    try:
        socket = await _Straight(
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
