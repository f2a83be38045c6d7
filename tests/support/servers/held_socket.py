"""A client in this event loop that takes each message by hand: what the server sends ahead waits."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from starlette.types import ASGIApp, Message

TURNS = 50
"""Turns of the event loop after which a message that was read has been handled: that needs no thread."""


class HeldSocket:
    """A WebSocket of an application: one message is sent ahead of those taken, and the next one waits."""

    def __init__(self) -> None:
        self.incoming: asyncio.Queue[Message] = asyncio.Queue()
        self.outgoing: asyncio.Queue[Message] = asyncio.Queue(1)

    async def send(self, *messages: Mapping[str, Any]) -> None:
        for message in messages:
            await self.incoming.put({"type": "websocket.receive", "text": json.dumps(message)})

    async def until_read(self) -> None:
        """Return once the application has read and handled all that was sent, or waits to answer it."""
        while self.incoming.qsize():
            await asyncio.sleep(0)
        for _ in range(TURNS):
            await asyncio.sleep(0)

    async def take(self) -> Any:
        """Take the next message: an object, or the bytes of a binary one."""
        message = await self.outgoing.get()
        assert message["type"] == "websocket.send", message
        text = message.get("text")
        return message["bytes"] if text is None else json.loads(text)

    async def take_until(self, found: Callable[[Any], bool]) -> list[Any]:
        """Take messages up to the first that is meant."""
        taken = [await self.take()]
        while not found(taken[-1]):
            taken.append(await self.take())
        return taken


@asynccontextmanager
async def connected(app: ASGIApp, path: str, query: str = "") -> AsyncIterator[HeldSocket]:
    """Connect to ``path`` of ``app``; the connection has ended when the context has."""
    socket = HeldSocket()
    await socket.incoming.put({"type": "websocket.connect"})
    scope = {
        "type": "websocket",
        "scheme": "ws",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "subprotocols": [],
    }
    serving = asyncio.create_task(app(scope, socket.incoming.get, socket.outgoing.put))
    assert (await socket.outgoing.get())["type"] == "websocket.accept"
    yield socket
    await socket.incoming.put({"type": "websocket.disconnect", "code": 1000})
    while not serving.done():
        # What is sent now goes nowhere.
        while socket.outgoing.qsize():
            socket.outgoing.get_nowait()
        await asyncio.sleep(0)
    await serving
