"""Server events of the Realtime WebSocket, under the names of the API's generation that the client knows."""

from collections.abc import Awaitable, Callable
from typing import Any

from kani.core.conversation.items import new_id
from kani.protocols.openai.realtime.client_events import EventError
from kani.protocols.shared.calls.bodies import json_text

_BETA_NAMES = {
    "conversation.item.added": "conversation.item.created",
    "conversation.item.done": None,
    "response.output_audio.delta": "response.audio.delta",
    "response.output_audio.done": "response.audio.done",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
    "response.output_audio_transcript.done": "response.audio_transcript.done",
    "response.output_text.delta": "response.text.delta",
    "response.output_text.done": "response.text.done",
}
"""Names of the beta generation where they differ; None for events that it does not have."""


Send = Callable[[str], Awaitable[None]]


class EventSender:
    """Sends events.

    beta: whether the client expects the names of the beta generation; it may change.
    """

    def __init__(self, send: Send, *, beta: bool = False) -> None:
        self._send = send
        self.beta = beta

    async def send(self, name: str, /, **fields: Any) -> None:
        """Send an event by its name of the current generation, with a new event id."""
        known = _BETA_NAMES.get(name, name) if self.beta else name
        if known is None:
            return
        await self._send(json_text({"type": known, "event_id": new_id("event"), **fields}))

    async def error(self, error: EventError, event_id: str | None = None) -> None:
        """Send an ``error`` event; event_id: of the client's event that caused it."""
        await self.send("error", error=error.as_json(event_id))
