"""Passes requests whose state one process keeps on to that one, the home: the first front.

A request is a connection to the home's Unix socket: its ASGI scope, then the messages of both sides, each as
MessagePack after its length. The home serves it as one of its own: its limits, keys and metrics count there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kani.core import shared_numbers
from kani.protocols.shared.protocol import BREAK_OFF, break_off
from kani.runtime.cancelling import end_tasks
from kani.server.health import HEALTH_PATH

HOME = 0
"""Row of the home."""

_LENGTH_BYTES = 4
_KEYS = (
    *("type", "asgi", "http_version", "method", "scheme", "path", "raw_path", "query_string", "root_path"),
    *("headers", "client", "server", "subprotocols"),
)
_DISCONNECT = {
    "http": {"type": "http.disconnect"},
    "websocket": {"type": "websocket.disconnect", "code": 1006},
}


def socket_of_home() -> Path | None:
    """Return the home's socket; None in a process that serves alone."""
    return None if shared_numbers.memory is None else shared_numbers.memory.folder / "home.sock"


def is_home() -> bool:
    """Return True in the process that keeps such state."""
    return shared_numbers.memory is None or shared_numbers.memory.row == HOME


@asynccontextmanager
async def served_for_others(app: ASGIApp) -> AsyncIterator[None]:
    """Serve the requests that other processes pass on, while the body runs in the home."""
    path = socket_of_home()
    if path is None or not is_home():
        yield
        return
    path.unlink(missing_ok=True)
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(_serve(app, reader, writer), name="request of another process")
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_unix_server(connected, path)
    try:
        yield
    finally:
        server.close()
        await end_tasks(*tasks)


async def _serve(app: ASGIApp, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        scope = await _read(reader)
        if scope is None:
            return
        scope |= {"state": {}, "extensions": {"websocket.http.response": {}}}
        if scope["type"] == "http":
            scope["extensions"] = {BREAK_OFF: {"call": writer.close}}

        async def receive() -> Message:
            return await _read(reader) or _DISCONNECT[scope["type"]]

        async def send(message: Message) -> None:
            await _write(writer, message)

        with suppress(OSError):
            await app(scope, receive, send)
    finally:
        writer.close()


@dataclass(eq=False)
class HomeMiddleware:
    """Passes requests to ``paths`` on to the home, and that for the health, which the home knows whole."""

    app: ASGIApp
    paths: Sequence[str]  # see ``Protocol.at_home``

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = socket_of_home()
        if is_home() or path is None or not self._is_at_home(scope):
            await self.app(scope, receive, send)
            return
        try:
            reader, writer = await asyncio.open_unix_connection(path)
        except OSError:
            # It starts, or it is started again: this process knows the rest of its health.
            if scope["path"] == HEALTH_PATH:
                await self.app(scope, receive, send)
            else:
                await _unavailable()(scope, receive, send)
            return
        try:
            await _pass_on(scope, receive, send, reader, writer)
        finally:
            writer.close()

    def _is_at_home(self, scope: Scope) -> bool:
        if scope["type"] not in _DISCONNECT:
            return False
        path, query = scope["path"], scope["query_string"].decode("latin-1")
        for known, _, parameter in (each.partition("?") for each in (HEALTH_PATH, *self.paths)):
            if parameter and path == known and f"{parameter}=" in query:
                return True
            if not parameter and (path == known or path.startswith(f"{known}/")):
                return True
        return False


async def _pass_on(
    scope: Scope, receive: Receive, send: Send, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    begun = complete = False

    async def upward() -> None:
        with suppress(OSError):
            await _write(writer, {key: scope[key] for key in _KEYS if key in scope})
            while True:
                message = await receive()
                await _write(writer, message)
                if message["type"] == _DISCONNECT[scope["type"]]["type"]:
                    return

    reading = asyncio.create_task(upward(), name="input for the home")
    try:
        while (message := await _read(reader)) is not None:
            begun = True
            complete = message["type"] == "websocket.close" or (
                message["type"].endswith("response.body") and not message.get("more_body", False)
            )
            await send(message)
    finally:
        await end_tasks(reading)
    if not begun:
        await _unavailable()(scope, receive, send)
    elif not complete and scope["type"] == "http":
        break_off(scope)
    elif not complete:
        with suppress(OSError, RuntimeError):
            await send({"type": "websocket.close", "code": 1011, "reason": "its process was lost"})


def _unavailable() -> JSONResponse:
    answer = {"error": {"message": "the process that serves this is being started again"}}
    return JSONResponse(answer, 503, {"retry-after": "1"})


async def _write(writer: asyncio.StreamWriter, message: Message) -> None:
    content = msgspec.msgpack.encode(message)
    writer.write(len(content).to_bytes(_LENGTH_BYTES) + content)
    await writer.drain()


async def _read(reader: asyncio.StreamReader) -> dict[str, Any] | None:
    """Return the next message; None at the end."""
    try:
        length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES))
        message: dict[str, Any] = msgspec.msgpack.decode(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, OSError):
        return None
    return message
