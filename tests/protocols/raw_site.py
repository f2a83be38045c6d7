"""An HTTP host with raw answers, byte for byte, which counts its connections."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

Answer = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def redirect(location: str, status: str = "302 Found") -> bytes:
    return answer(b"", f"Location: {location}", status=status)


def endless(head: bytes, piece: bytes, pause_s: float = 0.0) -> Answer:
    """The beginning of an answer, and what comes then for ever, at once or with pauses."""

    async def write(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return write


class Site:
    """answers: by path; otherwise: of other paths; heads: what was asked, as it came; visits: connections."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.otherwise: Answer = answer(b"", status="404 Not Found")
        self.heads: list[str] = []
        self.visits = 0
        self.port = 0

    def url(self, path: str = "/", host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits += 1
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            if (length := re.search(r"(?i)content-length: (\d+)", head)) is not None:
                await reader.readexactly(int(length[1]))
            path = head.split(" ", 2)[1]
            reply = self.answers.get(path, self.otherwise)
            if isinstance(reply, bytes):
                writer.write(reply)
                await writer.drain()
            else:
                await reply(writer)
        writer.close()


@asynccontextmanager
async def opened(address: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> AsyncIterator[Site]:
    site = Site()
    visits: set[asyncio.Task[None]] = set()

    async def visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        visits.add(task)
        try:
            await site.serve(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            visits.discard(task)

    server = await asyncio.start_server(visit, address, 0, ssl=tls)
    site.port = server.sockets[0].getsockname()[1]
    try:
        yield site
    finally:
        server.close()
        for task in list(visits):
            task.cancel()
        if visits:
            await asyncio.wait(list(visits))
        await server.wait_closed()
