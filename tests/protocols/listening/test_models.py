"""A Whisper of one's choice, and a GGUF file, by each protocol that listens."""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
import pytest_asyncio

from kani import AsyncSpeech
from kani.core.types import Samples
from kani.runtime.recognition import live_delay
from kani.server.settings import load
from kani.server.speech_service import build_recognizer
from tests.clients.openai_realtime import RATE, quiet
from tests.engines.transcribe.gguf_models import whisper_base
from tests.engines.whisper.checkpoint.random_checkpoint import base_as_folder
from tests.judges.judge import word_error_rate
from tests.judges.judged import JUDGE_PYTHON, needs
from tests.protocols.listening.doors import LIVE, RECORDINGS, Door, House, opened
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
