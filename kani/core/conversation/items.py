"""Items of a conversation: messages, calls of tools, and their results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kani.core.conversation.spoken_text import SpokenText

Role = Literal["user", "assistant", "system"]
Status = Literal["completed", "incomplete", "in_progress"]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a message: written text, or speech with its transcript."""

    name: str  # the protocol's name of this kind of part
    text: str | None  # None for speech that is not transcribed
    is_speech: bool = False


@dataclass(slots=True, eq=False)
class Message:
    """Something that was said or written. ``History.set_parts`` changes its parts."""

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
        """Characters that it holds."""
        return sum(len(part.name) + len(part.text or "") for part in self.parts)


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


Item = Message | FunctionCall | FunctionOutput
