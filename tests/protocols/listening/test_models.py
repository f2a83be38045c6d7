"""A Whisper of one's choice, and a GGUF file, by each protocol that listens."""

import math
from collections.abc import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio

from kani import AsyncSpeech
from kani.composition.settings import load
from kani.composition.speech_service import Builder
from kani.core.types import Samples
from kani.runtime.recognition import live_delay
from tests.clients.openai_realtime import RATE, quiet
from tests.engines.transcribe.gguf_models import whisper_base
from tests.engines.whisper.checkpoint.random_checkpoint import base_as_folder
from tests.judges.judge import word_error_rate
from tests.judges.judged import JUDGE_PYTHON, needs
from tests.protocols.listening.doors import LIVE, RECORDINGS, Door, House, opened

pytestmark = pytest.mark.asyncio(loop_scope="module")

TEXT = "The old bakery opens early in the morning."
SILENCE_S = 5.0
"""After the speech: longer than the most patient detector of turns waits."""


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["whisper", "transcribe"])
async def house(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[House]:
    """Every door with a recogniser, which the library finds by the environment as the server does."""
    recognizer, folder = request.param, tmp_path_factory.mktemp(request.param)
    if recognizer == "whisper":
        variables = {"KANI_RECOGNIZER_MODEL": str(base_as_folder(folder / "whisper-of-mine"))}
    else:
        needs("transcribe_cpp")
        model = str(whisper_base(folder / "base-of-mine.gguf"))
        variables = {"KANI_RECOGNIZER_MODEL": model, "KANI_PYTHONS": f"transcribe={JUDGE_PYTHON}"}
    with pytest.MonkeyPatch.context() as patch:
        # Whatever else the machine does, live speech is recognised.
        patch.setattr(live_delay, "LONGEST_S", math.inf)
        for name, value in variables.items():
            patch.setenv(name, value)
        built = Builder(load({"recognizer": recognizer}, variables, folder / "none")).recognizer()
        assert built is not None
        async with opened(folder, built, recognizer) as house:
            yield house


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def person() -> Samples:
    async with AsyncSpeech("kokoro") as speech:
        said = await speech.say(TEXT, voice="af_heart")
    assert said.sample_rate == RATE
    return np.concatenate([quiet(0.5), said.samples, quiet(SILENCE_S)])


@pytest.mark.heard
@pytest.mark.parametrize("door", [*RECORDINGS, *LIVE], ids=lambda door: door.__name__)
async def test_model_of_ones_own_is_understood(house: House, person: Samples, door: Door) -> None:
    assert word_error_rate(TEXT, await door(house, person, ()), "en") <= 0.15
    health = (await house.server.get("/health")).json()["recognizer"]
    assert health["version"] == ("whisper-of-mine int8" if house.recognizer == "whisper" else "whisper-base")
    assert health["live"] and health["live_delay"] > 0
