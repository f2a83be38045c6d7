"""The tools of MCP servers in one session: listed as a server is named, and called for the model."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile

import httpx2

from kani.core.chat_model import Tool
from kani.core.conversation.early import Start
from kani.core.conversation.items import FunctionOutput, Item, Message, ServerCall, ToolList, new_id
from kani.protocols.openai.realtime.answers.tools import read_tools
from kani.protocols.openai.realtime.client_events import EventError
from kani.protocols.openai.realtime.conversation import Conversation, item_json
from kani.protocols.openai.realtime.mcp.client import McpClient, McpFailed
from kani.protocols.openai.realtime.mcp.servers import MAX_SERVERS, McpServer
from kani.protocols.openai.realtime.server_events import EventSender
from kani.protocols.openai.realtime.session_config import SessionConfig

MAX_CALLS = 32
"""Calls in a row, after which the model is not asked again by itself."""

_authorities = functools.cache(httpx2.create_ssl_context)  # reading them takes longer than a request


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
    _listing: int = 0

    def use(self, servers: Sequence[McpServer]) -> None:
        """List the tools of further servers, and leave those that are not named any more."""
        for client in [client for client in self._clients if client.server not in servers]:
            self._clients.remove(client)
            self._listed = [tool for tool in self._listed if tool.client is not client]
            self.start(client.aclose())
        known = [client.server for client in self._clients]
        for server in servers:
            if server not in known:
                self.start(self._list(server))

    async def _list(self, server: McpServer) -> None:
        if self._listing >= MAX_SERVERS:
            await self._sender.error(EventError("session.tools: too many MCP servers at once", "server_busy"))
            return
        item = ToolList(new_id("mcpl"), server.server_label)
        self._listing += 1
        try:
            client = McpClient(server, await asyncio.to_thread(_authorities))
            self._clients.append(client)
            previous = self._conversation.append(item)
            added = {"previous_item_id": previous, "item": item_json(item)}
            await self._sender.send("conversation.item.added", **added)
            await self._sender.send("mcp_list_tools.in_progress", item_id=item.id)
            found = await self._read(client)
        except (McpFailed, EventError) as error:
            await self._sender.send("mcp_list_tools.failed", item_id=item.id)
            reason = f"session.tools: the MCP server {server.server_label!r}: {error}"
            await self._sender.error(EventError(reason, "mcp_list_tools_failed", "session.tools"))
            return
        finally:
            self._listing -= 1
        if client in self._clients:
            self._listed += found
        listed = [
            {"name": tool.name, "description": tool.description, "input_schema": tool.parameters}
            for tool in found
        ]
        self._conversation.change(item, tools=tuple(listed))
        await self._sender.send("mcp_list_tools.completed", item_id=item.id)
        await self._sender.send("conversation.item.done", item=item_json(item))

    async def _read(self, client: McpClient) -> list[ServerTool]:
        """Return the tools of a server that the session may use. Raises McpFailed and EventError."""
        given = [
            {"type": "function", "name": tool.name, "description": tool.description}
            | {"parameters": tool.input_schema}
            for tool in await client.tools()
            if client.server.allows(tool.name)
        ]
        read, _ = read_tools(given, "tools", ())
        return [ServerTool(tool.name, tool.description, tool.parameters, client, self) for tool in read]

    def added_to(self, config: SessionConfig) -> SessionConfig:
        """Return ``config`` with the listed tools; of one name the client's own is called."""
        tools = {tool.name: tool for tool in (*self._listed, *config.tools)}
        return replace(config, tools=(*tools.values(),)) if self._listed else config

    @property
    def calls(self) -> int:
        """Calls since the client has last said or done something."""
        items = reversed(self._conversation.items)
        own = takewhile(lambda item: not _is_clients(item), items)
        return sum(isinstance(item, ServerCall) for item in own)

    def go_on(self) -> None:
        """Have the model answer to results, unless it calls tools again and again."""
        if self.calls < MAX_CALLS:
            self._ask()

    async def aclose(self) -> None:
        await asyncio.gather(*(client.aclose() for client in self._clients))


def _is_clients(item: Item) -> bool:
    return isinstance(item, FunctionOutput) or (isinstance(item, Message) and item.role != "assistant")
