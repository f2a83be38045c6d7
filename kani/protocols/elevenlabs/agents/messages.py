"""JSON messages of an agent's conversation. Names and shapes are those of ElevenLabs' client libraries."""

from collections.abc import Awaitable, Callable
from itertools import count
from typing import Annotated, Any

from msgspec import Meta, Struct

from kani.core.audio.decoding import run_if_long
from kani.protocols.elevenlabs.agents.config import Name, Text
from kani.protocols.shared.calls.bodies import json_text, object_of
from kani.protocols.shared.errors import BadMessage

_BODIES = {
    "agent_chat_response_part": "text_response_part",
    "user_transcript": "user_transcription_event",
    "client_tool_call": "client_tool_call",
    "agent_tool_response": "agent_tool_response",
}
"""The field that holds what a message says, where it has another name than "TYPE_event"."""


class Sender:
    """Sends messages with rising ids: an interruption's is above those of all audio that it is about."""

    def __init__(self, send: Callable[[str], Awaitable[None]]) -> None:
        self._send = send
        self._ids = count(1)

    async def send(self, kind: str, /, **fields: Any) -> int:
        """Send a message, and return its id; ``fields``: what it says."""
        event_id = next(self._ids)
        body = {**fields, "event_id": event_id}
        await self._send(json_text({"type": kind, _BODIES.get(kind, f"{kind}_event"): body}))
        return event_id

    async def error(self, message: str, error_type: str = "invalid_message", code: int = 1008) -> None:
        """Send an error that does not end the conversation; code: of the close that would say the same."""
        await self.send("error", code=code, error_type=error_type, message=message)


class Audio(Struct):
    """A piece of the user's audio, the one message without a type."""

    user_audio_chunk: str


class Written(Struct):
    """A text of the user; or a note about the circumstances, which is not answered."""

    text: Text
    context_id: Name | None = None  # of a note that takes the place of the one before it


class Multimodal(Struct):
    """Text of the user's, with files."""

    text: Written | None = None
    file: Any = None
    files: Any = None


class ToolResult(Struct):
    """The result of a tool."""

    tool_call_id: Name
    result: Annotated[str, Meta(max_length=2**20)] = ""
    is_error: bool = False


async def read_message(received: str | bytes) -> dict[str, Any]:
    """Parse a client's message, a long one in a thread. Raises BadMessage."""
    if isinstance(received, bytes):
        raise BadMessage("binary messages are not supported")
    return await run_if_long(
        received, object_of, received, "is not JSON", lambda reason: BadMessage(f"the message: {reason}")
    )
