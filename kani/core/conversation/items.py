"""Items of a conversation: messages, what of a spoken one was heard, calls of tools, and their results."""

import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kani.core.types import Span

HEARD_PART = 0.5
"""Part of a word's length from which on it counts as heard."""


@dataclass(frozen=True, slots=True)
class _Piece:
    text: str
    start_s: float
    end_s: float


class SpokenText:
    """Grows with the audio that is sent; ``heard_s`` is set once the listener broke it off."""

    def __init__(self) -> None:
        self._pieces: list[_Piece] = []
        self.duration_s = 0.0  # seconds of audio that were sent
        self.heard_s = math.inf  # seconds of it that were heard; infinite as far as is known

    def add(self, text: str, span: Span) -> str:
        """Add the part of ``text`` that ``span`` is about; returns it."""
        piece = text[span.start : span.end]
        self._pieces.append(_Piece(piece, span.start_s, span.end_s))
        return piece

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self._pieces)

    @property
    def heard(self) -> str:
        """The words that were heard: those that were played for half their length at least."""
        if self.heard_s >= self.duration_s:
            return self.text
        heard = since = ""
        for piece in self._pieces:
            if not any(map(str.isalnum, piece.text)):
                since += piece.text
                continue
            if piece.start_s + HEARD_PART * (piece.end_s - piece.start_s) >= self.heard_s:
                break
            heard += since + piece.text
            since = ""
        # Marks right after a word are its own; those before one that was not heard are not.
        own = since.split(maxsplit=1)[:1] if since[:1].strip() else []
        return heard and "".join([heard, *own])


def new_id(prefix: str) -> str:
    return f"{prefix}_{uuid.uuid4().hex[:21]}"


Role = Literal["user", "assistant", "system"]
Status = Literal["completed", "incomplete", "in_progress"]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a message: written text, speech with its transcript, or a picture."""

    name: str  # the protocol's name of this kind of part
    text: str | None  # None for speech that is not transcribed
    is_speech: bool = False
    picture: str = ""  # a "data:" address


@dataclass(slots=True, eq=False)
class Message:
    """Something that was said or written. ``History.change`` changes its parts."""

    id: str
    role: Role
    parts: tuple[Part, ...] = ()
    status: Status = "completed"
    spoken: SpokenText | None = None  # speech of an answer with audio
    pending: bool = False  # True while its speech is being transcribed

    @property
    def written(self) -> str:
        """Written text of all parts, a line each."""
        return "\n".join(part.text or "" for part in self.parts if not part.is_speech)

    @property
    def text(self) -> str:
        """All of its text, a line for each part; of an answer that was broken off only what was heard."""
        if self.spoken is not None:
            return self.spoken.heard
        return "\n".join(part.text for part in self.parts if part.text)

    @property
    def size(self) -> int:
        """Characters of text that it holds."""
        return sum(len(part.name) + len(part.text or "") for part in self.parts)

    @property
    def picture_size(self) -> int:
        """Characters of its pictures."""
        return sum(len(part.picture) for part in self.parts)


@dataclass(slots=True, eq=False)
class FunctionCall:
    """A call of a tool by the model."""

    id: str
    call_id: str
    name: str
    arguments: str
    status: Status = "completed"

    @property
    def size(self) -> int:
        """Characters that it holds."""
        return len(self.call_id) + len(self.name) + len(self.arguments)


@dataclass(slots=True, eq=False)
class FunctionOutput:
    """The result of a call of a tool."""

    id: str
    call_id: str
    output: str
    status: Status = "completed"

    @property
    def size(self) -> int:
        """Characters that it holds."""
        return len(self.call_id) + len(self.output)


@dataclass(slots=True, eq=False)
class ServerCall(FunctionCall):
    """A call of a tool on another server, made from here; it holds its result."""

    server_label: str = ""  # name of the server
    output: str | None = None  # what the model is told; None until it has come
    error: Mapping[str, Any] | None = None  # reason that there is no result

    @property
    def size(self) -> int:
        """Characters that it holds."""
        return len(self.call_id) + len(self.name) + len(self.arguments) + len(self.output or "")


@dataclass(slots=True, eq=False)
class ToolList:
    """The tools of another server. The model has them from its request."""

    id: str
    server_label: str
    tools: tuple[Mapping[str, Any], ...] = ()

    @property
    def size(self) -> int:
        """Characters that it holds."""
        return len(str(self.tools))


Item = Message | FunctionCall | FunctionOutput | ToolList
