"""Limits of time and length: idle clients, shutdown, oversized text, breaks."""

import asyncio
import time

import pytest

from kani.core.types import Samples
from tests.clients.kyutai.speaking import Heard, hear_until, let_hear, opened, rest_of, words_of
from tests.clients.kyutai.wire import audio_message, pack, text_message, unpack
from tests.conftest import ServerProcess
from tests.protocols.conftest import Serve
from tests.protocols.kyutai.test_speech_in import heard_by, speech
from tests.support.patience import WITHIN_S
from tests.support.servers.app_server import AppServer

__all__ = ["speech"]


async def test_idle_clients_do_not_delay_shutdown(serve: Serve) -> None:
    server = await serve(KANI_SHUTDOWN_SECONDS=str(2 * WITHIN_S))
    async with opened(server) as silent, opened(server) as heard_one:
        for websocket in (silent, heard_one):
            assert unpack(await websocket.recv()) == {"type": "Ready"}
        await heard_one.send(text_message("Hola."))
        first = Heard()
        # Flushed, spoken and sent: the session has nothing left.
        while first.said != ["Hola."]:
            await first.take(heard_one)
        server.stop.set()
        for websocket in (silent, heard_one):
            assert (await rest_of(websocket)).code in (1000, 1001)


@pytest.mark.alone
async def test_empty_text_does_not_delay_flush(espeak_app: AppServer) -> None:
    async with opened(espeak_app, voice="espeak:es") as websocket:
        await websocket.recv()
        began = time.monotonic()
        await websocket.send(text_message("uno dos tres"))

        async def drip() -> None:
            while True:
                await asyncio.sleep(0.3)
                await websocket.send(text_message(""))

        dripping = asyncio.create_task(drip())
        assert unpack(await asyncio.wait_for(websocket.recv(), 300))["type"] in ("Text", "Audio")
        assert time.monotonic() - began > 0.8
        dripping.cancel()
        await asyncio.wait([dripping])


@pytest.mark.alone
@pytest.mark.heard
async def test_init_discards_backlog(server: ServerProcess, speech: Samples) -> None:
    async with heard_by(server) as websocket:
        for _ in range(8):
            await let_hear(websocket, speech, None)
        await websocket.send(pack({"type": "Init"}))
        before = await hear_until(websocket, "Ready")
        await websocket.send(audio_message(speech[:1920]))
        assert (await hear_until(websocket, "Step"))[-1]["step_idx"] == 0
        assert len(words_of(before).split()) < 8 * 12
