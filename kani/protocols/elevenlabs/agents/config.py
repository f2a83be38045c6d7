"""Configuration of an agent: prompt, first message, voice, language, tools; from a file or from its client.

All places have ElevenLabs' own object, ``conversation_config`` of an agent.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct
from typing_extensions import override

from kani.core.chat_model import Tool
from kani.core.conversation.config import ConversationConfig
from kani.core.errors import InvalidRequest
from kani.core.expected_words import MAX_WORD, MAX_WORDS, as_prompt
from kani.core.transcriber import TranscriptionOptions
from kani.protocols.elevenlabs.formats import FORMATS
from kani.protocols.shared.calls.bodies import object_of, read, unserved
from kani_text.foreign.files import read_regular

FORMAT = "pcm_16000"
"""Format of the audio both ways: ElevenLabs' package for Python knows no other."""

END_CALL = "end_call"
"""The one system tool that is served: by it the agent hangs up."""

TOOL_S, LONGEST_TOOL_S = 20.0, 600.0
"""Longest waits for the result of a client's tool: where its description has none, and where it has one."""

MAX_TOOLS = 128
MAX_TOOLS_SIZE = 2**18
MAX_FILE = 2**20
"""Bytes of an agent's file."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
_VARIABLE = re.compile(r"\{\{\s*([\w.]{1,200})\s*\}\}")

MAX_TEXT = 100_000
Text = Annotated[str, Meta(max_length=MAX_TEXT)]
Name = Annotated[str, Meta(max_length=200)]
Variable = str | int | float | bool | None
_Keyword = Annotated[str, Meta(max_length=MAX_WORD)]
_Tools = Annotated[list[dict[str, Any]], Meta(max_length=MAX_TOOLS)]


class _Tool(Struct):
    name: Annotated[str, Meta(min_length=1, max_length=200)]
    description: Text = ""
    parameters: dict[str, Any] = {}
    expects_response: bool = False
    response_timeout_secs: Annotated[float, Meta(ge=-1, le=LONGEST_TOOL_S)] = TOOL_S


class _Prompt(Struct, frozen=True):
    prompt: Text | None = None
    tools: _Tools = []


class _Agent(Struct, frozen=True):
    prompt: _Prompt = _Prompt()
    first_message: Text | None = None
    language: Name | None = None


class _Speech(Struct, frozen=True):
    voice_id: Name | None = None
    speed: Annotated[float, Meta(ge=0.7, le=1.2)] | None = None


class _Recognition(Struct, frozen=True):
    keywords: Annotated[list[_Keyword], Meta(max_length=MAX_WORDS)] | None = None


class _Conversation(Struct, frozen=True):
    text_only: bool | None = None


class _Fields(Struct):
    """``conversation_config``. Other fields are ignored."""

    agent: _Agent = _Agent()
    tts: _Speech = _Speech()
    asr: _Recognition = _Recognition()
    conversation: _Conversation = _Conversation()
    text_only: bool | None = None  # as ElevenLabs' package for Python writes it


class _ExtraBody(Struct, frozen=True):
    tools: _Tools = []


class Initiation(Struct):
    """Fields of ``conversation_initiation_client_data``."""

    conversation_config_override: dict[str, Any] = {}
    custom_llm_extra_body: _ExtraBody = _ExtraBody()
    dynamic_variables: Annotated[dict[Name, Variable], Meta(max_length=256)] = {}


@dataclass(frozen=True, slots=True)
class AgentConfig(ConversationConfig):
    """An agent in its conversation. The strings are as they were given."""

    first_message: str = ""
    voice_id: str | None = None
    speed: float | None = None
    language: str | None = None
    heard_language: str | None = None  # the recogniser's
    keywords: tuple[str, ...] = ()
    tool_timeouts: Mapping[str, float] = field(default_factory=dict)  # seconds by the name; 0: is not awaited
    hangs_up: bool = False
    refused: tuple[str, ...] = ()  # sentences about what is not served

    @property
    @override
    def hears(self) -> TranscriptionOptions:
        return TranscriptionOptions(self.heard_language, prompt=as_prompt(self.keywords))


NO_AGENT = AgentConfig(FORMATS[FORMAT], FORMATS[FORMAT])


def load_agent(agent_id: str, folder: Path, instructions: str) -> AgentConfig:
    """Return the agent of ``agent_id``; without a file of that name the default one. Reads a file.

    Applications have ids of ElevenLabs' agents in them. instructions: of an agent without a prompt. Raises
    InvalidRequest for a file that is no agent.
    """
    default = replace(NO_AGENT, instructions=instructions)
    if not _ID.fullmatch(agent_id):
        return default
    place = f"agents/{agent_id}.json"
    try:
        content = read_regular(folder / f"{agent_id}.json", MAX_FILE)
    except FileNotFoundError:
        return default
    except OSError as error:
        # Without the path that the error has: it is not for clients.
        raise InvalidRequest(place, f"cannot be read: {error.strerror}") from error
    given = object_of(content, "is not JSON", lambda reason: InvalidRequest(place, reason))
    return with_agent(default, given, place)


def unserved_overrides(given: dict[str, Any], place: str) -> tuple[str, ...]:
    """Return a sentence that names the fields of a client's agent that have no effect, if there are any."""
    fields = unserved(given, _Fields, place)
    return (f"without effect here: {', '.join(fields)}",) if fields else ()


def with_agent(config: AgentConfig, given: dict[str, Any], place: str) -> AgentConfig:
    """Return ``config`` with the fields of an agent: ``conversation_config``, or what holds it.

    place: path of the object, for errors. Raises WrongFields.
    """
    if (inner := given.get("conversation_config")) is not None:
        given, place = inner, f"{place}.conversation_config"
    fields = read(given, _Fields, place)
    agent, keywords, written = fields.agent, fields.asr.keywords, fields.conversation.text_only
    changes: dict[str, Any] = {
        "instructions": agent.prompt.prompt,
        "first_message": agent.first_message,
        "language": agent.language,
        "voice_id": fields.tts.voice_id,
        "speed": fields.tts.speed,
        "keywords": None if keywords is None else tuple(keywords),
        "written": fields.text_only if written is None else written,
    }
    config = replace(config, **{name: value for name, value in changes.items() if value is not None})
    return with_tools(config, agent.prompt.tools, f"{place}.agent.prompt.tools")


def with_tools(config: AgentConfig, given: Sequence[dict[str, Any]], place: str) -> AgentConfig:
    """Return ``config`` with further tools: ElevenLabs', or functions as chat completions have them.

    A tool that is not the client's is left out, and named in ``refused``. Raises WrongFields.
    """
    tools, timeouts = {tool.name: tool for tool in config.tools}, {**config.tool_timeouts}
    refused, hangs_up = [*config.refused], config.hangs_up
    for at, each in enumerate(given):
        kind, where = each.get("type"), f"{place}[{at}]"
        if kind == "function" and isinstance(function := each.get("function"), dict):
            each, where = {"expects_response": True, **function}, f"{where}.function"
        elif kind == "system" and each.get("name") == END_CALL:
            hangs_up = True
        elif kind != "client":
            refused.append(f"{where}.type: only client tools are called, and the system tool {END_CALL}")
            continue
        tool = read(each, _Tool, where)
        parameters = tool.parameters or {"type": "object", "properties": {}}
        tools[tool.name] = Tool(tool.name, tool.description, parameters)
        seconds = tool.response_timeout_secs
        if -1 < seconds <= 0:
            raise InvalidRequest(f"{where}.response_timeout_secs", "has to be more than 0, or -1")
        waits_s = seconds if seconds > 0 else LONGEST_TOOL_S  # -1 is "without end"
        timeouts[tool.name] = waits_s if tool.expects_response else 0.0
    if len(tools) > MAX_TOOLS:
        raise InvalidRequest(place, f"too many tools (at most {MAX_TOOLS})")
    if sum(len(json.dumps([each.description, each.parameters])) for each in tools.values()) > MAX_TOOLS_SIZE:
        raise InvalidRequest(place, f"the tools are too long (at most {MAX_TOOLS_SIZE} characters in all)")
    return replace(
        config, tools=(*tools.values(),), tool_timeouts=timeouts, refused=(*refused,), hangs_up=hangs_up
    )


def with_variables(config: AgentConfig, variables: Mapping[str, Variable]) -> AgentConfig:
    """Return ``config`` with the values of variables instead of their names, such as "{{name}}".

    Raises InvalidRequest for more than ``MAX_TEXT`` characters of values: a text can name one many times.
    """

    def filled(text: str) -> str:
        values = [str(variables.get(name, "")) for name in _VARIABLE.findall(text)]
        if sum(map(len, values)) > MAX_TEXT:
            raise InvalidRequest("dynamic_variables", f"too long in the text (at most {MAX_TEXT} characters)")
        return _VARIABLE.sub(lambda found: str(variables.get(found[1], found[0])), text)

    return replace(
        config, instructions=filled(config.instructions), first_message=filled(config.first_message)
    )
