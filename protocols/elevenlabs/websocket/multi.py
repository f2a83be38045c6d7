"""``multi-stream-input``: several contexts on one connection, each a stream of text and one of audio."""

from __future__ import annotations

import asyncio

from starlette.websockets import WebSocket

from protocols.elevenlabs.settings import ElevenLabsSettings
from protocols.elevenlabs.websocket.connection import BaseConnection
from protocols.elevenlabs.websocket.context import Context
from protocols.elevenlabs.websocket.messages import (
    ClientMessage,
    MessageWriter,
    ProtocolError,
    error_message,
    too_many_contexts,
)
from protocols.elevenlabs.websocket.query import Query
from speech.errors import InvalidRequest, SpeechError
from speech.service import SpeechService

MAX_CONTEXTS = 5
"""Contexts that may be open at once, as in the service."""

MAX_CLOSING_CONTEXTS = 16
"""Contexts that were closed and still speak what was flushed; beyond them nothing is read until one ends."""


class MultiContextConnection(BaseConnection):
    """One client of ``multi-stream-input``.

    A context that breaks by no fault of its client's ends alone: by an error that names it, and ``isFinal``.
    An id may be used again once its context was closed: the new one is heard when the old one has ended.
    A closed context gives way to those of other ids: most of its clients close one when they are interrupted.
    """

    def __init__(
        self, websocket: WebSocket, service: SpeechService, settings: ElevenLabsSettings, query: Query
    ) -> None:
        super().__init__(websocket, service, settings, query)
        self._open: dict[str | None, Context] = {}
        self._speaking: dict[str | None, asyncio.Task[None]] = {}

    async def _handle_message(self, message: ClientMessage) -> None:
        name = message.context_id
        if self._input_ended.is_set():
            return
        if message.close_socket:
            for context in self._open.values():
                context.close()
            self._end_input()
        elif message.close_context:
            # Its text does not count, as ElevenLabs' own library has it.
            if name in self._open:
                context = self._open.pop(name)
                context.close()
                context.give_way()
            while len(self._contexts) - len(self._open) > MAX_CLOSING_CONTEXTS:
                await asyncio.wait(self._contexts, return_when=asyncio.FIRST_COMPLETED)
        elif name in self._open:
            self._open[name].handle_message(message)
        elif not message.ends_input:
            self._begin(name).handle_message(message)

    def _begin(self, name: str | None) -> Context:
        """Open a context. Raises Refused."""
        if len(self._open) == MAX_CONTEXTS:
            raise ProtocolError(too_many_contexts(MAX_CONTEXTS))
        context = self._open[name] = self._new_context()
        before = self._speaking.get(name)
        if before is not None and before in self._contexts:
            self._contexts[before].keep_ahead()
        task = self._speaking[name] = self._start_sending(context, MessageWriter(name, multi=True), before)

        def over(task: asyncio.Task[None]) -> None:
            if self._open.get(name) is context:
                del self._open[name]
            if self._speaking[name] is task:
                del self._speaking[name]

        task.add_done_callback(over)
        return context

    async def _fail_context(self, writer: MessageWriter, error: SpeechError) -> None:
        if isinstance(error, InvalidRequest):
            await super()._fail_context(writer, error)
        else:
            await self._outgoing.send(writer.error(error_message(error, self._voice_id)))
        await self._outgoing.send(writer.final())
