"""Cancelling through VoxCPM's protocol: it stops, is answered once, and touches nobody else."""

from __future__ import annotations

import asyncio
import random
import time

import httpx
import pytest

from tests.clients.voxcpm.wire import Answer, Client, Frame, opened
from tests.conftest import StartServer
from tests.support.app_server import AppServer, StartApp

HELLO = "Hola, esto es una prueba."
LONG = "Había una vez, en un país muy lejano, una niña que vivía con su abuela cerca del bosque. " * 50


async def cancel(client: Client, request_id: str) -> None:
    await client.send("cancel", request_id=request_id)


async def frames(client: Client, count: int) -> None:
    while count:
        count -= isinstance(await client.receive(), Frame)


def assert_cancelled(answer: Answer) -> None:
    assert answer.last["type"] == "complete" and answer.last["result"] == {"cancelled": True}


@pytest.mark.parametrize("mode", ["streaming", "non_streaming"])
async def test_cancel_is_answered_once_at_any_time(espeak_app: AppServer, mode: str) -> None:
    dice = random.Random(1)
    async with opened(espeak_app.url) as client:
        for number in range(60):
            name = f"r{number}"
            await client.request(name, LONG, mode=mode)
            await asyncio.sleep(dice.choice([0, 0, dice.uniform(0, 0.05)]))
            for _ in range(dice.randint(1, 3)):
                await cancel(client, name)
            assert_cancelled(await client.answer(name))
            await cancel(client, name)
            await client.alive()


async def test_immediate_cancel_is_answered(espeak_app: AppServer) -> None:
    async with opened(espeak_app.url) as client:
        for _ in range(50):
            await asyncio.gather(client.request("one", LONG), cancel(client, "one"))
            assert_cancelled(await client.answer("one"))
        await client.alive()


async def test_cancel_ends_named_request_alone(espeak_app: AppServer) -> None:
    async with opened(espeak_app.url) as client:
        alone = await client.speak(HELLO, "b")
        for name in "abc":
            await client.request(name, HELLO if name == "b" else LONG)
        await cancel(client, "a")
        await cancel(client, "c")
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
        for over in ("mine", "wrong"):
            await cancel(client, over)
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


@pytest.mark.alone
@pytest.mark.parametrize("engine", ["espeak", pytest.param("kokoro", marks=pytest.mark.heard)])
async def test_slot_is_free_after_cancel(start_server: StartServer, engine: str) -> None:
    server = start_server("--engine", engine, TTS_MAX_CONCURRENT="1", KANI_AHEAD_SECONDS="600")
    async with opened(server.url) as client, httpx.AsyncClient(base_url=server.http_url) as http:
        for _ in range(3):
            await client.request("first", LONG)
            await client.request("next", HELLO)
            await frames(client, 2)
            cancelled_at = time.monotonic()
            await cancel(client, "first")
            while (message := await client.receive()) and (
                isinstance(message, Frame)
                or message["type"] != "complete"
                or message["request_id"] != "first"
            ):
                pass
            assert time.monotonic() - cancelled_at < 60
            answer = await client.answer("next")
            assert answer.last["result"]["samples"] > 0
            await client.request("first", LONG)
            await frames(client, 1)
            await cancel(client, "first")
            await client.answer("first")
            counters = (await http.get("/health")).json()["counters"]
            assert (counters["speaking"], counters["waiting"], counters["sessions"]) == (0, 0, 0)


@pytest.mark.heard
async def test_queued_requests_can_be_cancelled(start_server: StartServer) -> None:
    server = start_server("--engine", "kokoro", TTS_MAX_CONCURRENT="1")
    async with opened(server.url) as client:
        names = [f"r{number}" for number in range(8)]
        for name in names:
            await client.request(name, LONG, mode="non_streaming")
        for name in reversed(names):
            await cancel(client, name)
        answers = await client.answers(*names)
        await client.alive()
    for answer in answers.values():
        assert_cancelled(answer)


@pytest.mark.alone
async def test_cancel_ends_recording_fetch(start_app: StartApp) -> None:
    asked = asyncio.Event()

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(never, "127.0.0.1", 0) as slow:
        port = slow.sockets[0].getsockname()[1]
        server = start_app(KANI_RECORDING_HOSTS=f"127.0.0.1:{port}")
        async with opened(server.url) as client:
            await client.request("one", HELLO, prompt_wav_url=f"http://127.0.0.1:{port}/voice.wav")
            await asyncio.wait_for(asked.wait(), 300)
            cancelled_at = time.monotonic()
            await cancel(client, "one")
            assert_cancelled(await client.answer("one"))
            assert time.monotonic() - cancelled_at < 60
            await client.alive()


@pytest.mark.alone
@pytest.mark.heard
async def test_disconnect_frees_slots(start_server: StartServer) -> None:
    server = start_server("--engine", "kokoro")
    async with httpx.AsyncClient(base_url=server.http_url) as http:
        async with opened(server.url) as client:
            for number in range(6):
                await client.request(f"r{number}", LONG, mode=("streaming", "non_streaming")[number % 2])
            await frames(client, 3)
        left = time.monotonic()
        while (counters := (await http.get("/health")).json()["counters"])["sessions"]:
            assert time.monotonic() - left < 300
        assert (counters["speaking"], counters["waiting"]) == (0, 0)
        assert "\nvoxcpm_tts_running_tasks 0.0\n" in (await http.get("/metrics")).text


@pytest.mark.alone
async def test_dropped_connections_leave_no_session(start_app: StartApp) -> None:
    dice = random.Random(3)
    server = start_app()

    async def drop() -> None:
        async with opened(server.url, close_timeout=0.1) as client:
            for number in range(dice.randint(1, 8)):
                await client.request(f"r{number}", LONG, mode=dice.choice(["streaming", "non_streaming"]))
                if dice.random() < 0.5:
                    await cancel(client, f"r{dice.randint(0, number)}")
            await asyncio.sleep(dice.uniform(0, 0.1))
            client.socket.transport.abort()

    for _ in range(10):
        await asyncio.gather(*(drop() for _ in range(8)))
    async with httpx.AsyncClient(base_url=server.http_url) as http:
        left = time.monotonic()
        while (await http.get("/health")).json()["counters"]["sessions"]:
            assert time.monotonic() - left < 300
        assert "\nvoxcpm_tts_active_connections 0.0\n" in (await http.get("/metrics")).text
