"""Names of Kani-TTS's speakers, by the doors that its makers' clients use, with other engines."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from kani.core.types import Voice
from kani.core.voices.names import SPEAKERS, nearest
from tests.clients.kani.wire import ask, request
from tests.support.servers.serving import InProcessServer, serving
from tests.support.tone import ToneEngine


def tone() -> ToneEngine:
    """Two English voices, the first without a gender, and a Spanish one."""
    engine = ToneEngine()
    voices = (
        *(Voice("tone_en", "Tone", "en", "tone"), Voice("man", "Man", "en", "tone", "male")),
        *(Voice("am_michael", "M", "en", "tone", "male"), Voice("tone_es", "Tone", "es", "tone")),
        *(Voice("tone:nova", "Nova", "es", "tone"), Voice("tone:Mei", "Mei", "es", "tone")),
    )
    engine.info = replace(engine.info, voices=voices)
    return engine


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[InProcessServer]:
    async with serving(tmp_path, engine=tone()) as running:
        yield running


CASES = [
    ("andrew", "en", "am_michael"),
    ("David", "en", "man"),
    ("katie", "en", "tone_en"),
    ("maria", "es", "tone_es"),
    ("ming", "en", "tone_en"),
    ("mei", "es", "tone:Mei"),
    ("speaker_1", "es", "tone_es"),
    ("random", "en", "tone_en"),
    ("nova", "es", "tone:nova"),
]


@pytest.mark.parametrize(("name", "language", "voice"), CASES)
async def test_name_chooses_the_voice(house: InProcessServer, name: str, language: str, voice: str) -> None:
    body = {"model": "gpt-4o-mini-tts", "voice": name, "input": "Hello", "language": language}
    for whole in ({}, {"response_format": "wav", "stream": False}):
        spoken = await house.post("/v1/audio/speech", json=body | whole)
        assert (spoken.status_code, spoken.headers["x-voice"]) == (200, voice), spoken.text
    refused = await house.post("/v1/audio/speech", json=body | {"voice": f"{name}s"})
    assert refused.status_code == 400
    async with connect(house.url) as socket:
        answer = await ask(socket, request("Hello", config={"voice_id": name, "language": language}))
    assert answer["metadata"]["voice"] == voice, answer


def test_every_speaker_has_a_voice_of_its_language_or_none() -> None:
    info = tone().info
    for name, speaker in SPEAKERS.items():
        found = nearest(speaker, [info])
        assert (found is None) == (speaker.language not in ("en", "es")), name
        assert found is None or found.language == speaker.language
