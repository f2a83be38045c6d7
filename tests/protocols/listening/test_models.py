"""Recognisers of one's choice, by each protocol that listens: Moonshine, any Whisper, and GGUF files."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
import pytest_asyncio
import soxr
import torch

from kani import AsyncSpeech
from kani.core.audio.pcm import wav
from kani.core.types import Samples
from kani.engines.espeak.client import EspeakClient
from kani.runtime.recognition import live_delay
from kani.server.settings import load
from kani.server.speech_service import build_recognizer
from tests.clients.openai_realtime import RATE, quiet
from tests.engines.moonshine.random_checkpoint import random_checkpoint
from tests.engines.transcribe.gguf_models import whisper_base
from tests.engines.whisper.checkpoint.random_checkpoint import base_as_folder
from tests.judges.judge import word_error_rate
from tests.judges.judged import JUDGE_PYTHON, needs
from tests.protocols.listening.doors import (
    LIVE,
    RECORDINGS,
    Door,
    House,
    kyutai_messages,
    openai_translation,
    opened,
)
from tests.support.espeak_audio import audio
from tests.support.patience import WITHIN_S

pytestmark = pytest.mark.asyncio(loop_scope="module")

TEXT = "The old bakery opens early in the morning."
SILENCE_S = 5.0
"""After the speech: longer than the most patient detector of turns waits."""


@asynccontextmanager
async def chosen(folder: Path, recognizer: str, **environment: str) -> AsyncIterator[House]:
    """Open every door with a recogniser, which the library finds by the environment as the server does."""
    built = build_recognizer(recognizer, load({}, environment, folder / "none"))
    assert built is not None
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        async with opened(folder, built, recognizer) as house:
            yield house


@pytest.fixture(scope="module")
def _one_thread() -> Iterator[None]:
    """Networks this small are far slower on two threads beside a busy process."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def moonshine(tmp_path_factory: pytest.TempPathFactory, _one_thread: None) -> AsyncIterator[House]:
    folder = tmp_path_factory.mktemp("moonshine")
    model = random_checkpoint(folder / "moonshine-streaming-tiny")
    async with chosen(folder, "moonshine", KANI_MOONSHINE_MODEL=str(model)) as house:
        yield house


@pytest.fixture(scope="module")
def robot() -> Samples:
    client = EspeakClient.shared()
    said = soxr.resample(audio(client, TEXT, "en-us").astype(np.float32) / 2**15, client.sample_rate, RATE)
    return np.concatenate([quiet(0.5), said, quiet(SILENCE_S)]).astype(np.float32)


async def test_moonshine_writes_the_same_text_by_each_protocol(moonshine: House, robot: Samples) -> None:
    heard = {door: await door(moonshine, robot, ()) for door in RECORDINGS if door is not openai_translation}
    texts = {tuple(text.split()) for text in heard.values()}
    assert len(texts) == 1 and len(texts.pop()) > 1


@pytest.mark.parametrize("door", LIVE, ids=[door.__name__ for door in LIVE])
async def test_moonshine_hears_live_words_by_each(moonshine: House, robot: Samples, door: Door) -> None:
    # Words that are expected have no effect.
    assert len((await door(moonshine, robot, ("Zandrell",))).split()) > 1


async def test_moonshine_tells_when_each_word_begins(moonshine: House, robot: Samples) -> None:
    messages = await kyutai_messages(moonshine, robot, ())
    starts = [message["start_time"] for message in messages if message["type"] == "Word"]
    # The silence of five seconds has no word.
    assert len(starts) > 1 and starts == sorted(starts) and starts[-1] < len(robot) / RATE - SILENCE_S + 0.1


async def test_moonshine_says_what_it_is_and_what_it_cannot_do(moonshine: House, robot: Samples) -> None:
    async with httpx.AsyncClient(base_url=moonshine.server.http_url, timeout=WITHIN_S) as client:

        async def posted(path: str, **fields: str) -> httpx.Response:
            file = {"file": ("a.wav", wav(robot, RATE))}
            return await client.post(f"/v1/audio/{path}", files=file, data={"model": "whisper-1"} | fields)

        whole = await posted("transcriptions", response_format="verbose_json")
        assert whole.json()["language"] == "english"
        assert (await client.get("/health")).json()["recognizer"] == {
            "name": "moonshine",
            "version": "moonshine-streaming-tiny",
            "loaded": True,
            "live": True,
            "live_delay": None,
        }
        german = await posted("transcriptions", language="de")
        assert german.status_code == 400 and "known: en" in german.text
        translated = await posted("translations")
        assert translated.status_code == 400 and "Moonshine does not translate" in translated.text


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def whisper(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    folder = tmp_path_factory.mktemp("whisper")
    with pytest.MonkeyPatch.context() as patch:
        # Whatever else the machine does, live speech is recognised.
        patch.setattr(live_delay, "LONGEST_S", math.inf)
        model = base_as_folder(folder / "whisper-of-mine")
        async with chosen(folder, "whisper", KANI_WHISPER_MODEL=str(model)) as house:
            yield house


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def person() -> Samples:
    async with AsyncSpeech("kokoro") as speech:
        said = await speech.say(TEXT, voice="af_heart")
    assert said.sample_rate == RATE
    return np.concatenate([quiet(0.5), said.samples, quiet(SILENCE_S)])


@pytest.mark.heard
@pytest.mark.parametrize("door", [*RECORDINGS, *LIVE], ids=lambda door: door.__name__)
async def test_whisper_of_a_folder_is_understood(whisper: House, person: Samples, door: Door) -> None:
    assert word_error_rate(TEXT, await door(whisper, person, ()), "en") <= 0.15
    async with httpx.AsyncClient(base_url=whisper.server.http_url, timeout=WITHIN_S) as client:
        health = (await client.get("/health")).json()["recognizer"]
    assert health["version"] == "whisper-of-mine int8" and health["live_delay"] > 0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def transcribe(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    needs("transcribe_cpp")
    folder = tmp_path_factory.mktemp("transcribe")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live_delay, "LONGEST_S", math.inf)
        model = str(whisper_base(folder / "base-of-mine.gguf"))
        given = {"KANI_TRANSCRIBE_MODEL": model, "KANI_TRANSCRIBE_PYTHON": JUDGE_PYTHON}
        async with chosen(folder, "transcribe", **given) as house:
            yield house


@pytest.mark.heard
@pytest.mark.parametrize("door", [*RECORDINGS, *LIVE], ids=lambda door: door.__name__)
async def test_gguf_file_is_understood(transcribe: House, person: Samples, door: Door) -> None:
    assert word_error_rate(TEXT, await door(transcribe, person, ()), "en") <= 0.15
    async with httpx.AsyncClient(base_url=transcribe.server.http_url, timeout=WITHIN_S) as client:
        health = (await client.get("/health")).json()["recognizer"]
    assert health["version"] == "whisper-base" and health["live"] and health["live_delay"] > 0
