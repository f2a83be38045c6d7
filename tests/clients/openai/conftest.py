"""Two sentences of a natural voice, and whether a client has understood them."""

import asyncio
from pathlib import Path

import pytest

from kani.core.audio.pcm import wav
from kani.core.types import Samples
from tests.clients.kyutai.speaking import say
from tests.conftest import ServerProcess
from tests.judges.judge import word_error_rate

RATE = 24_000
FIRST = "The train to the north leaves from platform seven."
SECOND = "My sister works in a large hospital."


def spoken(server: ServerProcess, *said: tuple[str, str]) -> list[Samples]:
    """Speak texts, each in a voice."""

    async def speak() -> list[Samples]:
        return [(await say(server, text, voice=voice)).samples for text, voice in said]

    return asyncio.run(speak())


@pytest.fixture(scope="session")
def sentences(server: ServerProcess) -> list[Samples]:
    """``FIRST`` and ``SECOND``, which end with their last word."""
    return spoken(server, (FIRST, "af_heart"), (SECOND, "af_heart"))


@pytest.fixture
def recording(sentences: list[Samples], tmp_path: Path) -> Path:
    file = tmp_path / "speech.wav"
    file.write_bytes(wav(sentences[0], RATE))
    return file


def assert_understood(text: str, expected: str, language: str = "en", wrong_at_most: float = 0.15) -> None:
    assert word_error_rate(expected, text, language) <= wrong_at_most, text
