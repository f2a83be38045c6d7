"""Kyutai's names of voices: which of ours answers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from protocols.kyutai.query import resolve_voice
from server.metrics import Metrics
from server.settings import load
from speech.service import SpeechService
from websocket_server import build_service

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SpeechService]:
    folder = tmp_path_factory.mktemp("voices")
    built = build_service(load({"data_dir": folder, "recognizer": "none"}, {}, folder / "none"), Metrics("0"))
    await built.start()
    yield built
    await built.stop()


@pytest.mark.parametrize(
    ("name", "language", "gender"),
    [
        ("unmute-prod-website/p329_022.wav", "en", "female"),
        ("unmute-prod-website/developpeuse-3.wav", "fr", "female"),
        ("developpeuse-3.wav+2.5", "fr", "female"),
        ("developpeuse-3.wav 2.5", "fr", "female"),
        ("expresso/ex03-ex01_happy_001_channel1_334s.wav", "en", None),
        ("cml-tts/fr/12977_10625_000037-0001.wav", "fr", None),
        ("vctk/p226_023.wav", "en", None),
        ("em_alex", "es", "male"),
    ],
)
async def test_kyutai_voice_maps_to_language_and_sex(
    service: SpeechService, name: str, language: str, gender: str | None
) -> None:
    found = resolve_voice(name, service)
    voice = next(voice for voice in service.catalogue.list() if voice.id == found)
    assert voice.language.partition("-")[0] == language
    assert voice.engine == "kokoro"
    assert gender in (None, voice.gender)


async def test_missing_sex_falls_back_to_language(service: SpeechService) -> None:
    assert resolve_voice("unmute-prod-website/degaulle-2.wav", service) == "ff_siwis"


@pytest.mark.parametrize("name", [None, "", "nobody", "custom:x", "custom:../x", "default_voice.wav", "+2.5"])
async def test_unknown_name_is_default_voice(service: SpeechService, name: str | None) -> None:
    assert resolve_voice(name, service) is None
