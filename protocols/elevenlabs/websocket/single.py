"""``stream-input``: one stream of text, one of audio."""

from __future__ import annotations

from protocols.elevenlabs.websocket.connection import BaseConnection
from protocols.elevenlabs.websocket.messages import BadMessage, ClientMessage, MessageWriter


class SingleContextConnection(BaseConnection):
    """One client of ``stream-input``; its text ends with an empty one, the audio with ``isFinal``."""

    async def _handle_message(self, message: ClientMessage) -> None:
        if self._input_ended.is_set():
            if message.text and message.text.strip():
                raise BadMessage("text: came after the end of the input, the empty string")
            return
        # There is one, and no other reference to it: the context refers to this connection.
        context = next(iter(self._contexts.values()), None)
        if context is None:
            context = self._new_context()
            self._start_sending(context, MessageWriter())
        context.handle_message(message)
        if message.ends_input:
            self._end_input()
