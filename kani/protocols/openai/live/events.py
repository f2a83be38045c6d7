"""Server events of the Live API."""

from typing import Any

from typing_extensions import override

from kani.core.conversation.input.transcript import Transcript
from kani.core.errors import SpeechError
from kani.protocols.openai.realtime.answers.paced import PacedEvents
from kani.protocols.openai.realtime.client_events import EventError
from kani.protocols.openai.realtime.input_events import input_error
from kani.protocols.openai.realtime.server_events import EventSender
from kani.protocols.shared.calls.bodies import json_text
from kani_text.writing import space_between

JOINED_MS = 800
"""Gap after which clients take a fragment of a transcript for the first of another turn."""


class LiveSender(EventSender):
    """Sends the events of the Live API, and drops those that only Realtime has."""

    def __init__(self, send: Any) -> None:
        super().__init__(send)
        self.ended = False  # True from ``session.closed`` on
        self._said = dict.fromkeys(("input", "output"), ("", 0))  # last fragment, and its end

    @override
    async def send(self, name: str, /, **fields: Any) -> None:
        """Send an event of the Live API; others have no effect, nor has any after the last."""
        if not self.ended and (name.startswith("session.") or name in ("response.event", "info", "error")):
            # Before the wait for the line, in which a frame would join the queue after it.
            self.ended = name == "session.closed"
            await super().send(name, **fields)

    async def audio(self, delta: bytes) -> None:
        """Send a piece of the output's audio, without an event id."""
        if not self.ended:
            await self._send(json_text({"type": "session.output_audio.delta", "delta": delta}))

    async def transcript(self, side: str, text: str, start_s: float, end_s: float, first: bool) -> None:
        """Send a fragment of what the ``side``, "input" or "output", has said; first: of a turn.

        Times are in seconds of that side's audio.
        """
        start_ms, end_ms = round(1000 * start_s), round(1000 * end_s)
        last, until_ms = self._said[side]
        # Clients join what follows soon: the space belongs to the second turn.
        if first and start_ms - until_ms < JOINED_MS:
            text = space_between(last, text) + text
        self._said[side] = text, end_ms
        await self.send(f"session.{side}_transcript.delta", delta=text, start_ms=start_ms, end_ms=end_ms)

    @override
    async def error(self, error: EventError, event_id: str | None = None) -> None:
        own = {} if event_id is None else {"client_event_id": event_id}
        fields = error.as_json()
        del fields["event_id"]
        await self.send("error", **own, error=fields | own)


class LiveEvents(PacedEvents):
    """The user's words as they are heard. Turns have no events."""

    _sender: LiveSender

    @override
    async def grown(self, transcript: Transcript, delta: str, start_s: float) -> None:
        first = transcript.text == delta
        await self._sender.transcript("input", delta, start_s, transcript.words_end_s, first)

    @override
    async def failed(self, transcript: Transcript, error: SpeechError) -> None:
        await self._sender.error(input_error(error))
