"""WS /v1/realtime with unmodified clients: openai-python, LiveKit's plugin, pipecat, Open WebUI's loop."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from kani.core.types import Samples
from tests.clients.openai_libraries import (
    RATE,
    Recognized,
    as_samples,
    speak_as_open_webui,
    speak_with_sdk,
    transcribe_with_livekit,
    transcribe_with_pipecat,
    transcribe_with_sdk,
)
from tests.conftest import ServerProcess
from tests.judges.judge import hear, word_error_rate

FIRST = "The train to the north leaves from platform seven."
SECOND = "My sister works in a large hospital."
WRONG_AT_MOST = 0.15

pytestmark = [
    pytest.mark.server,
    # pipecat's and LiveKit's own imports and timers.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def spoken(server: ServerProcess) -> list[Samples]:
    """Two sentences, as openai-python has them read aloud."""

    async def speak(text: str) -> Samples:
        pcm, transcript = await speak_with_sdk(server.http_url, text, "af_heart")
        assert transcript == text
        return as_samples(pcm)

    return [asyncio.run(speak(text)) for text in (FIRST, SECOND)]


@pytest.fixture(scope="module")
def two_turns(spoken: list[Samples]) -> Samples:
    silence = np.zeros(round(1.2 * RATE), np.float32)
    return np.concatenate([silence[: RATE // 2], spoken[0], silence, spoken[1], silence])


def check(heard: Recognized, *texts: str) -> None:
    assert not heard.errors
    assert len(heard.transcripts) == len(texts), heard
    for transcript, text in zip(heard.transcripts, texts, strict=True):
        assert word_error_rate(text, transcript, "en") <= WRONG_AT_MOST, heard


async def test_openai_python_transcribes_turns(server: ServerProcess, two_turns: Samples) -> None:
    heard = await transcribe_with_sdk(server.http_url, two_turns, {"type": "server_vad"}, 2)
    check(heard, FIRST, SECOND)
    assert "".join(heard.interim) == "".join(heard.transcripts)
    assert heard.events[:2] == ["session.created", "session.updated"]


async def test_openai_python_commits_itself(server: ServerProcess, spoken: list[Samples]) -> None:
    heard = await transcribe_with_sdk(server.http_url, spoken[1], None, 1)
    check(heard, SECOND)


async def test_openai_python_reads_text_aloud(spoken: list[Samples]) -> None:
    assert word_error_rate(FIRST, hear(spoken[0], RATE, "en"), "en") <= WRONG_AT_MOST


async def test_livekit_transcribes_streams_over_one_connection(
    server: ServerProcess, two_turns: Samples
) -> None:
    heard = await transcribe_with_livekit(server.http_url, two_turns, 2, streams=2)
    check(heard, FIRST, SECOND, FIRST, SECOND)
    speech = [event for event in heard.events if event.endswith("of_speech")]
    assert speech.count("start_of_speech") == 4 and speech.count("end_of_speech") == 4


@pytest.mark.parametrize("detection", [False, {"type": "server_vad"}])
async def test_pipecat_transcribes(server: ServerProcess, spoken: list[Samples], detection: Any) -> None:
    silence = np.zeros(RATE, np.float32)
    samples = np.concatenate([silence, spoken[0], silence])
    heard = await transcribe_with_pipecat(server.url, samples, detection, 1)
    check(heard, FIRST)
    assert "".join(heard.interim) == heard.transcripts[0]


@pytest.mark.parametrize("voice", ["alloy", "marin"])
async def test_open_webui_reads_text_aloud(server: ServerProcess, voice: str) -> None:
    pcm = await speak_as_open_webui(server.http_url, FIRST, voice)
    assert word_error_rate(FIRST, hear(as_samples(pcm), RATE, "en"), "en") <= WRONG_AT_MOST
