"""Parts of a file that a player asks for, of one in memory and of one on the disk alike."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from kani.protocols.shared.ranges import bytes_answer, file_answer, part

CONTENT = bytes(range(256)) * 1000
SIZE = len(CONTENT)
HEADERS = {"cache-control": "no-store"}


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx2.AsyncClient]:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)

    async def memory(request: Request) -> Response:
        return bytes_answer(request, CONTENT, HEADERS, "audio/mpeg")

    async def disk(request: Request) -> Response:
        stack = AsyncExitStack()
        return file_answer(request, stack.enter_context(path.open("rb")), HEADERS, "audio/mpeg", stack)

    app = Starlette(routes=[Route("/memory", memory), Route("/disk", disk)])
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://server") as client:
        yield client


PLACES = pytest.mark.parametrize("place", ["/memory", "/disk"])


@PLACES
@pytest.mark.parametrize(
    ("asked", "first", "end"),
    [
        ("bytes=0-1", 0, 2),
        ("bytes=0-", 0, SIZE),
        ("bytes=200000-255000", 200_000, 255_001),
        ("bytes=255999-", 255_999, SIZE),
        ("bytes=100-99999999999", 100, SIZE),
        ("bytes=-500", SIZE - 500, SIZE),
        ("bytes=-999999999", 0, SIZE),
        ("Bytes = 5 - 9 ", 5, 10),
    ],
)
async def test_part_is_sent(client: httpx2.AsyncClient, place: str, asked: str, first: int, end: int) -> None:
    answer = await client.get(place, headers={"range": asked})
    assert (answer.status_code, answer.content) == (206, CONTENT[first:end])
    assert answer.headers["content-range"] == f"bytes {first}-{end - 1}/{SIZE}"
    assert answer.headers["content-length"] == str(end - first)
    assert (answer.headers["content-type"], answer.headers["cache-control"]) == ("audio/mpeg", "no-store")


@PLACES
@pytest.mark.parametrize(
    "asked", ["", "bytes=9-5", "bytes=-", "bytes=a-b", "items=0-5", "bytes=0-1,4-5", "bytes=0-" + "9" * 40]
)
async def test_whole_is_sent(client: httpx2.AsyncClient, place: str, asked: str) -> None:
    answer = await client.get(place, headers={"range": asked} if asked else {})
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers["accept-ranges"] == "bytes" and "content-range" not in answer.headers


@PLACES
@pytest.mark.parametrize("asked", [f"bytes={SIZE}-", "bytes=900000-", "bytes=900000-900001", "bytes=-0"])
async def test_part_beyond_the_end_is_refused(client: httpx2.AsyncClient, place: str, asked: str) -> None:
    answer = await client.get(place, headers={"range": asked})
    assert (answer.status_code, answer.content) == (416, b"")
    assert answer.headers["content-range"] == f"bytes */{SIZE}"


@PLACES
async def test_part_of_another_state_is_the_whole(client: httpx2.AsyncClient, place: str) -> None:
    tag = (await client.get(place)).headers["etag"]
    asked = {"range": "bytes=0-1"}
    for given, status in (
        (tag, 206),
        ('"other"', 200),
        (f"W/{tag}", 200),
        ("Sun, 29 Nov 2026 00:00:00 GMT", 200),
    ):
        assert (await client.get(place, headers=asked | {"if-range": given})).status_code == status, given


@PLACES
async def test_head_tells_the_length_without_the_content(client: httpx2.AsyncClient, place: str) -> None:
    answer = await client.head(place, headers={"range": "bytes=0-1"})
    assert (answer.status_code, answer.content) == (200, b"")
    assert (answer.headers["content-length"], answer.headers["accept-ranges"]) == (str(SIZE), "bytes")


def test_nothing_has_no_part() -> None:
    assert part("bytes=0-", 0) == range(0) and part("", 0) is None
