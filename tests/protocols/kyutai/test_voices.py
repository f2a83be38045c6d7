"""Names of Kyutai's voices, and the voices of this server that replace them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from kani.core.service import SpeechService
from kani.engines.kokoro.voices import DEFAULT_VOICES, Voices
from kani.protocols.kyutai.query import resolve_voice
from tests.support.sessions import build
from tests.support.tone import ToneEngine


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[SpeechService]:
    engine = ToneEngine()
    engine.info = replace(engine.info, name="kokoro", voices=Voices().all, default_voices=DEFAULT_VOICES)
    built = build(tmp_path, engine)
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
