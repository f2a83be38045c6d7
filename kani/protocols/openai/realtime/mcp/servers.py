"""MCP servers among the tools of a session."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from kani.protocols.openai.realtime.client_events import EventError, convert

MAX_SERVERS = 8

_Text = Annotated[str, Meta(min_length=1, max_length=8192)]


class _Allowed(Struct, frozen=True, forbid_unknown_fields=True):
    tool_names: list[_Text]


class McpServer(Struct, frozen=True):
    """An element of ``tools``. Who does not say that calls need no approval wants to be asked."""

    type: Literal["mcp"]
    server_label: Annotated[str, Meta(min_length=1, max_length=200)]
    server_url: _Text
    require_approval: Literal["never"]
    authorization: _Text | None = None
    headers: Annotated[dict[str, str], Meta(max_length=0)] | None = None
    allowed_tools: list[_Text] | _Allowed | None = None

    def allows(self, name: str) -> bool:
        """Return True for a tool that the session may use."""
        allowed = self.allowed_tools
        return allowed is None or name in (allowed.tool_names if isinstance(allowed, _Allowed) else allowed)

    def as_json(self) -> dict[str, Any]:
        """Return the element without its secret."""
        names = ("type", "server_label", "server_url", "require_approval")
        return {name: getattr(self, name) for name in names}


def read_server(given: Any, param: str, known: Collection[str]) -> McpServer:
    """Read an element. Raises EventError, also for an address that is not ``known``."""
    server = convert(given, McpServer, param)
    if server.server_url not in known:
        param = f"{param}.server_url"
        raise EventError(f"{param}: is not listed in this server's KANI_MCP_SERVERS", "unsupported", param)
    if (key := server.authorization) is not None and not (key.isascii() and key.isprintable()):
        param = f"{param}.authorization"
        raise EventError(f"{param}: must be printable ASCII", "invalid_value", param)
    return server
