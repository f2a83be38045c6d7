"""Being heard through Kyutai's WebSocket: steps, words, markers, Ogg Opus, Init; and recordings by POST."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import chain, repeat

import numpy as np
import pytest
from starlette.datastructures import QueryParams
from websockets.asyncio.client import ClientConnection

from kani.core.audio.ogg_opus import OggOpusEncoder
from kani.core.errors import UnsupportedLanguage
from kani.core.observer import Observer
from kani.core.recognition_service import RecognitionService
from kani.core.session.admission import Admission, Limits
from kani.core.types import Samples
from kani.protocols.kyutai.query import read_language
from tests.clients.kyutai.speaking import Told, hear_until, let_hear, listening, say, words_of
from tests.clients.kyutai.wire import FRAME, RATE, audio_message, frames_of, pack, unpack
from tests.conftest import ServerProcess, StartServer
from tests.judges.judge import word_error_rate
from tests.support.loudness import LoudnessRecognizer
from tests.support.patience import WITHIN_S
from tests.support.servers.app_server import AppServer

BEGUN, ENDED = "So I was thinking, maybe we could", "visit our grandmother on Sunday."
SAID = "The train to the north leaves from platform seven at nine o'clock."
SILENCE_S = 2.0


@pytest.fixture(scope="session")
def speech(server: AppServer) -> Samples:
    heard = asyncio.run(say(server, SAID, voice="af_heart"))
    silence = np.zeros(round(SILENCE_S * RATE), np.float32)
    return np.concatenate([silence[: RATE // 2], heard.samples, silence])


@asynccontextmanager
async def heard_by(server: AppServer, **query: str) -> AsyncIterator[ClientConnection]:
    async with listening(server, **query) as websocket:
        assert unpack(await websocket.recv()) == {"type": "Ready"}
        yield websocket


@pytest.mark.heard
async def test_each_frame_gets_step_and_words_get_times(server: ServerProcess, speech: Samples) -> None:
    async with heard_by(server) as websocket:
        await let_hear(websocket, speech)
        messages = await hear_until(websocket, "Marker")
    assert messages[-1]["id"] == 7
    steps = [message for message in messages if message["type"] == "Step"]
    assert [step["step_idx"] for step in steps] == list(range(len(frames_of(speech))))
    assert all(len(step["prs"]) == 4 and all(0 <= p <= 1 for p in step["prs"]) for step in steps)
    assert all(list(step["prs"]) == sorted(step["prs"], reverse=True) for step in steps)
    # All was sent at once, so there was a backlog, and after the last frame none.
    assert max(step["buffered_pcm"] for step in steps) > 0 and steps[-1]["buffered_pcm"] == 0
    assert word_error_rate(SAID, words_of(messages), "en") == 0.0
    spoken = [message for message in messages if message["type"] in ("Word", "EndWord")]
    assert [message["type"] for message in spoken] == ["Word", "EndWord"] * (len(spoken) // 2)
    starts = [message["start_time"] for message in spoken[::2]]
    ends = [message["stop_time"] for message in spoken[1::2]]
    assert starts == sorted(starts) and ends == sorted(ends)
    assert all(start <= end for start, end in zip(starts, ends, strict=True))
    assert 0.3 < starts[0] < 0.9 and ends[-1] <= len(speech) / RATE - SILENCE_S + 0.4


@pytest.mark.heard
async def test_last_word_precedes_pause(server: ServerProcess) -> None:
    """A breath within a sentence is none."""
    breath = np.zeros(round(0.4 * RATE), np.float32)
    first, second = [(await say(server, text, voice="am_michael")).samples for text in (BEGUN, ENDED)]
    async with heard_by(server) as websocket:

        async def speak() -> None:
            began = asyncio.get_running_loop().time()
            silence = repeat(np.zeros(FRAME, np.float32))  # a microphone does not end
            for number, frame in enumerate(
                chain(frames_of(np.concatenate([breath, first, breath, second])), silence), 1
            ):
                await websocket.send(audio_message(frame))
                await asyncio.sleep(began + number * 0.08 - asyncio.get_running_loop().time())

        speaking = asyncio.create_task(speak())
        messages: list[Told] = []
        while not words_of(messages) or messages[-1]["type"] != "Step" or messages[-1]["prs"][2] < 0.6:
            messages.append(unpack(await asyncio.wait_for(websocket.recv(), 300)))
        speaking.cancel()
        await asyncio.wait([speaking])
    assert word_error_rate(f"{BEGUN} {ENDED}", words_of(messages), "en") <= 0.04
    # A voice that has begun is no pause.
    begun = next(
        number for number, one in enumerate(messages) if one["type"] == "Step" and one["prs"][2] == 0
    )
    assert all(one["prs"][2] < 0.6 for one in messages[begun:-1] if one["type"] == "Step")


@pytest.mark.heard
async def test_ogg_opus_is_recognized_and_init_restarts(server: ServerProcess, speech: Samples) -> None:
    async with heard_by(server) as websocket:
        for turn in range(2):
            encoder = OggOpusEncoder()
            pages = [encoder.header, *map(encoder.feed, frames_of(speech)), encoder.finish()]
            for page in pages:
                data = list(page) if turn else page
                await websocket.send(pack({"type": "OggOpus", "data": data}))
            await websocket.send(pack({"type": "Marker", "id": turn}))
            messages = await hear_until(websocket, "Marker")
            assert word_error_rate(SAID, words_of(messages), "en") == 0.0
            assert next(one for one in messages if one["type"] == "Step")["step_idx"] == 0
            await websocket.send(pack({"type": "Init"}))
            assert (await hear_until(websocket, "Ready"))[-1] == {"type": "Ready"}


@pytest.mark.heard
async def test_shutdown_finalizes_words(start_server: StartServer, speech: Samples) -> None:
    server = start_server("--engine", "espeak", KANI_SHUTDOWN_SECONDS=str(WITHIN_S))
    async with heard_by(server) as websocket:
        frames = frames_of(speech[: -round(1.9 * RATE)])
        for frame in frames:
            await websocket.send(audio_message(frame))
        messages: list[Told] = []
        while sum(message["type"] == "Step" for message in messages) < len(frames):
            messages += await hear_until(websocket, "Step")
        server.send_signal(15)
        messages += [unpack(message) async for message in websocket]
        assert (websocket.close_code, websocket.close_reason) == (1001, "the server is stopping")
    assert word_error_rate(SAID, words_of(messages), "en") == 0.0
    assert server.wait() == 0


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


def test_language_is_one_that_is_recognised() -> None:
    recognizer = LoudnessRecognizer()
    recognizer.info = replace(recognizer.info, languages=frozenset({"en", "tl"}))
    hears = RecognitionService(recognizer, Observer(), Admission(Limits(), Observer()))
    # No engine speaks it.
    for given, code in (("fil-PH", "tl"), ("tl", "tl"), ("English", "en"), ("auto", None)):
        assert read_language(QueryParams({"language": given}), hears) == code
    with pytest.raises(UnsupportedLanguage, match=r"'es' \(known: en, tl"):
        read_language(QueryParams({"language": "es"}), hears)
    deaf = RecognitionService(None, Observer(), Admission(Limits(), Observer()))
    assert read_language(QueryParams({"language": "es"}), deaf) == "es"
