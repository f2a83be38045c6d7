"""JSON messages of the WebSockets of text to dialogue: parsing and writing, without a socket.

Names and shapes are those of the message types in ElevenLabs' own client library (``elevenlabs`` 2.78).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from typing_extensions import override

from kani.core.errors import InvalidRequest
from kani.protocols.elevenlabs.http.body import MAX_INPUTS, MAX_VOICES
from kani.protocols.elevenlabs.voice_settings import DialogueSettings, parse_settings
from kani.protocols.elevenlabs.websocket import messages
from kani.protocols.elevenlabs.websocket.messages import ClientMessage, MessageWriter
from kani.protocols.shared.errors import BadMessage


@dataclass(frozen=True, slots=True)
class TurnText:
    text: str
    voice_id: str
    new_turn: bool


@dataclass(frozen=True, slots=True)
class DialogueMessage(ClientMessage):
    inputs: tuple[TurnText, ...] = ()
    voices: tuple[str, ...] = ()


def parse_dialogue_message(message: str) -> DialogueMessage:
    """Parse a client's message; unknown fields are ignored.

    Raises BadMessage for a wrong shape, InvalidRequest for a value out of its range.
    """
    fields = messages.object_of(message)
    return DialogueMessage(
        flush=messages.flag(fields, "flush"),
        context_id=messages.context_id_of(fields),
        close_context=messages.flag(fields, "close_context"),
        close_socket=messages.flag(fields, "close_socket"),
        voice_settings=parse_settings(fields.get("voice_settings"), DialogueSettings),
        key=messages.key_of(fields),
        inputs=tuple(_input(index, each) for index, each in enumerate(_list(fields, "inputs", MAX_INPUTS))),
        voices=tuple(
            _string(f"voices[{index}]", each)
            for index, each in enumerate(_list(fields, "voices", MAX_VOICES))
        ),
    )


def _list(fields: Mapping[str, Any], name: str, limit: int) -> list[Any]:
    value = fields.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise BadMessage(f"{name}: must be a list")
    if len(value) > limit:
        raise InvalidRequest(name, f"too many (at most {limit})")
    return value


def _input(index: int, value: Any) -> TurnText:
    if not isinstance(value, dict):
        raise BadMessage(f"inputs[{index}]: must be an object")
    text, voice_id = (_string(f"inputs[{index}].{name}", value.get(name)) for name in ("text", "voice_id"))
    return TurnText(text, voice_id, messages.flag(value, "new_turn"))


def _string(path: str, value: Any) -> str:
    if not isinstance(value, str):
        raise BadMessage(f"{path}: must be a string")
    return value


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
