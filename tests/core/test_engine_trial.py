"""The trial of an engine, up to the recognition of its speech."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace

import numpy as np
import pytest

from kani.core.errors import EngineFailed
from kani.core.late_engine.trial import MAX_LENGTH, TRIAL_SENTENCES, TrialFailed, recognized_share, run_trial
from kani.core.types import Samples, Segment, SpeechChunk
from tests.support.listener import Listener
from tests.support.recorded import RATE, RecordedEngine, noise

SECONDS = 3.5


def replace_synthesis(
    engine: RecordedEngine, synthesize: Callable[[Segment], AsyncGenerator[SpeechChunk, None]]
) -> None:
    engine.synthesize = synthesize  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (np.zeros(0, np.float32), "silent"),
        (np.zeros(round(SECONDS * RATE), np.float32), "silent"),
        (noise(SECONDS, 0.001), "silent"),
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
    assert engine.segments[0].max_seconds < 4 * MAX_LENGTH


async def test_second_attempt_counts() -> None:
    engine = RecordedEngine(np.zeros(0, np.float32))
    recorded = engine.synthesize

    async def better_later(segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        async for chunk in recorded(segment):
            yield chunk
        engine.samples = noise(SECONDS)

    replace_synthesis(engine, better_later)
    await run_trial(engine, Listener(), "es")
    assert len(engine.segments) == 2


async def test_trial_uses_language_of_engine() -> None:
    engine = RecordedEngine(noise(SECONDS), "de")
    await run_trial(engine, Listener(TRIAL_SENTENCES["de"]), "es-MX")
    assert engine.segments[0].text == TRIAL_SENTENCES["de"] and engine.segments[0].language == "de"
    engine.info = replace(engine.info, default_voices={"tlh": "one"})
    with pytest.raises(TrialFailed, match="no language that has a test sentence"):
        await run_trial(engine, Listener(), "es")


async def test_engine_failure_is_passed_on() -> None:
    engine = RecordedEngine(noise(SECONDS))

    async def fails(segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        raise EngineFailed("out of memory")
        yield

    replace_synthesis(engine, fails)
    with pytest.raises(EngineFailed, match="out of memory"):
        await run_trial(engine, Listener(), "es")


async def test_hanging_engine_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kani.core.late_engine.trial.TRIAL_TIMEOUT_S", 0.05)
    engine = RecordedEngine(noise(SECONDS))

    async def hangs(segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        await asyncio.Event().wait()
        yield

    replace_synthesis(engine, hangs)
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
def test_share_counts_words_or_characters(
    sentence: str, recognized: str, language: str, share: float
) -> None:
    assert recognized_share(sentence, recognized, language) == share
