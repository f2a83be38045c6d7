"""The server's description of itself, as Home Assistant reads it."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from wyoming.event import Event
from wyoming.info import Info

from kani.core.types import Voice
from kani.core.voices.catalogue import VoiceCatalogue, VoiceStore
from kani.protocols.wyoming.info import describe_voices
from tests.protocols.wyoming import home_assistant
from tests.support.tone import ToneEngine, tones


def voices(folder: Path, *languages: str, default: str | None = None) -> dict[str, list[str]]:
    """Names of the voices of each language in Home Assistant's order; each voice is named by its place."""
    own = tuple(Voice(f"v{at}", f"v{at}", tag, "tone") for at, tag in enumerate(languages))
    defaults = {voice.language.partition("-")[0]: voice.id for voice in reversed(own) if voice.language}
    engines = tones(replace(ToneEngine().info, voices=own, default_voices=defaults))
    described = describe_voices(VoiceCatalogue(engines, VoiceStore(folder), default))
    program = {"name": "x", "attribution": {"name": "", "url": ""}, "installed": True, "voices": described}
    info = Event("info", {"tts": [program | {"description": None, "version": None}]})
    return home_assistant.voices_by_language(Info.from_event(info).tts[0])


@pytest.mark.parametrize(
    ("languages", "default", "offered"),
    [
        # The regional tag only where all voices have one: it would hide the voices without.
        (("es", "es-MX"), None, {"es": ["v0", "v1"]}),
        (("en-US", "en-GB"), None, {"en": ["v0", "v1"], "en-US": ["v0"], "en-GB": ["v1"]}),
        (("es", ""), None, {"es": ["v0", "v1"]}),
        # The best voice of a language is its first.
        (("es", "es", "es"), None, {"es": ["v0", "v1", "v2"]}),
        (("es", "es", "es"), "v2", {"es": ["v2", "v0", "v1"]}),
    ],
)
def test_voices_are_offered_by_language(
    tmp_path: Path, languages: tuple[str, ...], default: str | None, offered: dict[str, list[str]]
) -> None:
    assert voices(tmp_path, *languages, default=default) == offered


def test_voices_of_the_second_engine_come_last(tmp_path: Path) -> None:
    infos = [
        replace(
            ToneEngine().info, name=name, voices=(Voice(own, label, "es", name),), default_voices={"es": own}
        )
        for name, own, label in (("natural", "n", "zoe"), ("robotic", "r", "Ana"))
    ]
    described = describe_voices(VoiceCatalogue(tones(*infos), VoiceStore(tmp_path), None))
    ordered = sorted(described, key=lambda voice: str(voice["description"]))
    assert [voice["name"] for voice in ordered] == ["n", "r"]


async def test_library_reads_the_description(port: int) -> None:
    info = await home_assistant.load_info(port)
    (speech,), (recognition,) = info.tts, info.asr
    assert (speech.name, recognition.name) == ("Kani", "Kani")
    assert speech.installed and speech.supports_synthesize_streaming and speech.version
    assert home_assistant.voices_by_language(speech) == {"en": ["tone_en"], "es": ["tone_es"]}
    assert recognition.supports_transcript_streaming and recognition.requires_external_vad
    assert recognition.models[0].languages == ["en", "es"] and recognition.models[0].installed
    assert all(not getattr(info, kind) for kind in ("handle", "intent", "wake", "mic", "snd"))


async def test_description_is_answered_from_memory(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second one within seconds reads no files."""
    await home_assistant.load_info(port)

    def fail(catalogue: VoiceCatalogue) -> None:
        raise AssertionError("the voices were read again")

    monkeypatch.setattr("kani.protocols.wyoming.info.describe_voices", fail)
    assert (await home_assistant.load_info(port)).tts


async def test_slow_disk_delays_no_description(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older description is answered where a new one takes longer than Home Assistant waits."""
    before = await home_assistant.load_info(port)
    monkeypatch.setattr("kani.protocols.wyoming.info.FRESH_S", 0.0)

    read = threading.Event()

    def slow(catalogue: VoiceCatalogue) -> list[dict[str, object]]:
        read.wait()
        return []

    monkeypatch.setattr("kani.protocols.wyoming.info.describe_voices", slow)
    try:
        assert await home_assistant.load_info(port) == before
    finally:
        read.set()
