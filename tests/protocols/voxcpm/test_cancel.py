"""Requests of VoxCPM's protocol that are cancelled, and those of clients that leave or read nothing."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable

import httpx
import psutil
import pytest
from websockets.asyncio.client import connect

from tests.clients.voxcpm.wire import Answer, Client, Frame, opened
from tests.conftest import StartServer
from tests.protocols.conftest import Serve
from tests.protocols.health import wait_for_idle, wait_for_metrics
from tests.support.app_server import AppServer, StartApp
from tests.support.patience import WITHIN_S
from tests.support.unread import never_reading, settled_speech_s

HELLO = "Hola, esto es una prueba."
LONG = "Había una vez, en un país muy lejano, una niña que vivía con su abuela cerca del bosque. " * 50


async def cancel(client: Client, *request_ids: str) -> None:
    for request_id in request_ids:
        await client.send("cancel", request_id=request_id)


async def frames(client: Client, count: int) -> None:
    while count:
        count -= isinstance(await client.receive(), Frame)


def assert_cancelled(answer: Answer) -> None:
    assert answer.last["type"] == "complete" and answer.last["result"] == {"cancelled": True}


@pytest.mark.parametrize("mode", ["streaming", "non_streaming"])
async def test_cancel_is_answered_once_at_any_time(serve: Serve, mode: str) -> None:
    dice = random.Random(1)
    server = await serve()
    async with opened(server.url) as client:
        for number in range(40):
            name = f"r{number}"
            server.engine.allow = server.engine.steps + dice.randint(0, 5)
            await client.request(name, LONG, mode=mode)
            await asyncio.sleep(dice.choice([0, 0, dice.uniform(0, 0.02)]))
            for _ in range(dice.randint(1, 3)):
                await cancel(client, name)
            assert_cancelled(await client.answer(name))
            await cancel(client, name)
            await client.alive()


async def test_cancel_ends_named_request_alone(espeak_app: AppServer) -> None:
    async with opened(espeak_app.url) as client:
        alone = await client.speak(HELLO, "b")
        for name in "abc":
            await client.request(name, HELLO if name == "b" else LONG)
        await cancel(client, "a", "c")
        answers = await client.answers("a", "b", "c")
        await client.alive()
    assert_cancelled(answers["a"])
    assert_cancelled(answers["c"])
    assert answers["b"].pcm == alone.pcm


async def test_unknown_id_is_not_found(espeak_app: AppServer) -> None:
    async with opened(espeak_app.url) as client, opened(espeak_app.url) as other:
        await other.request("theirs", LONG)
        await client.request("mine", HELLO)
        await client.answer("mine")
        await client.request("wrong", "")
        assert (await client.answer("wrong")).last["type"] == "error"
        await cancel(client, "mine", "wrong")
        await client.alive()
        for unknown in ("theirs", "nobody's", "x" * 200, "half \ud83d"):
            await cancel(client, unknown)
            assert await client.receive() == {
                "type": "error",
                "request_id": unknown,
                "error": {"code": "REQUEST_NOT_FOUND", "message": "Request not found", "details": {}},
            }
        # Theirs goes on.
        await frames(other, 1)
        await cancel(other, "theirs")
        await other.answer("theirs")


async def test_ended_ids_are_remembered_up_to_limit(espeak_app: AppServer) -> None:
    async with opened(espeak_app.url) as client:
        for number in range(257):
            await client.request(f"r{number}", "")
            await client.answer(f"r{number}")
        await cancel(client, "r1")
        await client.alive()
        await cancel(client, "r0")
        message = await client.receive()
        assert isinstance(message, dict) and message["error"]["code"] == "REQUEST_NOT_FOUND"


async def test_queued_requests_can_be_cancelled(serve: Serve) -> None:
    server = await serve(TTS_MAX_CONCURRENT="1")
    server.engine.allow = 0
    async with opened(server.url) as client:
        names = [f"r{number}" for number in range(8)]
        for name in names:
            await client.request(name, LONG, mode="non_streaming")
        await cancel(client, *reversed(names))
        answers = await client.answers(*names)
        await client.alive()
    for answer in answers.values():
        assert_cancelled(answer)


def request(name: str, text: str = HELLO, **params: object) -> str:
    return json.dumps({"type": "tts_request", "request_id": name, "params": {"text": text, **params}})


@pytest.mark.parametrize("reads", [True, False])
async def test_dropped_connections_leave_no_session(start_app: StartApp, reads: bool) -> None:
    """Nor an error in the log, which ends the application's test."""
    dice = random.Random(3)
    server = start_app(KANI_MAX_CONCURRENT="2")

    async def drop() -> None:
        reading = connect(f"{server.url}/tts", compression=None, close_timeout=0.1)
        async with reading if reads else never_reading(server, "/tts") as client:
            for number in range(dice.randint(1, 12)):
                mode = dice.choice(["streaming", "non_streaming"])
                await client.send(request(f"r{number}", LONG, mode=mode))
                if dice.random() < 0.5:
                    cancelled = f"r{dice.randint(0, number)}"
                    await client.send(json.dumps({"type": "cancel", "request_id": cancelled}))
            await asyncio.sleep(dice.uniform(0, 0.1))
            client.transport.abort()

    for _ in range(4):
        await asyncio.gather(*(drop() for _ in range(8)))
    await wait_for_idle(server)
    await wait_for_metrics(server, "running_tasks 0.0", "active_connections 0.0")


@pytest.mark.heard
@pytest.mark.parametrize("kind", ["recordings", "cancels"])
async def test_client_that_does_not_read_is_not_read_from(start_server: StartServer, kind: str) -> None:
    server = start_server("--engine", "espeak", KANI_RECOGNIZER="none")
    memory = psutil.Process(server.process.pid)
    async with never_reading(server, "/tts") as client:
        await client.send(request("fills the line", LONG))
        async with httpx.AsyncClient(base_url=server.http_url) as http:
            await settled_speech_s(http)
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
        assert memory.memory_info().rss < before + 80 * 2**20


@pytest.mark.heard
async def test_unsent_whole_answers_are_freed(start_server: StartServer) -> None:
    # So that glibc gives what is freed back at once, and what the process has is what it needs.
    plain = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
    server = start_server("--engine", "espeak", KANI_RECOGNIZER="none", **plain)
    memory = psutil.Process(server.process.pid)

    async def held(enough: Callable[[int], bool]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not enough(memory.memory_info().rss):
                await asyncio.sleep(0.05)

    before = memory.memory_info().rss
    for _ in range(2):
        async with never_reading(server, "/tts") as client:
            for number in range(4):
                await client.send(request(f"r{number}", LONG, mode="non_streaming", speed=0.5))
            await held(lambda size: size > before + 80 * 2**20)
        await held(lambda size: size < before + 40 * 2**20)
