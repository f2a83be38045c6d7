"""``multi-stream-input``: several contexts on one connection, each a stream of text and one of audio."""

from __future__ import annotations

import asyncio

from dialects.elevenlabs.contexts import Context
from dialects.elevenlabs.ws_connection import Connection
from dialects.elevenlabs.ws_messages import ClientMessage, Failure, Writer, too_many_contexts
from speech.errors import InvalidRequest, SpeechError

MAX_CONTEXTS = 5
"""Contexts that may be open at once, as in the service."""

MAX_CLOSING = 16
"""Contexts that were closed and still speak what was flushed; beyond that nothing is read until one ends."""


class MultiConnection(Connection):
    """One client of ``multi-stream-input``.

    A context that breaks by no fault of its client ends alone, with an error that names it and ``isFinal``.
    An id may be used again once its context was closed: the new one is heard when the old one has ended.
    """

    async def run(self) -> None:
        """Serve until the client goes, or has everything closed."""
        self._open: dict[str | None, tuple[Context, asyncio.Task[None]]] = {}
        self._last: dict[str | None, asyncio.Task[None]] = {}
        await super().run()

    async def _take(self, message: ClientMessage) -> None:
        if self._ended.is_set():
            return
        name = message.context_id
        if message.close_socket:
            for context, _ in self._open.values():
                context.close()
            self._end()
        elif message.close_context:
            await self._close_context(name)
        elif name in self._open:
            self._open[name][0].take(message)
        elif not (message.ends_input and message.voice is None) and (message.text or name is not None):
            self._open_context(name).take(message)
