"""One session with an MCP server over HTTP: its tools, and calls of them.

Source: https://modelcontextprotocol.io/specification/2025-06-18/basic/transports
"""

import asyncio
import functools
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from itertools import count
from typing import Any

import httpx2
from msgspec import Struct

from kani.core.audio.decoding import STREAM_POOL, run_in_pool
from kani.protocols.openai.realtime.answers.tools import McpFailed, McpServer
from kani.protocols.shared.calls.bodies import parse_object
from kani.runtime import bounded_http
from kani.runtime.bounded_http.events import event_data
from kani_text import foreign

VERSION = "2025-06-18"
ANSWER_S, CLOSE_S = 30.0, 2.0
"""Longest time of one request, and of the end of a session."""

MAX_BYTES = 2**20
"""Bytes of one answer."""

MAX_PAGES = 16
"""Pages of a list of tools."""

MAX_RESULT = 2**16
"""Characters of a result that the model gets."""

_HEADERS = {
    "Accept": "application/json, text/event-stream",
    "Content-Type": "application/json",
    "MCP-Protocol-Version": VERSION,
}
_SESSION = "Mcp-Session-Id"
_ABOUT = {"protocolVersion": VERSION, "capabilities": {}, "clientInfo": {"name": "kani-tts", "version": "1"}}


class _Content(Struct):
    type: str
    text: str = ""


class _Result(Struct, rename="camel"):
    """The results of all requests that are sent."""

    tools: list[dict[str, Any]] = []
    next_cursor: str | None = None
    content: list[_Content] = []
    is_error: bool = False


class _Error(Struct):
    code: int = 0
    message: str = ""


class _Reply(Struct):
    method: str | None = None  # of the server's own requests and notifications
    id: int | str | None = None
    result: _Result | None = None
    error: _Error | None = None


class McpClient:
    """One session with a server, which the first request opens."""

    def __init__(self, server: McpServer) -> None:
        self.server = server
        self._made: httpx2.AsyncClient | None = None
        self._limits = set[asyncio.Timeout]()  # of the requests that wait for an answer
        self._ids = count(1)
        self._opening = asyncio.Lock()
        self._opened = self._closing = False

    async def tools(self) -> list[dict[str, Any]]:
        """Return the server's tools that a session may use, as functions, unchecked. Raises McpFailed."""
        found, params = list[dict[str, Any]](), dict[str, Any]()
        for _ in range(MAX_PAGES):
            page = await self._ask("tools/list", params)
            for tool in page.tools:
                if self.server.allows(tool.get("name")):
                    parameters = tool.get("inputSchema")
                    found.append({**tool, "type": "function", "parameters": parameters})
            if page.next_cursor is None:
                break
            params = {"cursor": page.next_cursor}
        return found

    async def call(self, name: str, arguments: str) -> str:
        """Return the result of a tool as text; arguments: a JSON object. Raises McpFailed."""
        try:
            given = foreign.convert(foreign.parse_json(arguments or "{}"), dict)
        except foreign.Unreadable as error:
            raise McpFailed("tool_execution_error", "the arguments are not a JSON object") from error
        result = await self._ask("tools/call", {"name": name, "arguments": given})
        text = "\n".join(each.text or f"[{each.type}]" for each in result.content)[:MAX_RESULT]
        if result.is_error:
            raise McpFailed("tool_execution_error", text)
        return text

    async def aclose(self) -> None:
        """End the session, if the server answers soon. Its requests fail, those that wait included."""
        self._closing = True
        for limit in self._limits:
            if not limit.expired():
                limit.reschedule(0)
        if (http := self._made) is None:
            return
        async with aclosing(http):
            with suppress(httpx2.HTTPError, TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    if _SESSION in http.headers:
                        await http.delete(self.server.server_url)

    async def _http(self) -> httpx2.AsyncClient:
        """Return the client of HTTP; raises McpFailed once it is to be closed."""
        if self._made is None:
            tls, key = await asyncio.to_thread(_authorities), self.server.authorization
            headers = _HEADERS | ({} if key is None else {"Authorization": f"Bearer {key}"})
            # No redirect is followed: it might lead to an address that is not listed.
            self._made = bounded_http.new_client(timeout=ANSWER_S, headers=headers, tls=tls, keepalive=1)
        if self._closing:
            raise McpFailed("http_error", "the session does not name it any more")
        return self._made

    async def _ask(self, method: str, params: dict[str, Any]) -> _Result:
        async with self._opening:
            if not self._opened:
                (await self._http()).headers.pop(_SESSION, None)
                await self._post("initialize", _ABOUT)
                await self._post("notifications/initialized", None)
                self._opened = True
        return await self._post(method, params)

    async def _post(self, method: str, params: dict[str, Any] | None) -> _Result:
        """Send a request, or without ``params`` a notification, which has no result. Raises McpFailed."""
        message: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
        if params is not None:
            message |= {"id": next(self._ids), "params": params}
        http = await self._http()
        limit = asyncio.timeout(ANSWER_S)
        try:
            async with limit:
                self._limits.add(limit)
                async with http.stream("POST", self.server.server_url, content=json.dumps(message)) as answer:
                    if not answer.is_success:
                        self._opened = self._opened and answer.status_code != 404  # of an ended session
                        reason = f"it answered with HTTP {answer.status_code}"
                        raise McpFailed("http_error", reason, answer.status_code)
                    if method == "initialize" and (session := answer.headers.get(_SESSION)):
                        http.headers[_SESSION] = session
                    return _Result() if params is None else await _result(answer, message["id"])
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as error:
            raise McpFailed("http_error", f"it gave no answer ({type(error).__name__})") from error
        except ValueError as error:
            raise McpFailed("protocol_error", f"it sent what is not MCP: {error}") from error
        finally:
            self._limits.discard(limit)


async def _result(answer: httpx2.Response, request_id: int) -> _Result:
    """Return the result among the messages of an answer. Raises McpFailed, ValueError and httpx2's errors."""
    async with aclosing(_messages(answer)) as messages:
        async for data in messages:
            reply = foreign.convert(await run_in_pool(STREAM_POOL, parse_object, data), _Reply)
            if reply.method is None and reply.id == request_id:
                if reply.error is not None:
                    raise McpFailed("protocol_error", reply.error.message[:MAX_RESULT], reply.error.code)
                return reply.result or _Result()
    raise McpFailed("protocol_error", "it sent no result")


async def _messages(answer: httpx2.Response) -> AsyncGenerator[bytes, None]:
    if not answer.headers.get("content-type", "").startswith("text/event-stream"):
        yield await bounded_http.body(answer, MAX_BYTES)
        return
    async for data in event_data(bounded_http.pieces(answer, MAX_BYTES)):
        yield data


_authorities = functools.cache(httpx2.create_ssl_context)  # reading them takes longer than a request
