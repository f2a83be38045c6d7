"""Fields that a language model is asked by, of a session or of one response."""

from dataclasses import replace
from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from kani.protocols.openai.realtime.answers.tools import read_choice, read_tools
from kani.protocols.openai.realtime.client_events import faulty, unsupported
from kani.protocols.openai.realtime.session_config import SessionConfig
from kani_text import foreign

MAX_INSTRUCTIONS = 200_000
MAX_TOKENS = 1_000_000

Modalities = list[Literal["text", "audio"]]


class _Reasoning(Struct):
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None


class ModelFields(Struct):
    """The fields in both generations: ``modalities`` and ``max_response_output_tokens`` are the beta's.

    The values of those without a type are read only where a model answers.
    """

    instructions: Any = UNSET
    tools: list[Any] | UnsetType | None = UNSET
    tool_choice: Any = UNSET
    output_modalities: Modalities | UnsetType | None = UNSET
    modalities: Modalities | UnsetType | None = UNSET
    max_output_tokens: Any = UNSET
    max_response_output_tokens: Any = UNSET
    parallel_tool_calls: bool | UnsetType | None = UNSET
    reasoning: _Reasoning | UnsetType | None = UNSET


def with_model_fields(config: SessionConfig, given: ModelFields, root: str) -> SessionConfig:
    """Return ``config`` with the fields that are given. Raises EventError."""
    if given.instructions is not UNSET:
        config = replace(config, instructions=_text(given.instructions, f"{root}.instructions"))
    if given.tools is not UNSET:
        known = config.known_servers if root == "session" else ()
        tools, servers = read_tools(given.tools or (), root, known)
        config = replace(config, tools=tools, servers=servers)
    if given.tool_choice is not UNSET:
        config = replace(config, tool_choice=read_choice(given.tool_choice, root))
    named = {tool.name for tool in config.tools}
    if config.tool_choice not in ("auto", "none", "required", *named):
        raise faulty(f"{root}.tool_choice", f"no tool has the name {config.tool_choice!r}")
    for modalities in (given.modalities, given.output_modalities):
        if isinstance(modalities, list) and modalities:
            config = replace(config, written="audio" not in modalities)
    for name in ("max_response_output_tokens", "max_output_tokens"):
        if (tokens := getattr(given, name)) is not UNSET:
            config = replace(config, max_output_tokens=_tokens(tokens, f"{root}.{name}"))
    if given.parallel_tool_calls is not UNSET:
        config = replace(config, parallel_tool_calls=given.parallel_tool_calls)
    if given.reasoning is not UNSET:
        effort = None if given.reasoning is None else given.reasoning.effort
        config = replace(config, reasoning_effort=effort)
    return config


def refuse_model_fields(given: ModelFields, modalities: Any, root: str) -> None:
    """Raise EventError for what only a language model can do: calls of tools, and answers as text."""
    if isinstance(given.tools, list) and given.tools and given.tool_choice != "none":
        raise unsupported(f"{root}.tools: tools cannot be called", f"{root}.tools")
    if isinstance(modalities, list) and modalities and "audio" not in modalities:
        param = f"{root}.output_modalities"
        raise unsupported(f"{param}: answers are audio", param)


def _text(given: Any, param: str) -> str:
    if given is None:
        return ""
    if not isinstance(given, str):
        raise faulty(param, "must be a string", "invalid_type")
    if len(given) > MAX_INSTRUCTIONS:
        raise faulty(param, f"too long (at most {MAX_INSTRUCTIONS} characters)", "string_above_max_length")
    return given


def _tokens(given: Any, param: str) -> int | None:
    if given in (None, "inf"):
        return None
    try:
        tokens = foreign.convert(given, int)
    except foreign.Unreadable:
        tokens = 0
    if not 1 <= tokens <= MAX_TOKENS:
        raise faulty(param, f'must be a whole number from 1 to {MAX_TOKENS}, or "inf"')
    return tokens
