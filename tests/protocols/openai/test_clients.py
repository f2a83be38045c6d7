"""Clients of OpenAI's speech and Realtime: its SDK, LiveKit's plugin, pipecat's services.

They are unmodified but for their address.
"""

import asyncio
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from livekit.agents.utils import http_context
from livekit.plugins import openai as livekit
from openai import BadRequestError, DefaultAsyncHttpxClient, NotFoundError, OpenAI

from kani.core.types import Samples
from tests.clients.openai.conftest import FIRST, SECOND
from tests.clients.openai_libraries import (
    RATE,
    Recognized,
    as_samples,
    speak_with_sdk,
    transcribe_with_livekit,
    transcribe_with_pipecat,
    transcribe_with_sdk,
)
from tests.clients.pipelines import ReceivedSpeech, speak
from tests.conftest import ServerProcess
from tests.judges.judge import hear, word_error_rate

with warnings.catch_warnings():
    # It imports audioop, which a later Python has no more.
    warnings.simplefilter("ignore", DeprecationWarning)
    from pipecat.frames.frames import TTSSpeakFrame
    from pipecat.services.openai.tts import OpenAITTSService

TEXT = "Good morning. How are you today?"
SPANISH = "Buenos días. ¿Cómo estás hoy? Espero que muy bien."
WRONG_IN_REALTIME = 0.15
pytestmark = [
    # pipecat's and LiveKit's own imports and timers.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture
def sdk(espeak_server: ServerProcess) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{espeak_server.http_url}/v1", api_key="any", max_retries=0) as client:
        yield client


def test_sdk_raises_its_own_errors(sdk: OpenAI) -> None:
    with pytest.raises(BadRequestError) as refused:
        sdk.audio.speech.create(model="tts-1", voice="nobody", input="Hi.")
    assert (refused.value.param, refused.value.code) == ("voice", "voice_not_found")
    assert refused.value.type == "invalid_request_error" and refused.value.request_id
    with pytest.raises(NotFoundError):
        sdk.models.retrieve("no such model")
    assert sdk.models.retrieve("tts-1").id in {model.id for model in sdk.models.list()}


async def livekit_speech(server: ServerProcess, text: str, **options: Any) -> tuple[bytes, int]:
    async with http_context.open():
        speaker = livekit.TTS(base_url=f"{server.http_url}/v1", api_key="any", **options)
        speaker.prewarm()
        try:
            frames = [event.frame async for event in speaker.synthesize(text)]
        finally:
            await speaker.aclose()
            # The plugin leaves its connections to the garbage collector.
            await speaker._client.close()
    return b"".join(bytes(frame.data) for frame in frames), frames[0].sample_rate


@pytest.mark.parametrize("model", ["gpt-4o-mini-tts", "tts-1"], ids=["sse", "audio"])
@pytest.mark.parametrize("kind", ["mp3", "opus", "wav", "pcm", "aac", "flac"])
async def test_livekit_speaks(espeak_server: ServerProcess, sdk: OpenAI, model: str, kind: str) -> None:
    how: Any = {"model": model, "voice": "ash", "instructions": "Be calm."}
    audio, rate = await livekit_speech(espeak_server, TEXT, response_format=kind, **how)
    truth = sdk.audio.speech.create(input=TEXT, response_format="pcm", **how)
    assert rate == RATE
    assert len(audio) / 2 / rate == pytest.approx(len(truth.content) / 2 / RATE, abs=0.15)


async def pipecat_speech(server: ServerProcess, voice: str, text: str) -> ReceivedSpeech:
    spoken: list[ReceivedSpeech] = []
    settings = OpenAITTSService.Settings(voice=voice, instructions="Be friendly.", speed=1.2)
    async with DefaultAsyncHttpxClient() as client:
        how = {"api_key": "any", "settings": settings, "http_client": client}
        service = OpenAITTSService(base_url=f"{server.http_url}/v1", **how)
        await speak(service, RATE, [[TTSSpeakFrame(text)]], spoken)
    return spoken[0]


async def test_pipecat_speaks(espeak_server: ServerProcess, sdk: OpenAI) -> None:
    listener = await pipecat_speech(espeak_server, "nova", TEXT)
    how: Any = {"response_format": "pcm", "speed": 1.2, "instructions": "Be friendly."}
    truth = sdk.audio.speech.create(model="any", voice="nova", input=TEXT, **how)
    assert not listener.errors
    assert len(listener.audio) == pytest.approx(len(truth.content), rel=0.02)


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
        assert word_error_rate(text, transcript, "en") <= WRONG_IN_REALTIME, heard


async def test_openai_python_transcribes_turns_and_what_it_commits(
    server: ServerProcess, spoken: list[Samples], two_turns: Samples
) -> None:
    heard = await transcribe_with_sdk(server.http_url, two_turns, {"type": "server_vad"}, 2)
    check(heard, FIRST, SECOND)
    assert "".join(heard.interim) == "".join(heard.transcripts)
    assert heard.events[:2] == ["session.created", "session.updated"]
    check(await transcribe_with_sdk(server.http_url, spoken[1], None, 1), SECOND)


@pytest.mark.server
def test_openai_python_reads_text_aloud(spoken: list[Samples]) -> None:
    assert word_error_rate(FIRST, hear(spoken[0], RATE, "en"), "en") <= WRONG_IN_REALTIME


async def test_livekit_transcribes_streams_on_one_socket(server: ServerProcess, two_turns: Samples) -> None:
    heard = await transcribe_with_livekit(server.http_url, two_turns, 2, streams=2)
    check(heard, FIRST, SECOND, FIRST, SECOND)
    speech = [event for event in heard.events if event.endswith("of_speech")]
    assert speech.count("start_of_speech") == 4 and speech.count("end_of_speech") == 4


@pytest.mark.parametrize("model", ["gpt-live-transcribe", "gpt-realtime-whisper"])
async def test_livekit_commits_what_its_voice_detector_hears(
    server: ServerProcess, two_turns: Samples, model: str
) -> None:
    several = {"language": ["en", "es"], "keywords": ["umbrella"]} if model == "gpt-live-transcribe" else {}
    heard = await transcribe_with_livekit(server.http_url, two_turns, 2, streams=1, model=model, **several)
    check(heard, FIRST, SECOND)


@pytest.mark.parametrize("model", ["", "gpt-live-transcribe", "gpt-transcribe"])
@pytest.mark.parametrize("detection", [False, {"type": "server_vad"}])
async def test_pipecat_transcribes(
    server: ServerProcess, spoken: list[Samples], detection: Any, model: str
) -> None:
    silence = np.zeros(RATE, np.float32)
    samples = np.concatenate([silence, spoken[0], silence])
    heard = await transcribe_with_pipecat(server.url, samples, detection, 1, model)
    check(heard, FIRST)
    assert "".join(heard.interim) == heard.transcripts[0]
