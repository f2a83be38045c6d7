"""uvicorn below the protocols: small reads, floods of tiny frames, and sends that come too late."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import pytest
from starlette.types import Message, Receive, Scope, Send
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError

from kani.server.network.input_turns import ITEMS_PER_TURN, MAX_DROPPED_BYTES
from kani.server.network.uvicorn_http import MAX_REST, READ_BYTES
from kani.server.network.uvicorn_websocket import MAX_CONTROL_FRAMES
from tests.support.event_loop import Idleness, settle
from tests.support.servers.asgi import HANDSHAKE, accepted, closing, disconnected, errors_in, served

T = TypeVar("T")
ITEMS = 5000
LEAST_TURNS = ITEMS // ITEMS_PER_TURN - 2
LEAST_WAITS = 10
"""Waits of the event loop while it serves ``ITEMS``: dozens with rests, and without them none or one."""

GUARD_S = 120.0
EMPTY_PONG = b"\x8a\x80mask"
EMPTY_PING = b"\x89\x80mask"
EMPTY_FRAGMENT = b"\x00\x80mask"
NO_FRAME = b"\xff\x80mask"
"""A frame that no client may send: reserved bits, and a kind that there is not."""

TINY_MESSAGE = b"\x82\x81" + bytes(4) + b"x"
LONG_MESSAGE = b"\x82\xff" + (1 << 16).to_bytes(8, "big") + bytes(4 + (1 << 16))
CHUNK = b"1\r\nx\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


class Turns:
    """Counts turns of the event loop."""

    def __init__(self) -> None:
        self.number = 0
        self._handle = asyncio.get_running_loop().call_soon(self._count)

    def _count(self) -> None:
        self.number += 1
        self._handle = asyncio.get_running_loop().call_soon(self._count)

    def stop(self) -> int:
        self._handle.cancel()
        return self.number


async def measured(frames: bytes, measure: Callable[[Receive], Awaitable[T]]) -> T:
    """Return the measure of an application that gets these frames on a WebSocket."""
    got: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await accepted(receive, send)
        got.set_result(await measure(receive))
        await disconnected(receive)

    async with served(application) as port, connect(f"ws://127.0.0.1:{port}") as client:
        client.transport.write(frames)
        return await got


async def test_tiny_messages_reach_the_application_one_a_turn() -> None:
    async def numbers(receive: Receive) -> set[int]:
        turns, found = Turns(), set()
        for _ in range(ITEMS):
            await receive()
            found.add(turns.number)
        turns.stop()
        return found

    assert len(await measured(TINY_MESSAGE * ITEMS, numbers)) == ITEMS


async def test_flood_of_tiny_messages_leaves_the_loop_idle_in_between() -> None:
    async def waits(receive: Receive) -> int:
        await receive()
        idleness = Idleness()
        for _ in range(ITEMS - 1):
            await receive()
        return idleness.stop()

    assert await measured(TINY_MESSAGE * ITEMS, waits) >= LEAST_WAITS


@pytest.mark.parametrize(
    "flood",
    [
        EMPTY_PONG * ITEMS + TINY_MESSAGE,
        EMPTY_PING * ITEMS + TINY_MESSAGE,
        b"\x02\x80mask" + EMPTY_FRAGMENT * ITEMS + b"\x80\x80mask",
    ],
    ids=["pongs", "pings", "fragments"],
)
async def test_frames_without_content_take_many_turns(monkeypatch: pytest.MonkeyPatch, flood: bytes) -> None:
    monkeypatch.setattr("kani.server.network.uvicorn_websocket.MAX_CONTROL_FRAMES", 2 * ITEMS)

    async def until_the_next(receive: Receive) -> int:
        assert (await receive())["bytes"] == b"x"
        turns = Turns()
        await receive()
        return turns.stop()

    assert await measured(TINY_MESSAGE + flood, until_the_next) >= LEAST_TURNS


@pytest.mark.parametrize("frame", [EMPTY_PONG, EMPTY_PING, EMPTY_FRAGMENT], ids=["pong", "ping", "fragment"])
async def test_more_frames_without_content_than_any_client_sends_close_with_1008(frame: bytes) -> None:
    codes: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await accepted(receive, send)
        while (message := await receive())["type"] != "websocket.disconnect":
            await send({"type": "websocket.send", "text": "heard"})
        codes.set_result(message["code"])

    async with served(application) as port, connect(f"ws://127.0.0.1:{port}", max_queue=None) as client:
        client.transport.write(TINY_MESSAGE + (b"\x02\x80mask" if frame == EMPTY_FRAGMENT else b""))
        client.transport.write(frame * MAX_CONTROL_FRAMES)
        assert await client.recv() == "heard"
        # What is sent after the close must not reset the connection before its reason is read.
        client.transport.write(frame * 100 * MAX_CONTROL_FRAMES)
        assert await closing(client) == (1008, "too many frames without content")
        assert await codes == 1008


async def test_client_that_goes_on_after_its_close_is_cut_off() -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await accepted(receive, send)
        await send({"type": "websocket.close", "code": 1000})

    async with served(application) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HANDSHAKE)
        await reader.readuntil(b"\x88\x02\x03\xe8")
        # Before the limit on a close, 10 s. As much again may be under way in the buffers of both sockets.
        with pytest.raises(ConnectionError):
            async with asyncio.timeout(8):
                for _ in range(4 * MAX_DROPPED_BYTES // len(LONG_MESSAGE)):
                    writer.write(LONG_MESSAGE)
                    await writer.drain()
        writer.close()


async def test_frames_before_the_answer_to_the_handshake_wait(caplog: pytest.LogCaptureFixture) -> None:
    connecting, accepting = asyncio.Event(), asyncio.Event()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        connecting.set()
        await accepting.wait()
        await send({"type": "websocket.accept"})
        assert (await receive())["type"] == "websocket.disconnect"

    async with served(application) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HANDSHAKE)
        await connecting.wait()
        writer.write(NO_FRAME)
        await settle()
        accepting.set()
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 101 ") and answer.endswith(b"\x03\xeainvalid opcode")
        writer.close()
    assert not errors_in(caplog)


async def test_body_in_tiny_chunks_takes_many_turns_and_leaves_the_loop_idle_in_between() -> None:
    found: list[tuple[int, int]] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        length, counts = 0, Turns() if scope["path"] == "/turns" else Idleness()
        while (message := await receive())["more_body"]:
            length += len(message["body"])
        found.append((length + len(message["body"]), counts.stop()))
        await refuse(scope, receive, send)

    async with served(application) as port:
        for path, items in ((b"/turns", ITEMS), (b"/waits", 4 * ITEMS)):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(CHUNKED.replace(b"/", path, 1) + CHUNK * items + b"0\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            writer.close()
    (length, turns), (_, waits) = found
    assert length == ITEMS and turns >= LEAST_TURNS
    assert waits >= LEAST_WAITS


async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


async def test_refused_body_ends_its_connection_unless_its_rest_is_short() -> None:
    async with served(refuse) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(CHUNKED + CHUNK)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 401 ")
            writer.write(CHUNK * (MAX_REST // 2) + b"0\r\n\r\n")
        writer.write(CHUNKED + CHUNK * 100 * MAX_REST)
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 401 ") and answer.endswith(b"\r\n\r\n")
        with pytest.raises(ConnectionError):
            for _ in range(16):
                writer.write(bytes(MAX_DROPPED_BYTES // 4))
                await writer.drain()
        writer.close()


@pytest.mark.parametrize("header", ["Connection: close", "Connection: keep-alive"])
async def test_answer_arrives_at_a_client_that_reads_it_after_the_whole_body(header: str) -> None:
    """The connection of one that wants it closed would be reset by the body that was not read."""
    body = bytes(MAX_DROPPED_BYTES // 2)
    head = f"POST / HTTP/1.1\r\nHost: localhost\r\n{header}\r\nContent-Length: {len(body)}\r\n\r\n"

    def talk(port: int) -> bytes:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.settimeout(GUARD_S)
            client.sendall(head.encode() + body)
            return client.recv(1000)

    async with served(refuse) as port:
        assert (await asyncio.to_thread(talk, port)).startswith(b"HTTP/1.1 401 ")


BODY = 4 * 2**20
HEAD = f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {BODY}\r\n\r\n".encode()

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a test on an event loop of the library of that name."""
    make = pytest.importorskip(request.param).new_event_loop

    def run(test: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=make) as runner:
            runner.run(test)

    return run


def test_body_is_read_in_small_pieces_and_no_further_than_asked(run: Run) -> None:
    pieces: list[int] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        while (message := await receive())["more_body"]:
            pieces.append(len(message["body"]))
            if len(pieces) == 1:
                # More would pile up now, if it were read.
                await settle()
        pieces.append(len(message["body"]))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async def upload() -> None:
        async with served(application) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(HEAD + bytes(BODY))
            assert b" 204 " in await reader.readline()
            writer.close()
            await writer.wait_closed()

    run(upload())
    assert sum(pieces) == BODY
    assert max(pieces) <= READ_BYTES


def test_socket_after_its_handshake_is_read_by_its_own_protocol(run: Run) -> None:
    sent = bytes(range(256)) * 4096

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await accepted(receive, send)
        for _ in range(2):
            await send({"type": "websocket.send", "bytes": (await receive())["bytes"]})
        await receive()

    async def talk() -> None:
        async with served(application) as port, connect(f"ws://127.0.0.1:{port}/", max_size=None) as client:
            for message in (b"x", sent):
                await client.send(message)
                assert await client.recv() == message

    run(talk())


@pytest.mark.parametrize("message", [{"type": "websocket.send", "text": "late"}, {"type": "websocket.close"}])
async def test_send_after_uvicorns_close_raises_client_disconnected(
    caplog: pytest.LogCaptureFixture, message: Message
) -> None:
    told: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await accepted(receive, send)
        await disconnected(receive)
        try:
            await send(message)
            told.set_result(None)
        # Which one it is is the question.
        except Exception as error:
            told.set_result(error)

    async with served(application) as port, connect(f"ws://127.0.0.1:{port}") as client:
        client.transport.write(NO_FRAME)
        with pytest.raises(ConnectionClosedError):
            await client.recv()
        assert isinstance(await told, OSError)
    assert not errors_in(caplog)
