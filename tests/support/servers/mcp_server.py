"""An MCP server of the SDK's, on a free port: a clock, a tool that fails, and one that waits."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tests.support.servers.asgi import served


@dataclass
class ToolServer:
    url: str = ""
    asked: list[tuple[str, Headers]] = field(default_factory=list)  # methods and headers of its requests
    zones: list[str] = field(default_factory=list)  # that the clock was asked for
    refuses: bool = False  # answers with 503
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def tool_server(*, json_response: bool) -> AsyncIterator[ToolServer]:
    """json_response: whether it answers with JSON, else with a stream of events."""
    made, sdk = ToolServer(), MCPServer("clocks")

    @sdk.tool()
    def clock(zone: str) -> str:
        """Tell the time."""
        made.zones.append(zone)
        return f"It is ten in {zone}."

    @sdk.tool()
    def alarm() -> str:
        """Set an alarm."""
        raise ToolError("no bell")

    @sdk.tool()
    async def wait() -> str:
        """Wait."""
        await made.may_answer.wait()
        return "waited"

    app = sdk.streamable_http_app(json_response=json_response)

    async def noted(scope: Scope, receive: Receive, send: Send) -> None:
        made.asked.append((scope["method"], Headers(scope=scope)))
        await (Response(status_code=503) if made.refuses else app)(scope, receive, send)

    ready, over = asyncio.Event(), asyncio.Event()

    async def run() -> None:
        # The SDK's scopes end in the task in which they began, which is not so in a fixture.
        async with sdk.session_manager.run(), served(noted) as port:
            made.url = f"http://127.0.0.1:{port}/mcp"
            ready.set()
            await over.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(run())
        await ready.wait()
        try:
            yield made
        finally:
            made.may_answer.set()
            over.set()
