"""Kyutai's models by Kyutai's protocol, with stand-ins for their package."""

import asyncio
import sys
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed

from kani.core.audio.pcm import wav
from kani.core.types import Samples
from tests.clients.kyutai.speaking import Heard, Told, hear_until, let_hear, listening, opened, rest_of, say
from tests.clients.kyutai.wire import EOS, FRAME, RATE, audio_message, text_message, unpack
from tests.engines.packages.life import STAND_INS, workers
from tests.engines.packages.small_checkpoints import VOICE as CHECKPOINT_VOICE
from tests.engines.packages.small_checkpoints import tensor_file, written
from tests.support.patience import WITHIN_S
from tests.support.servers.app_server import AppServer, app_server

pytestmark = pytest.mark.server
TEXT, VOICE, FRAMES_A_WORD = "One two, it's three.", "ana.wav", 2
LONG = "One after another, and on and on. " * 12
ENDLESS = "One after another and then endless. "


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    speech, ears = (written(tmp_path_factory.mktemp(family), family) for family in ("kyutai", "kyutai-ears"))
    (speech / CHECKPOINT_VOICE).write_bytes(tensor_file())
    chosen = {
        "KANI_ENGINE": "kyutai",
        "KANI_RECOGNIZER": "kyutai",
        "KANI_PYTHONS": f"kyutai={sys.executable}",
        "KANI_MODEL": str(speech),
        "KANI_ENGINE_VOICES": str(speech),
        "KANI_MAX_CONCURRENT": "2",
        "KANI_RECOGNIZER_MODEL": str(ears),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(STAND_INS))
        with app_server(tmp_path_factory.mktemp("app"), KANI_DEVICE="cpu", **chosen) as running:
            yield running


def kill_workers() -> None:
    for one in workers():
        one.kill()


async def test_words_are_spoken_with_their_times_while_they_are_written(app: AppServer) -> None:
    whole = await say(app, TEXT, voice=VOICE, seed="5", language="en")
    assert whole.said == TEXT.split() and len(whole.samples) == 5 * FRAMES_A_WORD * FRAME
    starts = [start_s for word, start_s, _ in whole.words if word]
    assert starts == pytest.approx([0.16 * number for number in range(4)], abs=0.01)
    async with opened(app, voice=VOICE, seed="5", language="en") as websocket:
        heard = Heard()
        for word in TEXT.split():
            await websocket.send(text_message(f" {word}"))
            # The word before is spoken before the next one is written.
            while word != TEXT.split()[0] and not heard.frames:
                await heard.take(websocket)
        await websocket.send(EOS)
        await rest_of(websocket, heard)
    assert heard.said == TEXT.split()
    other = await say(app, TEXT, voice=VOICE, seed="6", language="en")
    assert not np.array_equal(other.samples, whole.samples)


async def test_speech_is_cancelled_and_comes_back_after_its_process_was_killed(app: AppServer) -> None:
    for kill in (False, False, False, False, True):
        async with opened(app, max_queue=None, voice=VOICE, language="en") as websocket:
            await websocket.send(text_message(ENDLESS if kill else LONG))
            heard = Heard()
            while not heard.frames:
                await heard.take(websocket)
            if kill:
                kill_workers()
                await rest_of(websocket, heard)
                assert heard.others[-1]["type"] == "Error"
    assert (await say(app, TEXT, voice=VOICE, language="en")).said == TEXT.split()


def spoken(words: int) -> Samples:
    """So many loud words between silences."""
    word = np.concatenate([np.zeros(4 * FRAME), np.random.default_rng(2).normal(0, 0.3, 3 * FRAME)])
    return np.tile(word, words).astype(np.float32)


async def listen(app: AppServer, samples: Samples, *, kill: bool = False) -> list[Told]:
    async with listening(app) as websocket:
        assert unpack(await websocket.recv()) == {"type": "Ready"}
        await let_hear(websocket, samples, None if kill else 9)
        if kill:
            await hear_until(websocket, "Word")
            kill_workers()
            with pytest.raises(ConnectionClosed, match="was lost, and is started again"):
                await hear_until(websocket, "Marker")
            return []
        # As every client of moshi-server does: a marker comes back once audio after it has been heard.
        await let_hear(websocket, np.zeros(20 * FRAME, np.float32), None)
        return await hear_until(websocket, "Marker")


async def test_words_are_heard_and_the_recogniser_comes_back_after_its_process_was_killed(
    app: AppServer,
) -> None:
    """More streams than it has places; some leave early."""
    alone = await listen(app, spoken(3))
    words = [message["start_time"] for message in alone if message["type"] == "Word"]
    assert words == pytest.approx([0.08 * (6 + 7 * at) for at in range(3)]) and alone[-1]["id"] == 9
    steps = [message for message in alone if message["type"] == "Step"]
    assert [step["step_idx"] for step in steps] == list(range(len(steps)))
    assert all(len(step["prs"]) == 4 and all(0 <= p <= 1 for p in step["prs"]) for step in steps)
    for _ in range(3):
        async with listening(app) as websocket:
            await websocket.send(audio_message(np.ones(FRAME, np.float32)))
    beside = await asyncio.gather(*(listen(app, spoken(count)) for count in (1, 2, 3, 1, 2)))
    assert [sum(each["type"] == "Word" for each in one) for one in beside] == [1, 2, 3, 1, 2]
    await listen(app, spoken(3), kill=True)
    assert [each for each in await listen(app, spoken(3)) if each["type"] == "Word"] == [
        each for each in alone if each["type"] == "Word"
    ]


async def test_recordings_health_and_languages_name_the_recogniser(app: AppServer) -> None:
    async with httpx.AsyncClient(base_url=app.http_url, timeout=WITHIN_S) as client:

        async def posted(**fields: str) -> httpx.Response:
            file = {"file": ("a.wav", wav(spoken(3), RATE))}
            form = {"model": "whisper-1", "response_format": "verbose_json"} | fields
            return await client.post("/v1/audio/transcriptions", files=file, data=form)

        answer = (await posted(language="fr")).json()
        assert (answer["language"], answer["text"].split()) == ("french", ["loud"] * 3)
        health = (await client.get("/health")).json()["recognizer"]
        assert (health["name"], health["version"], health["live"]) == ("kyutai", "checkpoint", True)
        refused = await posted(language="de")
        assert refused.status_code == 400 and "known: en, fr" in refused.text
