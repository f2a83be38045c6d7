"""Clients that do not read, hosts that do not answer, lines that break, and a server that stops meanwhile."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import psutil
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.clients.voxcpm.wire import opened
from tests.conftest import StartServer
from tests.protocols.conftest import Serve
from tests.protocols.raw_site import Site
from tests.protocols.raw_site import opened as site_opened
from tests.support.app_server import AppServer, StartApp

HELLO = "Hola, esto es una prueba."
LONG = "Había una vez, en un país muy lejano, una niña que vivía con su abuela cerca del bosque. " * 50
MIB = 2**20


def request(name: str, text: str = HELLO, **params: object) -> str:
    return json.dumps({"type": "tts_request", "request_id": name, "params": {"text": text, **params}})


@asynccontextmanager
async def never_reading(server: AppServer) -> AsyncIterator[ClientConnection]:
    """A connection to a client that reads nothing; its line breaks in the end."""
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    small.setblocking(False)
    await asyncio.get_running_loop().sock_connect(small, ("127.0.0.1", server.port))
    client = await connect(f"{server.url}/tts", sock=small, max_queue=1, compression=None, ping_interval=None)
    try:
        yield client
    finally:
        client.transport.abort()
        await client.wait_closed()


@pytest.fixture
async def silent_site() -> AsyncIterator[Site]:
    async def hang(writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with site_opened() as site:
        site.answers["/a.wav"] = hang
        yield site


@pytest.mark.heard
@pytest.mark.parametrize("kind", ["recordings", "cancels"])
async def test_client_that_does_not_read_is_not_read_from(start_server: StartServer, kind: str) -> None:
    server = start_server("--engine", "espeak", KANI_RECOGNIZER="none")
    memory = psutil.Process(server.process.pid)
    async with never_reading(server) as client:
        await client.send(request("fills the line", LONG))
        await asyncio.sleep(1.0)
        before = memory.memory_info().rss
        with pytest.raises(TimeoutError):
            for number in range(5000):
                async with asyncio.timeout(3.0):
                    if kind == "recordings":
                        await client.send(request(f"r{number}", prompt_wav_url="data:," + "A" * 1_000_000))
                    else:
                        await client.send(request(f"r{number}", LONG[:4000]))
                        await client.send(json.dumps({"type": "cancel", "request_id": f"r{number}"}))
                await asyncio.sleep(0.005)
        assert memory.memory_info().rss < before + 80 * MIB


@pytest.mark.heard
async def test_unsent_whole_answers_are_freed(start_server: StartServer) -> None:
    # So that glibc gives what is freed back at once, and what the process has is what it needs.
    plain = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
    server = start_server("--engine", "espeak", KANI_RECOGNIZER="none", **plain)
    memory = psutil.Process(server.process.pid)

    async def held(enough: Callable[[int], bool]) -> None:
        async with asyncio.timeout(300):
            while not enough(memory.memory_info().rss):
                await asyncio.sleep(0.05)

    before = memory.memory_info().rss
    for _ in range(2):
        async with never_reading(server) as client:
            for number in range(4):
                await client.send(request(f"r{number}", LONG, mode="non_streaming", speed=0.5))
            await held(lambda size: size > before + 80 * MIB)
        await held(lambda size: size < before + 40 * MIB)


@pytest.mark.heard
async def test_broken_connections_log_no_error(start_server: StartServer) -> None:
    server = start_server("--engine", "espeak", KANI_RECOGNIZER="none", KANI_MAX_CONCURRENT="2")

    async def come_and_break(number: int) -> None:
        async with never_reading(server) as client:
            for one in range(12):
                mode = "streaming" if one % 2 else "non_streaming"
                await client.send(request(f"r{one}", LONG[:500], mode=mode))
            await asyncio.sleep(number * 0.01)
            if number % 3 == 0:
                for one in range(12):
                    await client.send(json.dumps({"type": "cancel", "request_id": f"r{one}"}))

    await asyncio.gather(*(come_and_break(number) for number in range(20)))
    server.stop()
    assert " ERROR " not in server.log and "Traceback" not in server.log


async def test_shutdown_ends_recording_fetch(serve: Serve, silent_site: Site) -> None:
    hosts = f"127.0.0.1:{silent_site.port}"
    server = await serve(KANI_RECORDING_HOSTS=hosts, KANI_SHUTDOWN_SECONDS="0.2")
    async with opened(server.url) as client:
        await client.request("one", HELLO, prompt_wav_url=silent_site.url("/a.wav"))
        while not silent_site.visits:
            await asyncio.sleep(0.01)
        server.stop.set()
        answer = await client.answer("one")
        assert answer.last["error"]["code"] == "GENERATION_FAILED"
        assert answer.last["error"]["message"] == "the server is stopping"
        with pytest.raises(ConnectionClosed) as closed:
            await client.receive()
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1001


async def test_client_timeout_covers_recording(start_app: StartApp, silent_site: Site) -> None:
    hosts = f"127.0.0.1:{silent_site.port}"
    server = start_app(KANI_RECORDING_HOSTS=hosts)
    async with opened(server.url, additional_headers={"X-Request-Timeout": "0.3"}) as client:
        names = [f"r{number}" for number in range(6)]
        for name in names:
            await client.request(name, HELLO, prompt_wav_url=silent_site.url("/a.wav"))
        async with asyncio.timeout(300):
            answers = await client.answers(*names)
    assert {answer.last["error"]["code"] for answer in answers.values()} == {"TIMEOUT"}


async def test_rate_limit_applies_before_fetch(start_app: StartApp) -> None:
    async with site_opened() as site:
        hosts = f"127.0.0.1:{site.port}"
        server = start_app(KANI_RECORDING_HOSTS=hosts, TTS_RATE_LIMIT_PER_MINUTE="2")
        async with opened(server.url) as client:
            for number in range(6):
                answer = await client.speak(HELLO, prompt_wav_url=site.url(f"/{number}"))
                code = "INVALID_PARAMS" if number < 2 else "RATE_LIMITED"
                assert answer.last["error"]["code"] == code
                assert len(answer.messages) == (2 if number < 2 else 1)
        assert site.visits == 2
