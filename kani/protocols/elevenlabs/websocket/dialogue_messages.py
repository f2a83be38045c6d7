"""JSON messages of the WebSockets of text to dialogue: parsing and writing, without a socket.

Names and shapes are those of the message types in ElevenLabs' own client library (``elevenlabs`` 2.78).
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Annotated, Any

from msgspec import Meta, Struct
from typing_extensions import override

from kani.protocols.elevenlabs.http.body import MAX_INPUTS, MAX_VOICES
from kani.protocols.elevenlabs.voice_settings import DialogueSettings
from kani.protocols.elevenlabs.websocket import messages
from kani.protocols.elevenlabs.websocket.messages import ClientMessage, MessageWriter


class TurnText(Struct, frozen=True):
    text: str
    voice_id: str
    new_turn: bool = False


class _Fields(messages.CommonFields):
    inputs: Annotated[tuple[TurnText, ...], Meta(max_length=MAX_INPUTS)] = ()
    voices: Annotated[tuple[str, ...], Meta(max_length=MAX_VOICES)] = ()


@dataclass(frozen=True, slots=True)
class DialogueMessage(ClientMessage):
    inputs: tuple[TurnText, ...] = ()
    voices: tuple[str, ...] = ()


def parse_dialogue_message(message: str) -> DialogueMessage:
    """Parse a client's message; unknown fields are ignored. Raises as ``messages.parse_message``."""
    given, settings = messages.read_fields(message, _Fields, DialogueSettings)
    return DialogueMessage(
        flush=given.flush,
        context_id=given.context,
        close_context=given.close_context,
        close_socket=given.close_socket,
        voice_settings=settings,
        key=given.key,
        inputs=given.inputs,
        voices=given.voices,
    )


@dataclass(slots=True)
class Turn:
    """A speaker's turn; ``voice_id`` is None until there is text."""

    voice_id: str | None = None
    pause_s: float = 0.0  # before it
    last: bool = True  # of the dialogue, as far as it is known


@dataclass(frozen=True, slots=True)
class DialogueWriter(MessageWriter):
    """Writes the messages of one turn."""

    timed: bool = False  # whether characters are sent with their times
    turn: Turn = field(default_factory=Turn)

    @override
    def audio(self, data: bytes, alignments: messages.Alignments) -> str:
        fields: dict[str, Any] = {"audio": base64.b64encode(data).decode("ascii")}
        if self.timed:
            fields["alignment"] = _alignment_json(alignments.written)
            fields["normalized_alignment"] = _alignment_json(alignments.normalized)
        return messages.dumps(fields | self._context)

    @override
    def final(self) -> str:
        return messages.dumps(
            {"is_final" if self.turn.last else "is_final_audio_for_turn": True} | self._context
        )

    @override
    def error(self, error: messages.ErrorMessage) -> str:
        fields = {"code": error.code, "error": error.error, "message": error.message}
        return messages.dumps(fields | self._context)

    @property
    def _context(self) -> dict[str, str | None]:
        return {"context_id": self.context_id} if self.multi else {}


def _alignment_json(alignment: messages.Alignment | None) -> dict[str, Any] | None:
    if alignment is None:
        return None
    return {
        "chars": list(alignment.characters),
        "char_durations_ms": alignment.durations_ms,
        "char_start_times_ms": alignment.starts_ms,
    }
