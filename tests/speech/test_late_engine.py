"""An engine that joins while others speak: when it takes over, and that it never takes the voice away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from speech.engine_trial import TRIAL_SENTENCES
from speech.errors import EngineUnavailable
from speech.late_engine import LateEngine
from speech.observer import Observer
from speech.recognizer import Mark, RecognitionEvent, RecognizedWord, RecognizerInfo
from speech.request import Limits
from speech.service import SpeechService
from speech.types import Samples, Segment, SpeechChunk, SpeechRequest
from speech.voices.catalogue import VoiceStore
from tests.support.tone import ToneEngine

SPANISH = SpeechRequest(language="es")


class Newcomer(ToneEngine):
    """Another tone, which starts when ``loaded`` is set."""

    def __init__(self) -> None:
        super().__init__()
        voices = tuple(replace(voice, id=f"new:{voice.id}", engine="new") for voice in self.info.voices)
        defaults = {voice.language: voice.id for voice in voices}
        self.info = replace(
            self.info, name="new", sample_rate=2000, voices=voices, default_voices=defaults, cloning="none"
        )
        self.loaded = asyncio.Event()
        self.stopped = False

    async def start(self) -> None:
        """Wait for the files."""
        await self.loaded.wait()

    async def stop(self) -> None:
        """Free everything."""
        await super().stop()
        self.stopped = True


class Listener:
    """Understands ``words``, whatever it is given; ``running`` between start and stop."""

    info = RecognizerInfo("listener", "1", 16_000, frozenset({"es", "en"}))

    def __init__(self, words: str = TRIAL_SENTENCES["es"]) -> None:
        self.words = words
        self.running = False

    async def start(self) -> None:
        """Nothing to load."""
        self.running = True

    async def stop(self) -> None:
        """Nothing to free."""
        self.running = False

    async def recognize(
        self, audio: AsyncIterator[Samples | Mark], language: str | None
    ) -> AsyncGenerator[RecognitionEvent, None]:
        """Its words, once the audio has ended."""
        assert self.running
        async for _ in audio:
            pass
        for word in self.words.split():
            yield RecognizedWord(word, 0.0, 1.0)


@asynccontextmanager
async def serving(
    engine: ToneEngine, newcomer: Newcomer, listener: Listener, tmp_path: Path, voice: str | None = None
) -> AsyncIterator[SpeechService]:
    """A service that a newcomer joins."""
    service = SpeechService(
        [engine],
        VoiceStore(tmp_path),
        Limits(),
        default_language="es",
        default_voice=voice,
        observer=Observer(),
        late_engine=LateEngine("new", newcomer, listener, "es"),
    )
    await service.start()
    try:
        yield service
    finally:
        await service.stop()
        assert newcomer.stopped and not listener.running


async def settled(service: SpeechService) -> str:
    """The state that joining ends in."""
    assert service.late_engine is not None
    while service.late_engine.state in ("loading", "trying"):
        await asyncio.sleep(0.001)
    return service.late_engine.state


async def speak(service: SpeechService, text: str, request: SpeechRequest = SPANISH) -> list[SpeechChunk]:
    """All chunks of a text."""
    async with service.open(request, protocol="test") as session:
        session.feed(text)
        session.finish()
        return [chunk async for chunk in session]


async def test_the_voice_is_there_at_once_and_the_newcomer_later(tmp_path: Path) -> None:
    """Before it has loaded the others speak; then it does, and comes first in every list at once."""
    engine, newcomer = ToneEngine(), Newcomer()
    async with serving(engine, newcomer, Listener(), tmp_path) as service:
        before = service.catalogue
        await speak(service, "antes")
        assert service.late_engine.state == "loading"
        assert [info.name for info in service.engines] == ["tone"]
        newcomer.loaded.set()
        assert await settled(service) == "speaking"
        await speak(service, "después")
        assert (engine.words, newcomer.words[-1]) == (["antes"], "después")
        assert [info.name for info in service.engines] == ["new", "tone"]
        assert service.catalogue.languages == {"es": "new", "en": "new"}
        assert before.languages == {"es": "tone", "en": "tone"}


@pytest.mark.parametrize("writes", [False, True])
async def test_a_running_session_changes_between_two_sentences(tmp_path: Path, writes: bool) -> None:
    """The sentence under way is finished by whoever began it, at the sample rate that the client was told."""
    engine, newcomer = ToneEngine(writes=writes), Newcomer()
    async with serving(engine, newcomer, Listener(), tmp_path) as service:
        async with service.open(SPANISH, protocol="test") as session:
            engine.allow = 1
            first = "La primera frase es de quien empezó, y la termina también. "
            second = "Sigue la segunda, que dice otra voz hasta el final del texto."
            if writes:
                session.feed(first[:40])
            else:
                session.feed(first + second)
                session.finish()
            chunks = aiter(session)
            await engine.permit(1)
            newcomer.loaded.set()
            assert await settled(service) == "speaking"
            spoken = len(newcomer.words)
            await engine.permit(None)
            if writes:
                session.feed(first[40:] + second)
                session.finish()
            heard = [chunk async for chunk in chunks]
            assert engine.words[-1] == "también"
            assert newcomer.words[spoken:][0] == "Sigue" and newcomer.words[-1] == "texto"
            assert {chunk.sample_rate for chunk in heard} == {engine.info.sample_rate}
            (passage,) = session.foreign_passages
            assert (passage.engine, passage.voice) == ("new", "new:tone_es")
            assert (first + second)[passage.start : passage.end].strip() == second
            assert session.resolved_voice.engine is engine


async def test_a_voice_that_was_named_stays(tmp_path: Path) -> None:
    """A client, or the server's settings, that name one of the first engine's voices keep it."""
    engine, newcomer = ToneEngine(), Newcomer()
    async with serving(engine, newcomer, Listener(), tmp_path, voice="tone_en") as service:
        newcomer.loaded.set()
        assert await settled(service) == "speaking"
        newcomer.words.clear()
        await speak(service, "hola", SpeechRequest(language="es", voice="tone_es"))
        await speak(service, "hello", SpeechRequest(language="en"))
        assert (engine.words, newcomer.words) == (["hola", "hello"], [])
        await speak(service, "nueva", SpeechRequest(language="es", voice="new:tone_es"))
        assert newcomer.words == ["nueva"]


class Absent(Newcomer):
    async def start(self) -> None:
        """Find nothing."""
        raise EngineUnavailable("its files are not here: fetch them")


class Broken(Newcomer):
    async def start(self) -> None:
        """Break as a driver does."""
        raise RuntimeError("CUDA error: no kernel image is available")


class Silent(Newcomer):
    async def start(self) -> None:
        """Is there at once."""

    async def synthesize(self, segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        """Nothing."""
        for nothing in ():
            yield nothing


class Misunderstood(Newcomer):
    async def start(self) -> None:
        """Is there at once."""


class Crashing(Misunderstood):
    async def synthesize(self, segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        """Break as a driver does."""
        raise RuntimeError("device-side assert")
        yield


@pytest.mark.parametrize(
    ("kind", "reason", "cure"),
    [
        (Absent, "its files are not here", "fetch them"),
        (Broken, "CUDA error", "--engine kokoro"),
        (Silent, "silent", "--engine new"),
        (Misunderstood, "0% of the words", "--model"),
        (Crashing, "device-side assert", "--engine kokoro"),
    ],
)
async def test_whatever_fails_the_voice_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: type[Newcomer], reason: str, cure: str
) -> None:
    """It is said once, with a cure; everybody speaks on, and the newcomer is freed."""
    engine, newcomer = ToneEngine(), kind()
    async with serving(engine, newcomer, Listener("nada"), tmp_path) as service:
        assert await settled(service) == "failed"
        await speak(service, "hola")
        assert engine.words == ["hola"]
        assert [info.name for info in service.engines] == ["tone"]
        warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        (warning,) = warnings
        assert "the other engines are not affected" in warning and cure in warning
        assert reason in caplog.text
        assert newcomer.stopped


async def test_the_end_does_not_wait_for_what_still_loads(tmp_path: Path) -> None:
    """Stopping gives up a newcomer that never came, and says so by its state."""
    async with serving(ToneEngine(), Newcomer(), Listener(), tmp_path) as service:
        await speak(service, "hola")
    assert service.late_engine.state == "loading"
