"""MCP servers among the tools of a session: listed as they are named, and called for the model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from kani.core.chat_model import Tool
from kani.core.conversation.early import Start
from kani.core.conversation.items import FunctionOutput, Message, ServerCall, ToolList, new_id
from kani.protocols.openai.realtime.answers.tools import McpFailed, McpServer, read_tools
from kani.protocols.openai.realtime.client_events import EventError
from kani.protocols.openai.realtime.conversation import Conversation, item_json
from kani.protocols.openai.realtime.server_events import EventSender
from kani.protocols.openai.realtime.session_config import SessionConfig

if TYPE_CHECKING:
    from kani.protocols.openai.realtime.mcp_client import McpClient

MAX_CALLS = 32
"""Calls in a row, after which the model is not asked again by itself."""


@dataclass(frozen=True, slots=True)
class ServerTool(Tool):
    """A tool that is called from here."""

    client: McpClient
    tools: McpTools


@dataclass(eq=False)
class McpTools:
    """The servers of one session, and their tools."""

    _sender: EventSender
    _conversation: Conversation
    start: Start  # runs a coroutine as a task of the connection
    _ask: Callable[[], None]  # has the model answer
    _clients: list[McpClient] = field(default_factory=list)
    _listed: list[ServerTool] = field(default_factory=list)

    async def use(self, servers: Sequence[McpServer]) -> None:
        """List the tools of further servers, and leave those that are not named any more."""
        from kani.protocols.openai.realtime.mcp_client import McpClient

        for server in servers:
            if all(client.server != server for client in self._clients):
                client = McpClient(server)
                self._clients.append(client)
                self.start(self._list(client))
        left = [client for client in self._clients if client.server not in servers]
        self._clients = [client for client in self._clients if client not in left]
        self._listed = [tool for tool in self._listed if tool.client not in left]
        # The next event waits, so that no number of changes leaves many that still close.
        await asyncio.gather(*(client.aclose() for client in left))

    async def _list(self, client: McpClient) -> None:
        if client not in self._clients:
            return
        label, send = client.server.server_label, self._sender.send
        item = ToolList(new_id("mcpl"), label)
        previous = self._conversation.append(item)
        await send("conversation.item.added", previous_item_id=previous, item=item_json(item))
        await send("mcp_list_tools.in_progress", item_id=item.id)
        try:
            read, _ = read_tools(await client.tools(), "tools", ())
        except (McpFailed, EventError) as error:
            await send("mcp_list_tools.failed", item_id=item.id)
            if client in self._clients:
                self._clients.remove(client)  # the next change tries again
                reason = f"session.tools: the MCP server {label!r}: {error}"
                await self._sender.error(EventError(reason, "mcp_list_tools_failed", "session.tools"))
                await client.aclose()
            return
        found = [ServerTool(tool.name, tool.description, tool.parameters, client, self) for tool in read]
        if client in self._clients:
            self._listed += found
        listed = [
            {"name": tool.name, "description": tool.description, "input_schema": tool.parameters}
            for tool in found
        ]
        self._conversation.change(item, tools=tuple(listed))
        await send("mcp_list_tools.completed", item_id=item.id)
        await send("conversation.item.done", item=item_json(item))

    def added_to(self, config: SessionConfig) -> SessionConfig:
        """Return ``config`` with the listed tools; of one name the client's own is called."""
        tools = {tool.name: tool for tool in (*self._listed, *config.tools)}
        return replace(config, tools=(*tools.values(),)) if self._listed else config

    def go_on(self) -> None:
        """Have the model answer to results, unless it has called tools again and again by itself."""
        calls = 0
        for item in self._conversation.items:
            said = isinstance(item, FunctionOutput) or (
                isinstance(item, Message) and item.role != "assistant"
            )
            calls = 0 if said else calls + isinstance(item, ServerCall)
        if calls < MAX_CALLS:
            self._ask()

    async def aclose(self) -> None:
        await asyncio.gather(*(client.aclose() for client in self._clients))
