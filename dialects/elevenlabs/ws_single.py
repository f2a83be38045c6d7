"""``stream-input``: one stream of text, one of audio."""

from __future__ import annotations

from dialects.elevenlabs.contexts import Context
from dialects.elevenlabs.ws_connection import Connection
from dialects.elevenlabs.ws_messages import BadMessage, ClientMessage, Writer


class SingleConnection(Connection):
    """One client of ``stream-input``; its text ends with an empty one, the audio with ``isFinal``."""

    _context: Context | None = None

    async def _take(self, message: ClientMessage) -> None:
        if self._ended.is_set():
            if message.text and message.text.strip():
                raise BadMessage("text: came after the end of the input, the empty string")
            return
        if self._context is None:
            self._context = self._new_context()
            self._speak(self._context, Writer())
        self._context.take(message)
        if message.ends_input:
            self._end()
