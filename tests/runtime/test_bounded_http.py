"""Answers of other machines are bounded, and hold the event loop for no time that a client would notice."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import h11
import httpx2
import pytest
import trustme

from kani.core.chat_model import ChatFailed, ChatMessage, ChatRequest
from kani.engines.chat.endpoint import ChatEndpoint, ChatSettings
from kani.runtime import bounded_http
from kani.runtime.bounded_http import AnswerRefused
from tests.protocols import raw_site
from tests.support.patience import WITHIN_S


@asynccontextmanager
async def answering(head: bytes, body: bytes) -> AsyncIterator[str]:
    """Address of a server that answers each request with these bytes."""
    async with raw_site.opened() as site:
        site.answers |= dict.fromkeys(("/", "/chat/completions"), b"HTTP/1.1 " + head + b"\r\n\r\n" + body)
        yield site.url("")


async def read(url: str, max_bytes: int = 1000, **rest: Any) -> bytes:
    async with bounded_http.new_client(timeout=60) as client, client.stream("GET", url) as answer:
        return b"".join([piece async for piece in bounded_http.pieces(answer, max_bytes, **rest)])


def chunked(body: bytes, size: int) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


async def test_body_within_the_limits_comes_as_it_is() -> None:
    async with answering(b"200 OK\r\ncontent-length: 1000", b"a" * 1000) as url:
        assert await read(url) == b"a" * 1000
    async with answering(
        b"200 OK\r\ncontent-encoding: identity\r\ntransfer-encoding: chunked", chunked(b"abc", 1)
    ) as url:
        assert await read(url, max_pieces=3) == b"abc"


@pytest.mark.parametrize(
    ("head", "body", "fault"),
    [
        (b"content-encoding: gzip", gzip.compress(b"a", mtime=0), "is compressed"),
        (b"content-encoding: identity, GZIP", b"a", "is compressed"),
        (b"content-encoding: br\r\ncontent-encoding: identity", b"a", "is compressed"),
        (b"x: y", b"a" * 1001, "more than 1000 bytes"),
        (b"transfer-encoding: chunked", chunked(b"a" * 101, 1), "more than 100 pieces"),
    ],
)
async def test_other_bodies_are_refused_in_words(head: bytes, body: bytes, fault: str) -> None:
    async with answering(b"200 OK\r\n" + head, body) as url:
        with pytest.raises(AnswerRefused, match=fault):
            await read(url, max_pieces=100)


async def test_client_asks_for_no_coding_and_follows_nowhere() -> None:
    async with bounded_http.new_client(timeout=60) as client:
        assert client.headers["accept-encoding"] == "identity"
        async with answering(b"302 Found\r\nlocation: http://127.0.0.1:1/", b"") as url:
            assert (await client.get(url)).status_code == httpx2.codes.FOUND


HEADS = [
    (b"", b"HTTP/1.1 100 C\r\n\r\n"),
    (b"", b"HTTP/1.1 102 \n\n"),
    (b"", b"HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n"),
    (b"", b"HTTP/1.1 199 x\r\n" + b"a: b\r\n" * 50 + b"\r\n"),
    (b"HTTP/1.1 200 OK\r\n", b"a:\n"),
    (b"HTTP/1.1 200 OK\r\na: ", b"b" * 1000),
    (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 20_000 + b"\r\n", b"c"),
]
"""Beginnings of answers, and what then comes for ever."""


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize(("head", "piece"), HEADS)
async def test_endless_head_is_refused_before_it_costs_much_time(
    monkeypatch: pytest.MonkeyPatch, head: bytes, piece: bytes, encrypted: bool
) -> None:
    """Counted instead of timed: the parser's steps, each of which holds the event loop."""
    steps = 0
    parse = h11.Connection.next_event

    def counted(connection: h11.Connection) -> Any:
        nonlocal steps
        steps += 1
        return parse(connection)

    monkeypatch.setattr(h11.Connection, "next_event", counted)
    served, trusted = certificates() if encrypted else (None, None)
    async with raw_site.opened(tls=served) as site, asyncio.timeout(WITHIN_S):
        site.answers["/"] = raw_site.endless(head, piece)
        async with bounded_http.new_client(timeout=WITHIN_S, tls=trusted) as client:
            url = site.url(host="localhost", scheme="https") if encrypted else site.url()
            with pytest.raises(AnswerRefused, match="begins with more than 65536 bytes or 200 lines"):
                await client.get(url)
    assert steps < 1000


def certificates() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """What a server shows, and what its clients trust."""
    authority = trustme.CA()
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(served)
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    return served, trusted


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" * 20,
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n",
        b"",
    ],
)
async def test_long_heads_and_some_informational_answers_are_accepted(head: bytes) -> None:
    """On one connection, for each answer anew; the lines of a body are not counted."""
    text = b"\n" * 100_000
    last = b"HTTP/1.1 200 OK\r\na: " + b"b" * 40_000 + b"\r\nc: d" * 100
    reply = head + last + b"\r\ncontent-length: %d\r\n\r\n" % len(text) + text

    async def again(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(3):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(reply)
        writer.close()

    server = await asyncio.start_server(again, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with server, bounded_http.new_client(timeout=WITHIN_S, keepalive=1) as client:
        for _ in range(3):
            assert (await client.get(url)).content == text


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\na: ", b"b"),
        (b"", b"HTTP/1.1 100 C\r\n\r\n"),
        (b"HTTP/1.1 103 Early Hints\r\n", b"a"),
        (b"", b""),
    ],
)
async def test_head_that_drips_ends_in_time(
    monkeypatch: pytest.MonkeyPatch, head: bytes, piece: bytes
) -> None:
    monkeypatch.setattr(bounded_http, "HEAD_S", 0.2)
    async with raw_site.opened() as site, asyncio.timeout(WITHIN_S):
        site.answers["/"] = raw_site.endless(head, piece, pause_s=0.01)
        async with bounded_http.new_client(timeout=WITHIN_S) as client:
            with pytest.raises(httpx2.ReadTimeout):
                await client.get(site.url())


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
DRIPS = [
    (OK + b"content-length: 100000\r\n\r\n", b"a"),
    (OK + b"\r\n", b"\n"),
    (CHUNKED, b"1\r\na\r\n"),
    (CHUNKED + b"5;", b"a"),
    (CHUNKED + b"1\r\na\r\n0\r\n", b"a: b\r\n"),
    (CHUNKED + b"1\r\na\r\n", b""),
]
"""Answers that come bit by bit, and have no end."""


@pytest.mark.parametrize(("head", "piece"), DRIPS)
async def test_body_that_drips_ends_in_time(head: bytes, piece: bytes) -> None:
    async with raw_site.opened() as site, asyncio.timeout(WITHIN_S):
        site.answers["/"] = raw_site.endless(head, piece, pause_s=0.01)
        with pytest.raises(httpx2.ReadTimeout, match=r"no whole answer in 0\.2 s"):
            await read(site.url(), 1 << 20, within_s=0.2)


async def test_time_of_the_reader_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    loop: Any = asyncio.get_running_loop()
    now, late_s, came = loop.time, 0.0, b""
    async with answering(b"200 OK\r\ntransfer-encoding: chunked", chunked(b"abcd", 1)) as url:
        async with (
            bounded_http.new_client(timeout=httpx2.Timeout(None)) as client,
            client.stream("GET", url) as answer,
        ):
            monkeypatch.setattr(loop, "time", lambda: now() + late_s)
            async for piece in bounded_http.pieces(answer, 10, within_s=WITHIN_S):
                came += piece
                late_s += 2 * WITHIN_S
            monkeypatch.undo()
    assert came == b"abcd"


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\nhello",
        b"hello",
        b"HTTP/0.9 200 OK\r\n\r\n",
        b"HTTP/1.1 999999999999 OK\r\n\r\n",
        b"HTTP/1.1 100 C\r\n\r\n",
        CHUNKED + b"5;" + b"a" * 200_000,
        CHUNKED + b"0\r\n" + b"a:b\r\n" * 50_000,
    ],
)
async def test_other_answers_end_in_an_error_or_empty(reply: bytes) -> None:
    async with raw_site.opened() as site, asyncio.timeout(WITHIN_S):
        site.answers["/"] = reply
        try:
            assert await read(site.url()) == b""
        except httpx2.HTTPError as error:
            assert not isinstance(error, httpx2.TimeoutException)


async def failure_of(url: str) -> ChatFailed:
    """Return the failure of a language model with a server that answers so."""
    model = ChatEndpoint(ChatSettings(url, "tiny"))
    with pytest.raises(ChatFailed) as failed:
        [_ async for _ in model.answer(ChatRequest((ChatMessage("user", "Hello."),)))]
    await model.stop()
    return failed.value


@pytest.mark.parametrize("status", [b"200 OK", b"500 No"])
async def test_compressed_answer_of_a_language_model_is_not_unpacked(status: bytes) -> None:
    packed = gzip.compress(gzip.compress(b"a" * 50_000_000, mtime=0))
    head = status + b"\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip, gzip"
    async with answering(head, packed) as url:
        failed = await failure_of(url)
    assert failed.code == "broken" and "is compressed" in str(failed)


async def test_line_that_comes_byte_by_byte_is_joined_once_and_lets_others_run() -> None:
    """Counted instead of timed: how often another task runs meanwhile."""
    runs = 0

    async def other() -> None:
        nonlocal runs
        while True:
            runs += 1
            await asyncio.sleep(0)

    body = chunked(b"data: " + b"x" * 20_000, 1)
    head = b"200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked"
    async with answering(head, body) as url:
        beside = asyncio.create_task(other())
        assert "no chat completion" in str(await failure_of(url))
        beside.cancel()
    assert runs >= 20_000 / 50
