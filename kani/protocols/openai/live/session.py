"""Configuration of a Live session: what ``session.start`` says, and what changes it."""

from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from kani.core.chat_model import Tool
from kani.core.conversation.history import MAX_CHARACTERS
from kani.core.conversation.items import Message, Part, new_id
from kani.core.service import SpeechService
from kani.protocols.openai.realtime.answers.model_fields import (
    MAX_INSTRUCTIONS,
    ModelFields,
    with_model_fields,
)
from kani.protocols.openai.realtime.answers.tools import choice_json, tools_json
from kani.protocols.openai.realtime.client_events import EventError, convert, faulty
from kani.protocols.openai.realtime.session_config import (
    DEFAULT_VOICE,
    SessionConfig,
    Transcription,
    TurnDetection,
)
from kani.protocols.openai.realtime.session_update import Format, VoiceId, check_voice, read_format, without
from kani.protocols.openai.voice_names import MAX_VOICE_LENGTH
from kani.protocols.shared.calls.bodies import unserved

MAX_ITEMS = 128
"""Messages of the history that a session starts with."""

WIDEBAND = 16_000
"""Hertz that PCM may have instead of Realtime's."""

HAND_OVER = Tool(
    "hand_over",
    "Hand work over to the application: anything that needs facts, actions or tools that you do not have. "
    "It reads the conversation, and its result comes later.",
    {"type": "object", "properties": {}},
)
"""The tool of a session with delegation to the client."""

BACKEND = "session.delegation.responses"
Delegation = Literal["client", "responses"]
Instructions = Annotated[str, Meta(max_length=MAX_INSTRUCTIONS)]
Name = Annotated[str, Meta(max_length=MAX_VOICE_LENGTH)]


class _Output(Struct):
    voice: Name | VoiceId | None = None


class _Audio(Struct):
    format: Format | None = None
    output: _Output | None = None


class _Part(Struct):
    text: Annotated[str, Meta(max_length=MAX_CHARACTERS)]


class _Item(Struct):
    role: Literal["developer", "system", "user", "assistant"]
    content: Annotated[list[_Part], Meta(min_length=1, max_length=1)]


class _Backend(Struct):
    """Fields that go to the language model, of any values: each is read by itself."""

    instructions: Any = None
    tools: Any = None
    tool_choice: Any = None
    parallel_tool_calls: Any = None
    reasoning: Any = None
    max_output_tokens: Any = None
    model: Any = None  # does not go there: the model is the operator's


class _Delegation(Struct):
    type: Delegation
    responses: _Backend | None = None


class _Update(Struct):
    delegation: _Delegation | None = None
    triggers: Annotated[list[Any], Meta(max_length=0)] | None = None


class _Session(_Update, kw_only=True):
    model: Name
    instructions: Instructions | None = None
    input: Annotated[list[_Item], Meta(max_length=MAX_ITEMS)] | None = None
    audio: _Audio | None = None
    safety_identifier: Any = None  # of the application's user; nothing is kept of one


@dataclass
class LiveSession:
    """A session that has started."""

    id: str
    model: str  # as the client named it
    delegation: Delegation | None
    config: SessionConfig  # in force; its instructions are all that the model is told
    instructions: str  # of the session
    backend: str  # instructions of the delegation to Responses
    history: list[Message]
    notices: list[EventError] = field(default_factory=list)
    """Reasons for what is not served as it was asked for."""

    def as_json(self, expires_at: int) -> dict[str, Any]:
        """Return the session as the wire has it; expires_at: in seconds since 1970."""
        output = self.config.output_format
        delegation: dict[str, Any] = {"type": self.delegation or "client"}
        if self.delegation == "responses":
            delegation["responses"] = {
                "instructions": self.backend,
                "tools": tools_json(self.config.tools),
                "tool_choice": choice_json(self.config.tool_choice),
                "parallel_tool_calls": self.config.parallel_tool_calls,
                "reasoning": {"effort": self.config.reasoning_effort},
                "max_output_tokens": self.config.max_output_tokens,
            }
        return {
            "id": self.id,
            "status": "active",
            "expires_at": expires_at,
            "model": self.model,
            "instructions": self.instructions,
            "audio": {
                "format": {"type": output.name, "rate": output.sample_rate},
                "output": {"voice": self.config.voice},
            },
            "delegation": delegation,
            "store": False,
        }

    def update(self, session: dict[str, Any]) -> None:
        """Apply the session object of a ``session.update``. Raises EventError; ``notices`` tell the rest."""
        given = convert(session, _Update, "session").delegation
        fixed = next((name for name in session if name not in _Update.__struct_fields__), None)
        if given is not None and given.type != (self.delegation or "client"):
            fixed = "delegation.type"
        if fixed is not None:
            param = f"session.{fixed}"
            raise faulty(param, "cannot change after session.start", "immutable_parameter")
        if given is not None:
            self.set_delegation(session["delegation"])

    def note_unserved(self, given: dict[str, Any], kind: type[Struct], place: str) -> None:
        """Note the fields of an object that ask for something which is not served."""
        for param in unserved(given, kind, place):
            self.notices.append(faulty(param, "is not served", "unsupported"))

    def set_delegation(self, given: dict[str, Any]) -> None:
        """Apply the fields of a delegation: absent ones stay. What is not served is noted."""
        self.note_unserved(given, _Delegation, "session.delegation")
        backend = (given.get("responses") if self.delegation == "responses" else None) or {}
        known = {*_Backend.__struct_fields__} - {"model"}
        rest = {name: value for name, value in backend.items() if name in known}
        while True:
            try:
                fields = convert(rest, ModelFields, BACKEND)
                self.config = with_model_fields(self.config, fields, BACKEND)
                break
            except EventError as error:
                self.notices.append(error)
                left = without(rest, (error.param or "").split(".")[3:])
                if left == rest:
                    if self.config.tool_choice in ("auto", "none", "required"):
                        return
                    # The tool that an earlier update has chosen is gone.
                    self.config = replace(self.config, tool_choice="auto")
                rest = left
        if "instructions" in rest:
            self.backend = self.config.instructions
        self.tell("")

    def tell(self, instructions: str) -> None:
        """Add to the instructions. Raises EventError if they get too long."""
        told = _joined(self.instructions, instructions)
        if len(told) > MAX_INSTRUCTIONS:
            reason = f"the instructions get too long (at most {MAX_INSTRUCTIONS} characters in all)"
            raise faulty("content", reason, "string_above_max_length")
        self.instructions = told
        self.config = replace(self.config, instructions=_joined(told, self.backend))


def _joined(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)


async def read_session(given: dict[str, Any], service: SpeechService, instructions: str) -> LiveSession:
    """Read the session object of a ``session.start``. Raises EventError.

    instructions: of a session that gives none.
    """
    session = convert(given, _Session, "session")
    config = _configured(session, instructions)
    kind = None if session.delegation is None else session.delegation.type
    history = [_message(item) for item in session.input or ()]
    live = LiveSession(new_id("live"), session.model, kind, config, config.instructions, "", history)
    live.note_unserved(given | {"delegation": None}, _Session, "session")
    if kind == "client":
        live.config = replace(config, tools=(HAND_OVER,))
    if kind is not None:
        live.set_delegation(given["delegation"])
    try:
        await check_voice(service, config, {})
    except EventError as error:
        live.notices.append(EventError(f"{error}: the default voice speaks", error.code, error.param))
        live.config = replace(live.config, voice=DEFAULT_VOICE)
    return live


def _configured(session: _Session, instructions: str) -> SessionConfig:
    """Return the configuration of a session; instructions: of one that gives none."""
    audio = session.audio or _Audio()
    audio_format = read_format(audio.format, "session.audio.format", WIDEBAND)
    voice = audio.output.voice if audio.output is not None else None
    told = session.instructions if (session.instructions or "").strip() else instructions
    return SessionConfig(
        model=session.model,
        input_format=audio_format,
        transcription=Transcription(),
        turns=TurnDetection("semantic_vad"),
        output_format=audio_format,
        answers=True,
        instructions=told or "",
        voice=(voice.id if isinstance(voice, VoiceId) else voice) or DEFAULT_VOICE,
    )


def _message(item: _Item) -> Message:
    role = "system" if item.role == "developer" else item.role
    return Message(new_id("item"), role, (Part("text", item.content[0].text),))
