"""The server's description of itself, as Home Assistant reads it."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from wyoming.info import Info

from kani.core.types import Voice
from kani.core.voices.catalogue import VoiceCatalogue, VoiceStore
from kani.protocols.wyoming.info import describe_voices
from tests.protocols.conftest import Serve
from tests.protocols.wyoming import home_assistant
from tests.support.tone import ToneEngine, tones


def voices(folder: Path, *languages: str, default: str | None = None) -> dict[str, list[str]]:
    """Names of the voices of each language in Home Assistant's order; each voice is named by its place."""
    own = tuple(Voice(f"v{at}", f"v{at}", tag, "tone") for at, tag in enumerate(languages))
    defaults = {voice.language.partition("-")[0]: voice.id for voice in reversed(own) if voice.language}
    engines = tones(replace(ToneEngine().info, voices=own, default_voices=defaults))
    described = describe_voices(VoiceCatalogue(engines, VoiceStore(folder), default))
    program = Info.from_event(_info(described)).tts[0]
    return home_assistant.voices_by_language(program)


def _info(described: list[dict[str, object]]) -> object:
    from wyoming.event import Event

    program = {"name": "x", "attribution": {"name": "", "url": ""}, "installed": True, "voices": described}
    return Event("info", {"tts": [program | {"description": None, "version": None}]})


@pytest.mark.parametrize(
    ("languages", "offered"),
    [
        (("es", "es-MX"), {"es": ["v0", "v1"]}),
        (("en-US", "en-GB"), {"en": ["v0", "v1"], "en-US": ["v0"], "en-GB": ["v1"]}),
        (("es", ""), {"es": ["v0", "v1"]}),
    ],
)
def test_voices_are_offered_by_language(
    tmp_path: Path, languages: tuple[str, ...], offered: dict[str, list[str]]
) -> None:
    """The regional tag only where all voices have one: it would hide the voices without."""
    assert voices(tmp_path, *languages) == offered


def test_best_voice_of_a_language_is_its_first(tmp_path: Path) -> None:
    assert voices(tmp_path, "es", "es", "es")["es"] == ["v0", "v1", "v2"]
    assert voices(tmp_path, "es", "es", "es", default="v2")["es"] == ["v2", "v0", "v1"]


def test_voices_of_the_second_engine_come_last(tmp_path: Path) -> None:
    info = ToneEngine().info
    natural = replace(info, name="natural", voices=(Voice("n", "zoe", "es", "natural"),))
    robotic = replace(info, name="robotic", voices=(Voice("r", "Ana", "es", "robotic"),))
    engines = tones(
        replace(natural, default_voices={"es": "n"}), replace(robotic, default_voices={"es": "r"})
    )
    described = describe_voices(VoiceCatalogue(engines, VoiceStore(tmp_path), None))
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


async def test_server_that_ends_commands_says_so(serve: Serve) -> None:
    server = await serve(KANI_WYOMING_END_OF_SPEECH="true")
    (recognition,) = (await home_assistant.load_info(server.streams["Wyoming"])).asr
    assert recognition.requires_external_vad is False


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
