"""Cancelling in VoxCPM's protocol: the request stops, is answered once, and no other is affected."""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.clients.voxcpm.wire import Answer, Client, Frame, opened
from tests.protocols.conftest import Serve
from tests.protocols.health import wait_for_idle, wait_for_metrics
from tests.support.app_server import AppServer, StartApp
from tests.support.patience import WITHIN_S

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


async def test_slot_is_free_after_cancel(serve: Serve) -> None:
    server = await serve(TTS_MAX_CONCURRENT="1")
    async with opened(server.url) as client:
        for _ in range(3):
            server.engine.allow = server.engine.steps + 5
            await client.request("first", LONG)
            await client.request("next", HELLO)
            await frames(client, 2)
            begun = len(server.engine.segments)
            await cancel(client, "first")
            while len(server.engine.segments) == begun:
                await asyncio.sleep(0.001)
            await server.engine.permit(None)
            answers = await client.answers("first", "next")
            assert_cancelled(answers["first"])
            assert answers["next"].last["result"]["samples"] > 0
            await wait_for_idle(server)


async def test_queued_requests_can_be_cancelled(serve: Serve) -> None:
    server = await serve(TTS_MAX_CONCURRENT="1")
    server.engine.allow = 0
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


async def test_cancel_ends_recording_fetch(start_app: StartApp) -> None:
    asked, left = asyncio.Event(), asyncio.Event()

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await reader.read()
        left.set()
        writer.close()

    async with await asyncio.start_server(never, "127.0.0.1", 0) as slow:
        port = slow.sockets[0].getsockname()[1]
        server = start_app(KANI_RECORDING_HOSTS=f"127.0.0.1:{port}", KANI_REQUEST_TIMEOUT="0")
        async with opened(server.url) as client:
            await client.request("one", HELLO, prompt_wav_url=f"http://127.0.0.1:{port}/voice.wav")
            await asyncio.wait_for(asked.wait(), WITHIN_S)
            await cancel(client, "one")
            assert_cancelled(await client.answer("one"))
            await asyncio.wait_for(left.wait(), WITHIN_S)
            await client.alive()


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

    for _ in range(4):
        await asyncio.gather(*(drop() for _ in range(8)))
    await wait_for_idle(server)
    await wait_for_metrics(server, "running_tasks 0.0", "active_connections 0.0")
