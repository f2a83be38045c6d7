"""Speaker embeddings of recordings and stored voices: made once, stored, refined in the background."""

import asyncio
import gc
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from weakref import WeakSet

import numpy as np
import pytest

from kani.core.audio.pcm import wav
from kani.core.engine import Cloning
from kani.core.errors import Busy, EngineFailed, InvalidRequest, NameTaken, UnknownVoice
from kani.core.service import SpeechService
from kani.core.types import Embedding, Recording, Similarity, SpeechRequest
from kani.core.voices.catalogue import VoiceStore
from kani.core.voices.cloning import MAX_WAITING_RECORDINGS, VoiceCloner
from kani.core.voices.embedding_cache import MAX_PENDING, EmbeddingCache
from kani.core.voices.store import NewVoice
from tests.support.patience import WITHIN_S
from tests.support.sessions import SPANISH, collect, fed, serving, speak, started
from tests.support.tone import ToneEngine

RATE = 16_000


def hum(seconds: float = 4.0, level: float = 0.5) -> Recording:
    """A tone: the tests' engine embeds its level."""
    times = np.arange(round(seconds * RATE)) / RATE
    return Recording((level * np.sin(2 * np.pi * 200 * times)).astype(np.float32), RATE)


def new(name: str = "ana", level: float = 0.5, language: str | None = None) -> NewVoice:
    recording = wav(hum(level=level).samples, RATE)
    return NewVoice(name, recording, consent="It is me.", origin="test", language=language)


def imitating(name: str = "ana") -> SpeechRequest:
    return SpeechRequest(voice=f"custom:{name}", language="es")


def largest(folder: Path) -> int:
    return max((path.stat().st_size for path in folder.rglob("*") if path.is_file()), default=0)


class WatchedRecording(Recording):
    """Without slots it supports weak references."""


def damage(folder: Path) -> None:
    for path in folder.rglob("voice.json"):
        path.write_text("{")


class SlowEngine(ToneEngine):
    """Embeds only once ``let`` is set; fails if ``broken``."""

    stopped = 0
    broken = False

    def __init__(self) -> None:
        super().__init__(clones=True)
        self.let, self.asked = asyncio.Event(), asyncio.Event()

    async def embed(self, recording: Recording) -> Embedding:
        self.asked.set()
        try:
            await self.let.wait()
        except asyncio.CancelledError:
            self.stopped += 1
            raise
        if self.broken:
            raise EngineFailed("broken")
        return await super().embed(recording)


class EndlessEngine(ToneEngine):
    stopped = 0

    def __init__(self) -> None:
        super().__init__(clones=True)
        self.begun = asyncio.Event()

    async def refine(
        self, recording: Recording, embedding: Embedding, language: str
    ) -> AsyncGenerator[Embedding, None]:
        self.begun.set()
        try:
            await asyncio.Event().wait()
            yield embedding
        finally:
            self.stopped += 1


@pytest.fixture
def engine() -> ToneEngine:
    return ToneEngine(clones=True)


@asynccontextmanager
async def two(
    tmp_path: Path, voice: str | None = None, language: str | None = "es"
) -> AsyncIterator[tuple[SpeechService, ToneEngine, ToneEngine]]:
    """A service, and its engines, which speak the same languages; the second is called "echo", and clones."""
    plain, echo = ToneEngine(), ToneEngine(clones=True, name="echo")
    async with started(tmp_path, plain, echo, default_voice=voice, default_language=language) as service:
        yield service, plain, echo


async def refined(cloning: VoiceCloner, store: VoiceStore, name: str) -> dict[str, Similarity]:
    """Similarities of the tests' engine to a stored voice, after all refinement."""
    await settled()
    likeness = cloning.statuses(store.get(name))[0]
    assert likeness.state == "ready"
    return dict(likeness.similarity)


async def taking(
    service: SpeechService, request: SpeechRequest, *given: tuple[Embedding, ...]
) -> tuple[str, str, str]:
    """Speak by the last of some embeddings; the engine that spoke, its kind of cloning, and the language."""
    async with service.open(request, protocol="test") as session:
        for embeddings in given:
            session.use_embeddings(embeddings)
        session.feed("uno")
        session.finish()
        await collect(session)
        with pytest.raises(RuntimeError):
            session.use_embeddings(given[-1])
        voice = session.resolved_voice
        return voice.engine.info.name, session.cloning_kind, voice.language


async def settled() -> None:
    async with asyncio.timeout(WITHIN_S):
        while tasks := [task for task in asyncio.all_tasks() if task.get_name().startswith("refinement")]:
            await asyncio.wait(tasks)


async def test_concurrent_requests_embed_recording_once(tmp_path: Path) -> None:
    engine = SlowEngine()
    engine.let.set()
    async with serving(engine, tmp_path) as service:
        requests = [replace(SPANISH, reference=hum(level=level)) for level in (0.5, 0.5, 0.25)]
        await asyncio.gather(*(speak(service, "uno", request) for request in requests))
        await speak(service, "dos", requests[0])
        await settled()
    levels = [round(float(recording.samples.max()), 2) for recording in engine.embedded]
    assert sorted(levels) == [0.25, 0.5]
    told = [segment.embedding for segment in engine.segments]
    assert [round(float(one.values[0]), 2) for one in told if one is not None].count(0.5) == 3


async def test_session_reports_cloning_and_similarity_or_refuses_a_reference(service: SpeechService) -> None:
    for sound, reason in ((hum(0.4), "at least 0.5 s"), (hum(level=0.0), "no speech in the recording")):
        with pytest.raises(InvalidRequest, match=reason) as refused:
            await speak(service, "uno", replace(SPANISH, reference=sound))
        assert refused.value.field == "reference"
    async with fed(service, "uno", replace(SPANISH, reference=hum())) as session:
        await collect(session)
        assert (session.cloning_kind, session.similarity) == ("nearest voice", Similarity(0.5, 0.6, False))
    async with fed(service, "uno") as session:
        await collect(session)
        assert (session.cloning_kind, session.similarity) == ("none", None)


def asked(embeddings: EmbeddingCache, engine: ToneEngine, key: str) -> asyncio.Task[Embedding]:
    return asyncio.create_task(embeddings.get((key, "tone 1"), partial(engine.embed, hum())))


async def test_computation_ends_with_its_last_caller() -> None:
    engine, embeddings = SlowEngine(), EmbeddingCache(1)
    waiting = [asked(embeddings, engine, "hum") for _ in range(2)]
    await engine.asked.wait()
    for number, one in enumerate(waiting):
        one.cancel()
        await asyncio.wait([one])
        assert engine.stopped == number
    engine.let.set()
    await asked(embeddings, engine, "hum")
    await asked(embeddings, engine, "hum")
    assert len(engine.embedded) == 1


async def test_pending_embeddings_are_limited() -> None:
    engine, embeddings = SlowEngine(), EmbeddingCache(1)
    waiting = [asked(embeddings, engine, f"{number} hum") for number in range(MAX_PENDING)]
    await engine.asked.wait()
    with pytest.raises(Busy):
        await asked(embeddings, engine, f"{MAX_PENDING} hum")
    embeddings.forget("0 ")
    engine.let.set()
    await asyncio.gather(*waiting)
    kept = [embeddings.cached((f"{number} hum", "tone 1")) is not None for number in range(2)]
    assert kept == [False, True]
    await embeddings.stop()
    assert embeddings.cached(("1 hum", "tone 1")) is None


async def test_failure_reaches_all_callers_and_is_not_cached(tmp_path: Path) -> None:
    engine = SlowEngine()
    engine.broken = True
    async with serving(engine, tmp_path) as service:
        cloning = service.cloning
        waiting = [asyncio.create_task(cloning.embed(engine, hum(), "es")) for _ in range(2)]
        await engine.asked.wait()
        engine.let.set()
        for one in waiting:
            with pytest.raises(EngineFailed):
                await one
        engine.broken = False
        assert await cloning.embed(engine, hum(), "es") is not None


async def test_added_voice_is_embedded_once_by_each_model_then_refined_and_stored(tmp_path: Path) -> None:
    engine, store = ToneEngine(clones=True), VoiceStore(tmp_path)
    async with serving(engine, tmp_path) as service:
        voice = await service.cloning.add(new(language="en"))
        assert len(engine.embedded) == 1
        assert await refined(service.cloning, store, "ana") == {
            "es": Similarity(0.5, 0.6, False),
            "en": Similarity(0.5, 0.8, True),
        }
        async with fed(service, "one", SpeechRequest(voice=voice.id)) as session:
            await collect(session)
            assert (session.similarity, session.resolved_voice.language) == (Similarity(0.5, 0.8, True), "en")
    again = ToneEngine(clones=True)
    async with serving(again, tmp_path) as service:
        await speak(service, "uno", imitating())
        known = again.segments[0].embedding
        assert known is not None and known.similarity["en"] == Similarity(0.5, 0.8, True)
        # Spoken in another language, it becomes better in that one too.
        similarity = await refined(service.cloning, store, "ana")
        assert similarity == {language: Similarity(0.5, 0.8, True) for language in ("es", "en")}
    assert (again.embedded, [language for _, language in again.refined]) == ([], ["es"])
    newer = ToneEngine(clones=True)
    newer.info = replace(newer.info, cloning=Cloning("nearest voice", "tone 2"))
    async with serving(newer, tmp_path) as service:
        await speak(service, "uno", imitating())
        await settled()
    assert len(newer.embedded) == 1
    assert newer.segments[0].embedding is not None and newer.segments[0].embedding.model == "tone 2"


async def test_recordings_waiting_for_refinement_are_limited(tmp_path: Path) -> None:
    engine = EndlessEngine()
    in_memory: WeakSet[Recording] = WeakSet()
    async with serving(engine, tmp_path) as service:
        cloning = service.cloning

        async def send(level: float) -> None:
            sound = WatchedRecording(hum(level=level).samples, RATE)
            in_memory.add(sound)
            assert await cloning.embed(engine, sound, "es") is not None

        for _ in range(2):
            for number in range(MAX_WAITING_RECORDINGS + 3):
                await send(0.1 + 0.1 * number)
        await engine.begun.wait()
        engine.embedded.clear()
        gc.collect()
        # The one that is under way, and those that wait.
        assert len(in_memory) == MAX_WAITING_RECORDINGS + 1
        await cloning.stop()


async def test_replaced_recording_reuses_no_embedding(engine: ToneEngine, service: SpeechService) -> None:
    cloning = service.cloning
    await cloning.add(new(level=0.9))
    async with service.open(imitating(), protocol="test") as session:
        await cloning.delete("ana")
        await cloning.add(new(level=0.2))
        session.feed("uno")
        session.finish()
        with pytest.raises(UnknownVoice):
            await collect(session)
    for level in (0.2, 0.9):
        if level == 0.9:
            await cloning.delete("ana")
            await cloning.add(new(level=level))
        await speak(service, "uno", imitating())
        known = engine.segments[-1].embedding
        assert known is not None and known.values[0] == pytest.approx(level, abs=0.01)
    await settled()
    kept = service.store.embeddings(service.store.get("ana"))
    assert kept[0].values[0] == pytest.approx(0.9, abs=0.01)


async def test_deleted_and_damaged_voices_fall_back(tmp_path: Path) -> None:
    VoiceStore(tmp_path).add(new(language="es"))
    async with two(tmp_path, voice="custom:ana") as (service, plain, echo):
        await service.cloning.delete("ana")
        await speak(service, "uno", SPANISH)
        await service.cloning.add(new(language="es"))
        await speak(service, "dos", SPANISH)
        assert [segment.text for segment in plain.segments] == ["uno"]
        assert [segment.embedding is not None for segment in echo.segments] == [True]
        await settled()
        damage(tmp_path)
        with pytest.raises(UnknownVoice):
            service.store.get("ana")
        await service.cloning.delete("ana")
    assert largest(tmp_path) < 1000


async def test_passage_voice_does_not_affect_neighbours(tmp_path: Path) -> None:
    VoiceStore(tmp_path).add(new("olga", language="ru"))
    engine = ToneEngine(clones=True, languages=("es", "en", "ru"))
    text = "One two three. Привет, как дела сегодня? Four five."
    async with started(tmp_path, engine, default_voice="custom:olga") as service:
        await speak(service, text, SpeechRequest(language="en"))
        told = [(segment.language, segment.embedding is not None) for segment in engine.segments]
        assert set(told) == {("en", False), ("ru", True)}


async def test_default_voice_without_a_language_replaces_none_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    VoiceStore(tmp_path).add(new())
    async with two(tmp_path, voice="custom:ana") as (service, plain, echo):
        await speak(service, "uno", SPANISH)
        await speak(service, "Where is the train station?", SpeechRequest())
    assert [segment.language for segment in plain.segments] == ["es", "en"]
    assert not echo.segments
    assert "custom:ana has no language" in caplog.text


async def test_names_in_use_are_refused_and_deletion_ends_refinement(tmp_path: Path) -> None:
    engine = EndlessEngine()
    async with serving(engine, tmp_path) as service:
        cloning = service.cloning
        with pytest.raises(NameTaken):
            await cloning.add(new("tone_es"))
        await cloning.add(new("हिन्दी"))
        await engine.begun.wait()
        for name in ("tone_es", "a/b", "\u093f"):
            with pytest.raises(InvalidRequest):
                await cloning.rename("हिन्दी", name)
        assert (engine.stopped, cloning.statuses(service.store.get("हिन्दी"))[0].state) == (0, "refining")
        engine.begun.clear()
        assert (await cloning.rename("हिन्दी", "b")).id == "custom:b"
        await engine.begun.wait()
        assert cloning.statuses(service.store.get("b"))[0].state == "refining"
        # A renamed voice keeps its embedding.
        await speak(service, "uno", imitating("b"))
        with pytest.raises(UnknownVoice):
            await speak(service, "uno", imitating("हिन्दी"))
        assert (len(engine.embedded), engine.stopped) == (1, 1)
        await cloning.delete("custom:b")
        assert engine.stopped == 2
        with pytest.raises(UnknownVoice):
            service.open(imitating("b"), protocol="test")
        with pytest.raises(UnknownVoice):
            await cloning.delete("b")
    assert largest(tmp_path) < 1000


async def test_cloning_engine_is_preferred_for_references(tmp_path: Path) -> None:
    async with two(tmp_path) as (service, _, _):
        await service.cloning.add(new())
        for request, engine in (
            (SPANISH, "tone"),
            (replace(SPANISH, reference=hum()), "echo"),
            (replace(SPANISH, voice="custom:ana"), "echo"),
            (replace(SPANISH, voice="tone_es", reference=hum()), "tone"),
        ):
            async with fed(service, "uno", request) as session:
                await collect(session)
                assert session.resolved_voice.engine.info.name == engine
                assert session.cloning_kind == ("none" if engine == "tone" else "nearest voice")


@pytest.mark.parametrize("language", ["es", None])
@pytest.mark.parametrize("voice", ["tone_es", "custom:ana", None])
async def test_embeddings_replace_the_voice(tmp_path: Path, voice: str | None, language: str | None) -> None:
    async with two(tmp_path, language=None) as (service, plain, echo):
        await service.cloning.add(new())
        made = [await service.cloning.embed_with_all_engines(hum(level=level)) for level in (0.25, 0.5)]
        spoken = "en" if language is None and voice != "tone_es" else "es"
        request = SpeechRequest(voice=voice, language=language)
        assert await taking(service, request, *made) == ("echo", "nearest voice", spoken)
        assert not plain.segments
        assert [segment.embedding for segment in echo.segments] == [made[1][0]]
        # Those of another model are of no engine here.
        foreign = tuple(replace(one, model="tone 2") for one in made[0])
        assert (await taking(service, SPANISH, foreign))[1] == "none"
