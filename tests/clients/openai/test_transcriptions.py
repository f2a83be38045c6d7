"""Real clients of OpenAI's and ElevenLabs' transcription calls, over Whisper and speech of Kokoro."""

import asyncio
import base64
import io
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import groupby
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from elevenlabs.client import ElevenLabs
from livekit import rtc
from livekit.plugins import openai as livekit
from openai import AsyncOpenAI, OpenAI
from openai.types.audio import TranscriptionDiarized
from pipecat.services.openai.stt import OpenAISTTService

from kani.core.audio.pcm import pcm16, wav
from kani.core.types import Samples
from tests.clients.openai.conftest import RATE, assert_understood, spoken
from tests.conftest import ServerProcess
from tests.support.patience import WITHIN_S

ENGLISH = "The old bakery opens early in the morning. Please bring the blue umbrella back tomorrow."
SPANISH = "El médico me recomendó caminar media hora todos los días."
ABSENT, MICHAEL = "bm_lewis", "am_michael"
DIALOGUE = (
    ("af_bella", "Good morning, at what time does the next train to the coast leave?"),
    (MICHAEL, "It leaves at nine from platform four, but today it will be a little late."),
    ("af_bella", "Thank you very much, then I still have time for breakfast."),
)


@pytest.fixture(scope="module")
def speech(server: ServerProcess) -> dict[str, Samples]:
    english, spanish = spoken(server, (ENGLISH, "af_heart"), (SPANISH, "ef_dora"))
    return {"en": english, "es": spanish}


@pytest.fixture
def client(server: ServerProcess) -> Iterator[OpenAI]:
    with OpenAI(api_key="k", base_url=f"{server.http_url}/v1", timeout=WITHIN_S) as client:
        yield client


@pytest.fixture
async def async_client(server: ServerProcess) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(api_key="k", base_url=f"{server.http_url}/v1", timeout=WITHIN_S) as client:
        yield client


@pytest.fixture
def elevenlabs(server: ServerProcess) -> Iterator[Callable[..., Any]]:
    def convert(samples: Samples, **options: Any) -> Any:
        audio = io.BytesIO(wav(samples, RATE))
        return sdk.speech_to_text.convert(model_id="scribe_v1", file=audio, **options)

    with httpx.Client(timeout=WITHIN_S) as http:
        sdk = ElevenLabs(api_key="k", base_url=server.http_url, httpx_client=http)
        yield convert


def file(samples: Samples) -> tuple[str, bytes]:
    return "speech.wav", wav(samples, RATE)


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
def test_openai_sdk_transcribes_and_translates(client: OpenAI, speech: dict[str, Samples]) -> None:
    """Text, words and segments; it raises the error of a file."""
    create, english = client.audio.transcriptions.create, file(speech["en"])
    assert_understood(create(model="whisper-1", file=english).text, ENGLISH, "en", 0.1)
    text = create(model="whisper-1", file=file(speech["es"]), response_format="text", language="es")
    assert_understood(str(text), SPANISH, "es", 0.1)
    parts = ["word", "segment"]
    answer = create(
        model="whisper-1", file=english, response_format="verbose_json", timestamp_granularities=parts
    )
    assert answer.language == "english"
    assert answer.duration == pytest.approx(len(speech["en"]) / RATE, abs=0.1)
    assert len(answer.segments) == 2
    assert_understood("".join(segment.text for segment in answer.segments), ENGLISH, "en", 0.1)
    assert len(answer.words) == len(ENGLISH.split())
    edges = [edge for word in answer.words for edge in (word.start, word.end)]
    assert edges == sorted(edges) and edges[-1] <= answer.duration
    translated = client.audio.translations.create(model="whisper-1", file=file(speech["es"]))
    words = set(translated.text.lower().replace(".", "").split())
    assert {"the", "doctor", "half", "hour", "every", "day"} <= words, translated.text
    with pytest.raises(openai.BadRequestError) as refused:
        create(model="whisper-1", file=("a.wav", b"no audio"))
    assert (refused.value.param, refused.value.code) == ("file", "invalid_value")


async def test_openai_sdk_streams(async_client: AsyncOpenAI, speech: dict[str, Samples]) -> None:
    stream = await async_client.audio.transcriptions.create(
        model="gpt-4o-mini-transcribe", file=file(speech["en"]), stream=True, include=["logprobs"]
    )
    events = [event async for event in stream]
    assert [event.type for event in events] == ["transcript.text.delta"] * 2 + ["transcript.text.done"]
    deltas = "".join(event.delta for event in events[:-1])
    assert deltas == events[-1].text
    assert_understood(deltas, ENGLISH, "en", 0.1)


@pytest.mark.parametrize("model", ["whisper-1", "gpt-4o-mini-transcribe"])
async def test_livekit_transcribes(async_client: AsyncOpenAI, speech: dict[str, Samples], model: str) -> None:
    stt = livekit.STT(client=async_client, model=model, detect_language=True, use_realtime=False)
    data = pcm16(speech["es"])
    event = await stt.recognize(rtc.AudioFrame(data, RATE, 1, len(data) // 2))
    assert_understood(event.alternatives[0].text, SPANISH, "es", 0.1)
    assert event.alternatives[0].language == "es"


@pytest.mark.parametrize("model", ["whisper-1", "gpt-transcribe"])
async def test_pipecat_transcribes(server: ServerProcess, speech: dict[str, Samples], model: str) -> None:
    service = OpenAISTTService(
        api_key="k",
        base_url=f"{server.http_url}/v1",
        settings=OpenAISTTService.Settings(model=model),
        include_prob_metrics=True,
    )
    answer: Any = await service._transcribe(wav(speech["en"], RATE))
    assert_understood(answer.text, ENGLISH, "en", 0.1)
    assert answer.segments if model == "whisper-1" else answer.logprobs
    await service._client.close()


def test_elevenlabs_sdk_converts(elevenlabs: Callable[..., Any], speech: dict[str, Samples]) -> None:
    answer = elevenlabs(speech["en"], timestamps_granularity="word")
    assert answer.language_code == "eng"
    assert_understood(answer.text, ENGLISH, "en", 0.1)
    words = [item for item in answer.words if item.type == "word"]
    assert [item.text for item in words] == answer.text.split()
    assert all(item.start <= item.end and item.logprob <= 0 for item in words)
    assert "".join(item.text for item in answer.words) == answer.text


@pytest.fixture(scope="module")
def dialogue(server: ServerProcess) -> Samples:
    """A question of one voice, and the answer of another."""
    pieces = spoken(server, *((text, voice) for voice, text in DIALOGUE))
    pause = np.zeros(RATE // 2, np.float32)
    return np.concatenate([part for piece in pieces for part in (piece, pause)])


def said_by_speaker(client: OpenAI, dialogue: Samples, **known: Any) -> dict[str, str]:
    answer: Any = client.audio.transcriptions.create(
        model="gpt-4o-transcribe-diarize", file=file(dialogue), response_format="diarized_json", **known
    )
    assert isinstance(answer, TranscriptionDiarized)
    said = defaultdict[str, str](str)
    for segment in answer.segments:
        said[segment.speaker] += segment.text
    return said


def test_openai_sdk_reads_who_speaks(client: OpenAI, server: ServerProcess, dialogue: Samples) -> None:
    said = said_by_speaker(client, dialogue, chunking_strategy="auto")
    assert sorted(said) == ["A", "B"]
    assert_understood(said["A"], f"{DIALOGUE[0][1]} {DIALOGUE[2][1]}", "en", 0.1)
    assert_understood(said["B"], DIALOGUE[1][1], "en", 0.1)
    text = "I have worked at this station for many years now."
    introduced = [wav(one, RATE) for one in spoken(server, (text, ABSENT), (text, MICHAEL))]
    references = [f"data:audio/wav;base64,{base64.b64encode(one).decode()}" for one in introduced]
    known = {"known_speaker_names": ["Absent", "Michael"], "known_speaker_references": references}
    said = said_by_speaker(client, dialogue, **known)
    assert sorted(said) == ["A", "Michael"]
    assert_understood(said["Michael"], DIALOGUE[1][1], "en", 0.1)


def test_elevenlabs_sdk_reads_who_speaks(elevenlabs: Callable[..., Any], dialogue: Samples) -> None:
    answer = elevenlabs(dialogue, diarize=True, num_speakers=2)
    said = [(item.speaker_id, item.text) for item in answer.words if item.type == "word"]
    turns = [(who, " ".join(text for _, text in turn)) for who, turn in groupby(said, key=lambda one: one[0])]
    assert [who for who, _ in turns] == ["speaker_0", "speaker_1", "speaker_0"]
    for (_, heard), (_, text) in zip(turns, DIALOGUE, strict=True):
        assert_understood(heard, text, "en", 0.1)


async def test_recordings_at_once_are_heard(async_client: AsyncOpenAI, speech: dict[str, Samples]) -> None:
    create, languages = async_client.audio.transcriptions.create, ["en", "es", "en", "es"]
    answers = await asyncio.gather(
        *(create(model="whisper-1", file=file(speech[language])) for language in languages)
    )
    for language, answer in zip(languages, answers, strict=True):
        assert_understood(answer.text, {"en": ENGLISH, "es": SPANISH}[language], language, 0.1)
