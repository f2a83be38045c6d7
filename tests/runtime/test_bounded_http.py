"""Answers of other machines are bounded, and hold the event loop for no time that a client would notice."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from kani.core.chat_model import ChatFailed, ChatMessage, ChatRequest
from kani.engines.chat.endpoint import ChatEndpoint, ChatSettings
from kani.runtime import bounded_http
from kani.runtime.bounded_http import AnswerRefused
from tests.protocols import raw_site


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
            assert (await client.get(url)).status_code == httpx.codes.FOUND


async def failure_of(url: str) -> ChatFailed:
    """How a language model fails whose server answers so."""
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
