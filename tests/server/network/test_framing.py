"""Requests that two servers could see end at two places: nothing that follows is served."""

import asyncio

import pytest
from starlette.types import Receive, Scope, Send

from tests.support.patience import WITHIN_S
from tests.support.servers import asgi

LENGTH, CHUNKED = "Content-Length: 4", "Transfer-Encoding: chunked"
UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA=="
BODY = "4\r\nabcd\r\n0\r\n\r\n"
NEXT = "GET /next HTTP/1.1\r\nHost: localhost\r\n\r\n"
REFUSED = b"Content-Length and Transfer-Encoding in one request"


async def answers(*heads: str) -> tuple[list[str], bytes]:
    """Send a request with each head and a chunked body, and another one; return what was served, and all
    output until the server closes.
    """
    served = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        served.append(scope["path"])
        while (message := await receive())["type"] == "http.request" and message["more_body"]:
            pass
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async with asgi.served(application) as port, asyncio.timeout(WITHIN_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for head in heads:
            writer.write(f"{head}\r\n\r\n{BODY}{NEXT}".encode())
        output = await reader.read()
        writer.close()
    return served, output


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize(
    "headers",
    [
        (LENGTH, CHUNKED),
        (CHUNKED, LENGTH),
        ("content-length: 0", "TRANSFER-ENCODING:\tChunked "),
        ("Content-Length: 14, 14", CHUNKED),
        (LENGTH, LENGTH, CHUNKED),
        (CHUNKED, "X: y", LENGTH, "Expect: 100-continue"),
        ("Connection: keep-alive", CHUNKED, LENGTH),
        (CHUNKED, LENGTH, UPGRADE),
    ],
)
async def test_both_lengths_of_a_body_are_refused(version: str, headers: tuple[str, ...]) -> None:
    head = "\r\n".join((f"POST /both HTTP/{version}", "Host: localhost", *headers))
    served, output = await answers(head)
    assert served == []
    assert output.startswith(b"HTTP/1.1 400 ") and b"connection: close" in output.lower()
    assert output.count(b"HTTP/1.1 ") == 1 and REFUSED in output


@pytest.mark.parametrize(
    "headers",
    [
        ("Content-Length: 4", "Content-Length: 14"),
        ("Content-Length: 4, 14",),
        ("Content-Length: +4",),
        ("Content-Length: 0x4",),
        ("Content-Length: 4 4",),
        ("Content-Length:",),
        ("Content-Length : 4",),
        (CHUNKED, CHUNKED),
        ("Transfer-Encoding: chunked, identity",),
        ("Transfer-Encoding: gzip, chunked",),
        ("Transfer-Encoding: xchunked",),
        ("Transfer-Encoding: chunked;a=b",),
        ("Transfer-Encoding : chunked",),
        ("Transfer-Encoding:", LENGTH),
        ("Transfer-Encoding: identity", LENGTH),
    ],
)
async def test_doubtful_lengths_are_refused(headers: tuple[str, ...]) -> None:
    served, output = await answers("\r\n".join(("POST /odd HTTP/1.1", "Host: localhost", *headers)))
    assert served == [] and output.startswith(b"HTTP/1.1 400 ") and output.count(b"HTTP/1.1 ") == 1


async def test_nothing_follows_chunks_of_http_1_0() -> None:
    head = f"POST /old HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n{CHUNKED}"
    served, output = await answers(head)
    assert served == ["/old"] and output.count(b"HTTP/1.1 ") == 1


async def test_refused_request_leaves_the_one_before_its_answer() -> None:
    one = f"POST /one HTTP/1.1\r\nHost: localhost\r\n{CHUNKED}"
    served, output = await answers(one, f"{one}\r\n{LENGTH}", one)
    assert served == ["/one", "/next"]
    assert [answer[:3] for answer in output.split(b"HTTP/1.1 ")[1:]] == [b"200", b"200", b"400"]
