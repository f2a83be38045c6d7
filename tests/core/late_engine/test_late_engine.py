"""An engine that joins while others speak: its trial, and when it takes over."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from kani.core.errors import EngineUnavailable
from kani.core.late_engine import TRIAL_SENTENCES, LateEngine, TrialFailed, recognized_share, run_trial
from kani.core.service import SpeechService
from kani.core.types import Samples, Segment, SpeechChunk, SpeechRequest
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.whisper.engine import WhisperRecognizer
from tests.support.listener import Listener
from tests.support.patience import happens
from tests.support.recorded import RATE, RecordedEngine, noise
from tests.support.sessions import SPANISH, speak, started
from tests.support.tone import ToneEngine


class Newcomer(ToneEngine):
    """Another tone, which starts when ``loaded`` is set."""

    stopped = False

    def __init__(self) -> None:
        super().__init__(name="new")
        self.info = replace(self.info, sample_rate=2000)
        self.loaded = asyncio.Event()

    async def start(self) -> None:
        await self.loaded.wait()

    async def stop(self) -> None:
        await super().stop()
        self.stopped = True


@asynccontextmanager
async def serving(
    engine: ToneEngine, newcomer: Newcomer, listener: Listener, tmp_path: Path, voice: str | None = None
) -> AsyncIterator[SpeechService]:
    late_engine = LateEngine("new", newcomer, listener, "es")
    async with started(tmp_path, engine, default_voice=voice, late_engine=late_engine) as service:
        yield service
    assert newcomer.stopped and not listener.running


async def settled(service: SpeechService) -> str:
    assert service.late_engine is not None
    await happens(lambda: service.late_engine.state not in ("loading", "trying"))
    return service.late_engine.state


async def test_late_engine_is_preferred_once_loaded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
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
        assert "new 1 has joined, and speaks en es from now on" in caplog.messages


@pytest.mark.parametrize("writes", [False, True])
async def test_open_session_changes_engine_between_segments(tmp_path: Path, writes: bool) -> None:
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


async def test_named_voice_keeps_its_engine(tmp_path: Path) -> None:
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


class Failing(Newcomer):
    """Fails as it starts, or is there at once and says nothing, or fails, or says other words."""

    def __init__(self, fault: Exception | str) -> None:
        super().__init__()
        self._fault = fault

    async def start(self) -> None:
        if isinstance(self._fault, Exception):
            raise self._fault

    async def synthesize(self, segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        if self._fault == "crashes":
            raise RuntimeError("device-side assert")
        async with aclosing(super().synthesize(segment)) as chunks:
            async for chunk in chunks:
                if self._fault != "is silent":
                    yield chunk


@pytest.mark.parametrize(
    ("fault", "reason", "cure"),
    [
        (EngineUnavailable("no files: fetch them"), "no files", "fetch them"),
        (RuntimeError("CUDA error: no kernel image"), "CUDA error", "--engine kokoro"),
        ("is silent", "silent", "--engine new"),
        ("is misunderstood", "0% of the words", "other model files"),
        ("crashes", "device-side assert", "--engine kokoro"),
    ],
)
async def test_failed_late_engine_is_logged_and_freed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, fault: Exception | str, reason: str, cure: str
) -> None:
    engine, newcomer = ToneEngine(), Failing(fault)
    async with serving(engine, newcomer, Listener("nada"), tmp_path) as service:
        assert await settled(service) == "failed"
        await speak(service, "hola")
        assert engine.words == ["hola"]
        assert [info.name for info in service.engines] == ["tone"]
        (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        assert "the other engines are not affected" in warning and cure in warning
        assert reason in caplog.text
        assert newcomer.stopped


async def test_stop_does_not_wait_for_loading_engine(tmp_path: Path) -> None:
    async with serving(ToneEngine(), Newcomer(), Listener(), tmp_path) as service:
        await speak(service, "hola")
    assert service.late_engine.state == "loading"


SECONDS = 3.5


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        *((noise(*how), "silent") for how in ((0.0,), (SECONDS, 0.0), (SECONDS, 0.001))),
        (np.full(round(SECONDS * RATE), np.nan, np.float32), "not finite"),
        (np.where(np.arange(round(SECONDS * RATE)) == 5, np.inf, noise(SECONDS)), "not finite"),
        (noise(0.5), r"0\.5 s long, where 1\.\d to \d\.\d s are expected"),
        (noise(30.0), r"30\.0 s long"),
        (noise(SECONDS), "0% of the words .*'Buenos días.*gatos"),
    ],
    ids=["nothing", "silence", "whisper", "NaN", "infinite", "short", "long", "other words"],
)
async def test_invalid_speech_fails_after_two_seeds(samples: Samples, reason: str) -> None:
    engine = RecordedEngine(samples)
    with pytest.raises(TrialFailed, match=reason):
        await run_trial(engine, Listener("gatos negros"), "es")
    assert len({segment.sampling.seed for segment in engine.segments}) == 2
    assert engine.segments[0].max_seconds < 10  # the longest that is allowed of 4 s


async def test_second_attempt_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = RecordedEngine(np.zeros(0, np.float32))
    recorded = engine.synthesize

    async def better_later(segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        async for chunk in recorded(segment):
            yield chunk
        engine.samples = noise(SECONDS)

    monkeypatch.setattr(engine, "synthesize", better_later)
    await run_trial(engine, Listener(), "es")
    assert len(engine.segments) == 2


async def test_trial_uses_language_of_engine() -> None:
    engine = RecordedEngine(noise(SECONDS), "de")
    await run_trial(engine, Listener(TRIAL_SENTENCES["de"]), "es-MX")
    assert engine.segments[0].text == TRIAL_SENTENCES["de"] and engine.segments[0].language == "de"
    engine.info = replace(engine.info, default_voices={"tlh": "one"})
    with pytest.raises(TrialFailed, match="no language that has a test sentence"):
        await run_trial(engine, Listener(), "es")


async def test_hanging_engine_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kani.core.late_engine.TRIAL_TIMEOUT_S", 0.05)
    engine = RecordedEngine(noise(SECONDS))

    async def hangs(segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        await asyncio.Event().wait()
        yield

    monkeypatch.setattr(engine, "synthesize", hangs)
    with pytest.raises(TrialFailed, match="was not complete after"):
        await run_trial(engine, Listener(), "es")


@pytest.mark.parametrize(
    ("sentence", "recognized", "language", "share"),
    [
        ("Buenos días, mañana a la playa.", "buenos días mañana, a la PLAYA", "es", 1.0),
        ("Buenos días, mañana a la playa.", "Buenos días.", "es", 0.5),
        ("Buenos días, mañana a la playa.", "", "es", 0.0),
        ("你好，明天", "你好", "zh", 0.5),
        ("안녕하세요, 내일 함께", "안녕 하세요 내일 함께", "ko", 1.0),
    ],
)
def test_share_counts_words_or_letters(sentence: str, recognized: str, language: str, share: float) -> None:
    assert recognized_share(sentence, recognized, language) == share


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def recognizer(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[WhisperRecognizer]:
    recognizer = WhisperRecognizer(models_dir=None, cache_dir=tmp_path_factory.mktemp("cache"))
    await recognizer.start()
    yield recognizer
    await recognizer.stop()


async def spoken(kokoro: KokoroEngine, text: str, language: str = "es") -> Samples:
    segment = Segment(text, kokoro.info.default_voices[language], language)
    return np.concatenate([chunk.samples async for chunk in kokoro.synthesize(segment)])


@pytest.mark.smoke
@pytest.mark.heard
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("language", ["es", "en", "fr", "it", "pt"])
async def test_natural_voice_passes(
    kokoro: KokoroEngine, recognizer: WhisperRecognizer, language: str
) -> None:
    engine = RecordedEngine(await spoken(kokoro, TRIAL_SENTENCES[language], language), language)
    await run_trial(engine, recognizer, language)
    assert [segment.text for segment in engine.segments] == [TRIAL_SENTENCES[language]]
