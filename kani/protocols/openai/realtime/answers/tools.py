"""Tools of a session or a response: functions of the client, and MCP servers that have some."""

import json
from collections.abc import Collection, Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from kani.core.chat_model import Tool
from kani.protocols.openai.realtime.client_events import convert, faulty

MAX_TOOLS = 128
MAX_SIZE = 2**18
"""Bytes of all tools as JSON."""


MAX_SERVERS = 8

_Text = Annotated[str, Meta(min_length=1, max_length=8192)]


class _Allowed(Struct, frozen=True, forbid_unknown_fields=True):
    tool_names: list[_Text]


FailureKind = Literal["http_error", "protocol_error", "tool_execution_error"]


class McpFailed(Exception):
    """A request without a result; ``str()`` is for clients. Kinds and codes are those of OpenAI's items."""

    def __init__(self, kind: FailureKind, message: str, code: int = 0) -> None:
        super().__init__(message)
        self._kind, self._code = kind, code

    def as_json(self) -> dict[str, Any]:
        """Return the error of an item."""
        code = {"code": self._code} if self._kind != "tool_execution_error" else {}
        return {"type": self._kind, "message": str(self), **code}


class McpServer(Struct, frozen=True):
    """An element of ``tools``. ``require_approval`` has no default, since OpenAI's is to ask."""

    type: Literal["mcp"]
    server_label: Annotated[str, Meta(min_length=1, max_length=200)]
    server_url: _Text
    require_approval: Literal["never"]
    authorization: _Text | None = None
    headers: Annotated[dict[str, str], Meta(max_length=0)] | None = None
    allowed_tools: list[_Text] | _Allowed | None = None

    def allows(self, name: Any) -> bool:
        """Return True for a tool that the session may use."""
        allowed = self.allowed_tools
        return allowed is None or name in (allowed.tool_names if isinstance(allowed, _Allowed) else allowed)

    def as_json(self) -> dict[str, Any]:
        """Return the element without its secret."""
        names = ("type", "server_label", "server_url", "require_approval")
        return {name: getattr(self, name) for name in names}


class _Tool(Struct):
    type: Literal["function"]
    name: Annotated[str, Meta(min_length=1, max_length=200)]
    description: str | None = None
    parameters: dict[str, Any] | None = None


_NO_PARAMETERS = {"type": "object", "properties": {}}


def read_tools(
    given: Sequence[Any], root: str, known_servers: Collection[str]
) -> tuple[tuple[Tool, ...], tuple[McpServer, ...]]:
    """Return the functions of a list of tools, and MCP servers at known addresses. Raises EventError."""
    param, functions, servers = f"{root}.tools", list[Tool](), list[McpServer]()
    if len(given) > MAX_TOOLS:
        raise faulty(param, f"too many tools (at most {MAX_TOOLS})")
    for number, each in enumerate(given):
        where = f"{param}[{number}]"
        if known_servers and isinstance(each, dict) and each.get("type") == "mcp":
            servers.append(_read_server(each, where, known_servers))
            continue
        tool = convert(each, _Tool, where)
        functions.append(Tool(tool.name, tool.description or "", tool.parameters or _NO_PARAMETERS))
    if len(servers) > MAX_SERVERS:
        raise faulty(param, f"too many MCP servers (at most {MAX_SERVERS})")
    # Python's encoder writes half a surrogate pair as an escape; others refuse it.
    if len(json.dumps(tools_json(functions))) > MAX_SIZE:
        raise faulty(param, f"too long (at most {MAX_SIZE >> 10} KiB in all)", "string_above_max_length")
    return tuple(functions), tuple(servers)


def _read_server(given: Any, param: str, known: Collection[str]) -> McpServer:
    """Read an element. Raises EventError, also for an address that is not ``known``."""
    server = convert(given, McpServer, param)
    if server.server_url not in known:
        reason = "is not listed in this server's KANI_MCP_SERVERS"
        raise faulty(f"{param}.server_url", reason, "unsupported")
    if (key := server.authorization) is not None and not (key.isascii() and key.isprintable()):
        raise faulty(f"{param}.authorization", "must be printable ASCII")
    return server


def read_choice(given: Any, root: str) -> str:
    """Return a ``tool_choice`` as ``ChatRequest`` has it. Raises EventError."""
    if given in (None, "auto", "none", "required"):
        return given or "auto"
    return convert(given, _Tool, f"{root}.tool_choice").name


def tools_json(tools: Sequence[Tool]) -> list[dict[str, Any]]:
    names = ("name", "description", "parameters")
    return [{"type": "function", **{name: getattr(tool, name) for name in names}} for tool in tools]


def choice_json(choice: str) -> Any:
    known = ("auto", "none", "required")
    return choice if choice in known else {"type": "function", "name": choice}
