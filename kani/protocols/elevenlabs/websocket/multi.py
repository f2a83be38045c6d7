"""Connections of ``stream-input``, with one context, and of ``multi-stream-input``, with several."""

import asyncio
from dataclasses import dataclass, field

from typing_extensions import override

from kani.core.errors import InvalidRequest, SpeechError
from kani.core.session.session import SpeechSession
from kani.protocols.elevenlabs.voice_settings import VoiceSettings
from kani.protocols.elevenlabs.websocket import messages
from kani.protocols.elevenlabs.websocket.connection import BaseConnection
from kani.protocols.elevenlabs.websocket.context import Context
from kani.protocols.elevenlabs.websocket.messages import ClientMessage, MessageWriter
from kani.protocols.shared.errors import BadMessage

MAX_CONTEXTS = 5
"""Contexts that may be open at once, as in ElevenLabs' service."""

MAX_CLOSING_CONTEXTS = 16
"""Closed contexts that still speak their flushed text; beyond them nothing is read until one ends."""


class SingleContextConnection(BaseConnection):
    """A client of ``stream-input``: an empty text ends the input, ``isFinal`` the audio."""

    @override
    async def _handle_message(self, message: ClientMessage) -> None:
        if self._input_ended.is_set():
            if message.text and message.text.strip():
                raise BadMessage("text: came after the end of the input, the empty string")
            return
        # Read from ``_contexts`` instead of an attribute: the context refers to this connection, and a
        # second reference would be a cycle that only the garbage collector frees.
        context = next(iter(self._contexts.values()), None)
        if context is None:
            context = self._new_context()
            self._start_sending(context, MessageWriter())
        context.handle_message(message)
        if message.ends_input:
            self._end_input()


@dataclass(eq=False)
class MultiContextConnection(BaseConnection):
    """A client of ``multi-stream-input``.

    A context that fails for a reason other than invalid input ends without the others, by an error with its
    id and ``isFinal``. An id can be used again once its context was closed: the new context is sent after the
    old one has ended.

    Clients close a context at the end of its text, and when they are interrupted. A closed context has lower
    priority than those of other ids. It is an interruption, and nothing more of it is sent, if it is closed
    once more, or if its text was not ended by a flush, it was heard already, and another context gets text.
    """

    _open: dict[str | None, Context] = field(default_factory=dict)
    _sending: dict[str | None, asyncio.Task[None]] = field(default_factory=dict)

    @override
    async def _handle_message(self, message: ClientMessage) -> None:
        context_id = message.context
        if self._input_ended.is_set():
            return
        if message.close_socket:
            for open_id, context in self._open.items():
                self._close_context(open_id, context)
            self._end_input()
        elif message.close_context:
            # The text of such a message is ignored, as by ElevenLabs' own library.
            if context_id in self._open:
                context = self._open.pop(context_id)
                self._close_context(context_id, context)
                context.lower_priority()
            elif context_id in self._sending and (closed := self._contexts.get(self._sending[context_id])):
                closed.interrupt()
            await self._wait_for_closing()
        elif context_id in self._open:
            self._open[context_id].handle_message(message)
        elif not message.ends_input:
            writer = MessageWriter(context_id, multi=True)
            self._open_context(context_id, self._new_context(), writer).handle_message(message)

    def _close_context(self, context_id: str | None, context: Context) -> None:
        context.close()

    async def _wait_for_closing(self) -> None:
        """Wait until no more than ``MAX_CLOSING_CONTEXTS`` closed contexts are spoken."""
        while len(self._contexts) - len(self._open) > MAX_CLOSING_CONTEXTS:
            await asyncio.wait(self._contexts, return_when=asyncio.FIRST_COMPLETED)

    @override
    def _open_session(self, voice: str | None, voice_settings: VoiceSettings) -> SpeechSession:
        # Before the new session asks for a slot.
        for context in self._contexts.values():
            if context.broken_off:
                context.interrupt()
        return super()._open_session(voice, voice_settings)

    def _open_context(self, context_id: str | None, context: Context, writer: MessageWriter) -> Context:
        """Open a context, which is sent by ``writer``. Raises ProtocolError."""
        if len(self._open) == MAX_CONTEXTS:
            raise messages.ProtocolError(messages.too_many_contexts(MAX_CONTEXTS))
        self._open[context_id] = context
        predecessor = self._sending.get(context_id)
        if predecessor is not None and predecessor in self._contexts:
            self._contexts[predecessor].restore_priority()
        task = self._start_sending(context, writer, predecessor)
        self._sending[context_id] = task

        def remove(task: asyncio.Task[None]) -> None:
            if self._open.get(context_id) is context:
                del self._open[context_id]
            if self._sending[context_id] is task:
                del self._sending[context_id]

        task.add_done_callback(remove)
        return context

    @override
    async def _fail_context(self, writer: MessageWriter, error: SpeechError) -> None:
        if isinstance(error, InvalidRequest):
            await super()._fail_context(writer, error)
        else:
            await self._sender.send(writer.error(messages.error_message(error, self._voice_id)))
        await self._sender.send(writer.final())
