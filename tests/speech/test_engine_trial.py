"""The trial of an engine: a real recogniser has to understand what it says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from engines.kokoro.engine import KokoroEngine, KokoroSettings
from engines.whisper.engine import WhisperRecognizer
from speech.engine import EngineInfo
from speech.engine_trial import MAX_LENGTH, TRIAL_SENTENCES, TrialFailed, recognized_share, run_trial
from speech.errors import EngineFailed
from speech.types import Samples, Segment, SpeechChunk, Voice

pytestmark = pytest.mark.asyncio(loop_scope="module")

RATE = 24_000
SECONDS = 3.5


class RecordedEngine:
    """Plays samples whatever it is given to say; ``said`` counts how often."""

    def __init__(self, samples: Samples, language: str = "es") -> None:
        self.samples = samples
        self.said: list[Segment] = []
        self.info = EngineInfo(
            "recorded", "1", RATE, (Voice("one", "One", language, "recorded"),), {language: "one"}
        )

    async def start(self) -> None:
        """Nothing to load."""

    async def stop(self) -> None:
        """Nothing to free."""

    async def synthesize(self, segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        """Its samples, in two pieces."""
        self.said.append(segment)
        middle = len(self.samples) // 2
        for start, piece in ((0, self.samples[:middle]), (middle, self.samples[middle:])):
            yield SpeechChunk(piece, RATE, start / RATE)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def recognizer(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[WhisperRecognizer]:
    """The recogniser that comes with the server."""
    recognizer = WhisperRecognizer(models_dir=None, cache_dir=tmp_path_factory.mktemp("cache"))
    await recognizer.start()
    yield recognizer
    await recognizer.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kokoro(cache: Path) -> AsyncIterator[KokoroEngine]:
    """A voice that speaks."""
    engine = KokoroEngine(KokoroSettings(None, cache))
    await engine.start()
    yield engine
    await engine.stop()


async def spoken(kokoro: KokoroEngine, text: str, language: str = "es") -> Samples:
    """Kokoro's speech."""
    segment = Segment(text, kokoro.info.default_voices[language], language)
    return np.concatenate([chunk.samples async for chunk in kokoro.synthesize(segment)])


@pytest.mark.parametrize("language", ["es", "en", "fr", "it", "pt"])
async def test_speech_passes(kokoro: KokoroEngine, recognizer: WhisperRecognizer, language: str) -> None:
    """A natural voice is understood, in each language that Kokoro can say the sentence in."""
    engine = RecordedEngine(await spoken(kokoro, TRIAL_SENTENCES[language], language), language)
    await run_trial(engine, recognizer, language)
    assert [segment.text for segment in engine.said] == [TRIAL_SENTENCES[language]]


def noise(seconds: float, loudness: float = 0.1) -> Samples:
    """White noise."""
    return np.random.default_rng(1).normal(0, loudness, round(seconds * RATE)).astype(np.float32)


def melody() -> Samples:
    """Notes."""
    steps = np.repeat([220.0, 247.0, 294.0, 330.0, 294.0, 247.0, 220.0], RATE // 2)
    return (0.3 * np.sin(2 * np.pi * np.cumsum(steps) / RATE)).astype(np.float32)


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (lambda: np.zeros(0, np.float32), "silent"),
        (lambda: np.zeros(round(SECONDS * RATE), np.float32), "silent"),
        (lambda: noise(SECONDS, 0.001), "silent"),
        (lambda: np.full(round(SECONDS * RATE), np.nan, np.float32), "not finite"),
        (lambda: np.where(np.arange(round(SECONDS * RATE)) == 5, np.inf, noise(SECONDS)), "not finite"),
        (lambda: noise(0.5), r"0\.5 s long, where 1\.\d to \d\.\d s are expected"),
        (lambda: noise(30.0), r"30\.0 s long"),
        (lambda: noise(SECONDS), "0% of the words"),
        (melody, "0% of the words"),
    ],
    ids=["nothing", "silence", "a whisper", "NaN", "infinite", "short", "long", "noise", "melody"],
)
async def test_what_is_no_speech_fails(
    recognizer: WhisperRecognizer, samples: Callable[[], Samples], reason: str
) -> None:
    """Each with its reason, after a second try with another seed."""
    engine = RecordedEngine(samples())
    with pytest.raises(TrialFailed, match=reason):
        await run_trial(engine, recognizer, "es")
    assert len({segment.sampling.seed for segment in engine.said}) == 2


async def test_other_words_fail(kokoro: KokoroEngine, recognizer: WhisperRecognizer) -> None:
    """Good speech of something else is not enough, and the message tells both."""
    engine = RecordedEngine(await spoken(kokoro, "Los gatos negros duermen siempre sobre el tejado rojo."))
    with pytest.raises(TrialFailed, match=r"\d% of the words .*'Buenos días.*gatos"):
        await run_trial(engine, recognizer, "es")


async def test_the_second_try_counts(kokoro: KokoroEngine, recognizer: WhisperRecognizer) -> None:
    """A sampled model may fail once."""
    engine = RecordedEngine(noise(SECONDS))
    good = await spoken(kokoro, TRIAL_SENTENCES["es"])
    real = engine.synthesize

    async def better_later(segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        async for chunk in real(segment):
            yield chunk
        engine.samples = good

    engine.synthesize = better_later  # type: ignore[method-assign]
    await run_trial(engine, recognizer, "es")
    assert len(engine.said) == 2


async def test_it_is_tried_in_a_language_of_its_own(recognizer: WhisperRecognizer) -> None:
    """The server's where it speaks it, else its first with a sentence; without one it fails."""
    engine = RecordedEngine(noise(SECONDS), "de")
    with pytest.raises(TrialFailed):
        await run_trial(engine, recognizer, "es-MX")
    assert engine.said[0].text == TRIAL_SENTENCES["de"] and engine.said[0].language == "de"
    engine.info = replace(engine.info, default_voices={"tlh": "one"})
    with pytest.raises(TrialFailed, match="no language that has a test sentence"):
        await run_trial(engine, recognizer, "es")


async def test_what_breaks_is_passed_on(recognizer: WhisperRecognizer) -> None:
    """An engine's own failure keeps its words."""
    engine = RecordedEngine(noise(SECONDS))

    async def breaks(segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        raise EngineFailed("out of memory")
        yield

    engine.synthesize = breaks  # type: ignore[method-assign]
    with pytest.raises(EngineFailed, match="out of memory"):
        await run_trial(engine, recognizer, "es")


async def test_an_engine_that_hangs_fails(
    recognizer: WhisperRecognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is given up after a time, with the reason."""
    monkeypatch.setattr("speech.engine_trial.TRIAL_TIMEOUT_S", 0.05)
    engine = RecordedEngine(noise(SECONDS))

    async def hangs(segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        await asyncio.Event().wait()
        yield

    engine.synthesize = hangs  # type: ignore[method-assign]
    with pytest.raises(TrialFailed, match="was not complete after"):
        await run_trial(engine, recognizer, "es")


async def test_an_endless_engine_is_asked_for_no_more_than_fits(recognizer: WhisperRecognizer) -> None:
    """The segment's longest time is the trial's own bound."""
    engine = RecordedEngine(noise(SECONDS))
    with pytest.raises(TrialFailed):
        await run_trial(engine, recognizer, "es")
    assert engine.said[0].max_seconds < 4 * MAX_LENGTH


@pytest.mark.parametrize(
    ("sentence", "understood", "language", "share"),
    [
        ("Buenos días, mañana a la playa.", "buenos días mañana, a la PLAYA", "es", 1.0),
        ("Buenos días, mañana a la playa.", "Buenos días.", "es", 0.5),
        ("Buenos días, mañana a la playa.", "", "es", 0.0),
        ("你好，明天", "你好", "zh", 0.5),
        ("안녕하세요, 내일 함께", "안녕 하세요 내일 함께", "ko", 1.0),
    ],
)
async def test_words_are_counted(sentence: str, understood: str, language: str, share: float) -> None:
    """Whole words where there are any, characters elsewhere, spaces nowhere."""
    assert recognized_share(sentence, understood, language) == share
