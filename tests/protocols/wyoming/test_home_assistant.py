"""Home Assistant's own loops against the server, and what they read."""

import asyncio
import io
import threading
import wave
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
import soundfile
from wyoming.event import Event
from wyoming.info import Info

from kani.core.recognizer import STEP_S
from kani.core.types import Voice
from kani.core.voices.catalogue import VoiceCatalogue, VoiceStore
from kani.protocols.wyoming.info import describe_voices
from kani_text.languages import primary
from tests.conftest import StartServer
from tests.protocols.conftest import Serve
from tests.protocols.wyoming import home_assistant
from tests.protocols.wyoming.exchange import steps
from tests.support.tone import RATE, ToneEngine, tones

T = TypeVar("T")


async def as_stream(pieces: Iterable[T]) -> AsyncGenerator[T]:
    for piece in pieces:
        yield piece
        await asyncio.sleep(0)


async def streamed(port: int, *pieces: str, voice: str | None = None) -> list[bytes]:
    stream = home_assistant.stream_tts_audio(port, as_stream(pieces), voice)
    return [piece async for piece in stream]


def seconds(file: bytes) -> float:
    return float(soundfile.info(io.BytesIO(file)).duration)


async def test_text_without_words_is_answered(port: int) -> None:
    for message in ("", "   ", "..."):
        whole = await home_assistant.get_tts_audio(port, message)
        assert whole is not None and not any(whole[44:])
        header, *audio = await streamed(port, message)
        assert header.startswith(b"RIFF") and not any(b"".join(audio)), message


async def test_written_text_is_spoken_once(port: int) -> None:
    """The repeated ``synthesize`` in the stream adds nothing, and there is one header."""
    header, *audio = await streamed(port, "Uno ", "dos. ", "Tr", "es ", "cuatro.", voice="tone_es")
    assert header.startswith(b"RIFF") and not any(piece.startswith(b"RIFF") for piece in audio)
    whole = await home_assistant.get_tts_audio(port, "Uno dos. Tres cuatro.", "tone_es")
    assert whole is not None and seconds(whole) == pytest.approx(1.6, abs=0.01)
    with wave.open(io.BytesIO(whole)) as opened:
        assert b"".join(audio) == opened.readframes(opened.getnframes())
        assert opened.getframerate() == RATE


async def test_audio_comes_while_the_text_is_written(port: int) -> None:
    more = asyncio.Event()

    async def messages() -> AsyncIterable[str]:
        yield "Uno dos tres. "
        yield "Cuatro"
        await more.wait()
        yield " cinco."

    stream = home_assistant.stream_tts_audio(port, messages(), "tone_es")
    assert (await anext(stream)).startswith(b"RIFF")
    assert await anext(stream)
    more.set()
    assert [piece async for piece in stream]


async def test_speech_is_recognized(port: int) -> None:
    for loud, language, text in (
        ((True, False, True, False), "es", "w0 w1"),
        ((), "es", ""),
        ((True,), "xx", None),
    ):
        heard = await home_assistant.process_audio_stream(port, as_stream(steps(*loud)), language)
        assert heard == text, language


async def microphone(loud: Callable[[int], bool], most: int) -> AsyncIterable[bytes]:
    """A microphone's steps at their pace, until nobody listens or there are ``most``."""
    for number in range(most):
        yield steps(loud(number))[0]
        await asyncio.sleep(STEP_S)


async def test_server_ends_the_command(serve: Serve) -> None:
    """The transcript comes while audio is still sent, and Home Assistant stops sending."""
    port = (await serve(KANI_WYOMING_END_OF_SPEECH="true")).streams["Wyoming"]
    (recognition,) = (await home_assistant.load_info(port)).asr
    assert recognition.requires_external_vad is False
    spoken = microphone(lambda number: number < 3, 10**6)
    assert await home_assistant.process_audio_stream(port, spoken, "es") == "w0 w1 w2"


async def test_gone_voice_is_replaced_in_its_language(serve: Serve) -> None:
    """The text tells no language; the name of a voice of Piper does, if an engine speaks it."""
    server = await serve()
    names = {"es_ES-davefx-medium": "es", "en_US-lessac-medium": "en", "ru_RU-irina-medium": "en"}
    for voice, language in names.items():
        file = await home_assistant.get_tts_audio(server.streams["Wyoming"], "OK.", voice)
        assert file is not None and seconds(file) > 0.1
        assert primary(server.engine.segments[-1].language) == language, voice


async def test_espeak_speaks_every_language_that_is_listed(start_server: StartServer) -> None:
    port = start_server("--engine", "espeak", "--wyoming").wyoming_port
    info = await home_assistant.load_info(port)
    voices = home_assistant.voices_by_language(info.tts[0])
    assert {"es", "en", "de", "ar"} <= set(voices)
    for language in ("es", "en-GB", "de"):
        spoken = await streamed(port, "Uno, ", "dos, ", "tres.", voice=voices[language][0])
        assert sum(map(len, spoken)) > 30_000


def voices(folder: Path, *languages: str, default: str | None = None) -> dict[str, list[str]]:
    """Names of the voices of each language in Home Assistant's order; each voice is named by its place."""
    own = tuple(Voice(f"v{at}", f"v{at}", tag, "tone") for at, tag in enumerate(languages))
    defaults = {voice.language.partition("-")[0]: voice.id for voice in reversed(own) if voice.language}
    engines = tones(replace(ToneEngine().info, voices=own, default_voices=defaults))
    described = describe_voices(VoiceCatalogue(engines, VoiceStore(folder), default))
    program = {"name": "x", "attribution": {"name": "", "url": ""}, "installed": True, "voices": described}
    info = Event("info", {"tts": [program | {"description": None, "version": None}]})
    return home_assistant.voices_by_language(Info.from_event(info).tts[0])


def test_voices_are_offered_by_language(tmp_path: Path) -> None:
    for languages, default, offered in (
        # The regional tag only where all voices have one: it would hide the voices without.
        (("es", "es-MX"), None, {"es": ["v0", "v1"]}),
        (("en-US", "en-GB"), None, {"en": ["v0", "v1"], "en-US": ["v0"], "en-GB": ["v1"]}),
        (("es", ""), None, {"es": ["v0", "v1"]}),
        # The best voice of a language is its first.
        (("es", "es", "es"), None, {"es": ["v0", "v1", "v2"]}),
        (("es", "es", "es"), "v2", {"es": ["v2", "v0", "v1"]}),
    ):
        assert (languages, voices(tmp_path, *languages, default=default)) == (languages, offered)


def test_voices_of_the_second_engine_come_last(tmp_path: Path) -> None:
    engines = [
        ("natural", Voice("n", "zoe", "es", "natural")),
        ("robotic", Voice("r", "Ana", "es", "robotic")),
    ]
    infos = [
        replace(ToneEngine().info, name=name, voices=(voice,), default_voices={"es": voice.id})
        for name, voice in engines
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
    assert recognition.models[0].languages == ["en", "es", "ja"] and recognition.models[0].installed
    assert all(not getattr(info, kind) for kind in ("handle", "intent", "wake", "mic", "snd"))


async def test_description_is_answered_from_memory(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """For seconds, and an older one where a new one takes longer than Home Assistant waits."""
    before, reading, read = await home_assistant.load_info(port), threading.Event(), threading.Event()

    def describe(_: VoiceCatalogue) -> list[object]:
        reading.set()
        read.wait()
        return []

    monkeypatch.setattr("kani.protocols.wyoming.info.describe_voices", describe)
    try:
        assert await home_assistant.load_info(port) == before and not reading.is_set()
        monkeypatch.setattr("kani.protocols.wyoming.info.FRESH_S", 0.0)
        assert await home_assistant.load_info(port) == before and reading.is_set()
    finally:
        read.set()
