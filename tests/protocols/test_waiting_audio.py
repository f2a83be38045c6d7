"""Audio that waits for the recogniser: how each protocol refuses it, and what a crowd of clients may hold."""

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import httpx2
import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from kani.core.audio.pcm import pcm16
from kani.core.recognizer import Mark, RecognitionEvent
from kani.core.session import recognition
from kani.core.types import Samples
from kani.protocols.elevenlabs.realtime.connection import PATH
from kani.server.network.upload_budget import LIMIT_BYTES
from tests.clients.kyutai.wire import KEY, audio_message
from tests.clients.openai_realtime import RATE, loud, quiet, realtime
from tests.protocols.wyoming.exchange import chunk, client, read_all, send
from tests.support.loudness import PausingRecognizer
from tests.support.patience import WITHIN_S, happens
from tests.support.servers.serving import InProcessServer, serving


class DeafRecognizer(PausingRecognizer):
    """Hears nothing until ``hears`` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.hears = asyncio.Event()

    async def recognize(
        self, audio: AsyncIterator[Samples | Mark], language: str | None
    ) -> AsyncGenerator[RecognitionEvent, None]:
        await self.hears.wait()
        async for event in super().recognize(audio, language):
            yield event


@pytest.fixture
async def deaf(tmp_path: Path) -> AsyncIterator[InProcessServer]:
    async with serving(tmp_path, DeafRecognizer(), KANI_WYOMING="true", KANI_COMPAT="1") as server:
        yield server


SECOND = quiet(1.0)


def elevenlabs_chunk(samples: Samples, **fields: object) -> str:
    audio = base64.b64encode(pcm16(samples)).decode()
    return json.dumps({"message_type": "input_audio_chunk", "audio_base_64": audio, **fields})


async def rest(websocket: ClientConnection) -> list[str | bytes]:
    received = []
    async with asyncio.timeout(WITHIN_S):
        with suppress(ConnectionClosed):
            while True:
                received.append(await websocket.recv())
    return received


async def elevenlabs(server: InProcessServer) -> tuple[str, int | None]:
    async with connect(f"{server.url}{PATH}?audio_format=pcm_24000") as websocket:
        await websocket.send(elevenlabs_chunk(SECOND))
        last = json.loads((await rest(websocket))[-1])
    return f"{last['message_type']}: {last['error']}", websocket.close_code


async def openai(server: InProcessServer) -> tuple[str, int | None]:
    async with realtime(server.url) as talking:
        await talking.append(SECOND)
        error = (await talking.until("error"))[-1]["error"]
        await rest(talking.websocket)
    return f"{error['code']}: {error['message']}", talking.websocket.close_code


async def kyutai(server: InProcessServer) -> tuple[str, int | None]:
    async with connect(f"{server.url}/api/asr-streaming", additional_headers=KEY) as websocket:
        await websocket.send(audio_message(SECOND))
        await rest(websocket)
    return websocket.close_reason or "", websocket.close_code


async def wyoming(server: InProcessServer) -> tuple[str, int | None]:
    async with client(server.streams["Wyoming"]) as connected:
        await send(connected, chunk(pcm16(SECOND), rate=RATE))
        error = (await read_all(connected))[-1]
    return f"{error.data['code']}: {error.data['text']}", None


WHY = "too much audio waits to be recognised: try again later"


@pytest.mark.parametrize(
    ("door", "told"),
    [
        (elevenlabs, (f"resource_exhausted: {WHY}", 1013)),
        (openai, (f"server_busy: {WHY}", 1013)),
        (kyutai, ("no free channels", 1013)),
        (wyoming, (f"busy: {WHY}", None)),
    ],
)
async def test_audio_that_is_not_heard_in_time_beside_too_much_is_refused(
    deaf: InProcessServer,
    monkeypatch: pytest.MonkeyPatch,
    door: Callable[[InProcessServer], Awaitable[tuple[str, int | None]]],
    told: tuple[str, int | None],
) -> None:
    """In the protocol's own words; what others hold stays."""
    monkeypatch.setattr(recognition, "PATIENCE_S", 0.05)
    budget = deaf.service.budgets.recognition
    budget.small = 1000
    with budget.share() as others:
        others.hold(budget.limit)
        assert await door(deaf) == told
        await happens(lambda: budget.used == budget.limit)


PUSHERS = 12
LIMIT = 4 * 2**20
PIECE = quiet(8.0)


async def push(websocket: ClientConnection) -> None:
    """Send a minute after the other, and commit each, as fast as the server takes it."""
    pieces = [elevenlabs_chunk(PIECE, commit=number % 8 == 7) for number in range(8)]
    with suppress(ConnectionClosed):
        while True:
            for piece in pieces:
                await websocket.send(piece)


async def test_crowd_that_pushes_holds_what_all_may_and_a_newcomer_is_heard(deaf: InProcessServer) -> None:
    budget = deaf.service.budgets.recognition
    budget.limit, budget.small = LIMIT, 2**18
    recognizer = deaf.service.recognition.recognizer
    assert isinstance(recognizer, DeafRecognizer)
    async with AsyncExitStack() as stack, asyncio.timeout(WITHIN_S):
        url = f"{deaf.url}{PATH}?audio_format=pcm_24000"
        crowd = [await stack.enter_async_context(connect(url, max_queue=None)) for _ in range(PUSHERS)]
        pushing = [asyncio.create_task(push(each)) for each in crowd]
        await happens(lambda: budget.used > LIMIT)
        async with httpx2.AsyncClient() as browser:
            for _ in range(20):
                assert (await browser.get(f"{deaf.http_url}/livez")).status_code == 200
                # Each is beyond the limit by one message at most.
                assert budget.used <= 1.25 * LIMIT + PUSHERS * (PIECE.nbytes + 1000)
        # The recogniser hears again, and each has its turn: the newcomer, too.
        recognizer.hears.set()
        async with connect(url) as newcomer:
            speech = np.concatenate([loud(0.8), quiet(2.0)])
            await newcomer.send(elevenlabs_chunk(speech, commit=True))
            while json.loads(await newcomer.recv())["message_type"] != "committed_transcript":
                pass
        recognizer.hears.clear()
        # Nobody says goodbye, and their connections are full.
        for task, websocket in zip(pushing, crowd, strict=True):
            task.cancel()
            websocket.transport.abort()
        await happens(lambda: not budget.used)
        await happens(lambda: not deaf.service.state().sessions)


async def test_message_counts_until_the_application_asks_for_the_next(deaf: InProcessServer) -> None:
    """Long messages of clients that wait have room for some only; short ones always have."""
    budget = deaf.service.budgets.recognition
    long = elevenlabs_chunk(quiet(160.0))
    fit = LIMIT_BYTES // len(long)
    url = f"{deaf.url}{PATH}?audio_format=pcm_24000"
    async with AsyncExitStack() as stack, asyncio.timeout(WITHIN_S):
        for number in range(2 * fit):
            websocket = await stack.enter_async_context(connect(url))
            held = budget.used
            with suppress(ConnectionClosed):
                await websocket.send(long)
                while number < fit and budget.used == held:
                    await asyncio.sleep(0.005)
            if number >= fit:
                await rest(websocket)
                reason = "too much is being sent to this server at once: try again later"
                assert (websocket.close_code, websocket.close_reason) == (1013, reason)
        held = budget.used
        async with connect(url) as newcomer:
            await newcomer.send(elevenlabs_chunk(quiet(0.5)))
            await happens(lambda: budget.used > held)
