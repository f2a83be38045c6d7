"""The contract of makers' packages, by adapters without one: speech, recognition, a worker's end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from kani.core.engine import Unloadable
from kani.core.errors import Busy, EngineFailed, EngineUnavailable, InvalidRequest
from kani.core.recent import Recent
from kani.core.recognizer import Mark, RecognitionEvent, RecognizedWord, RecognizerInfo, Step
from kani.core.types import Samples, Sampling, Segment
from kani.engines.packages.engine import PackageEngine
from kani.engines.packages.hearing import HeardPackage
from kani.engines.packages.package import Package
from kani.engines.packages.recognizer import PackageRecognizer
from kani.engines.plugin import Resources
from kani.engines.remote.connectors import ChildWorker
from kani.engines.remote.messages import Launch
from kani.runtime.packages.environment import PackageEnvironment
from tests.engines.packages.life import chunks_of, resources, started, workers
from tests.engines.packages.stand_in import DELAY_S, HEARING_RATE, RATE, STEP, WORD_S, WRONG, Ear
from tests.support.patience import happens

pytestmark = pytest.mark.server


class Chosen(BaseModel):
    """Settings of the adapter."""

    given: dict[str, Any] = {}


def package(adapter: str) -> Package:
    environment = PackageEnvironment("Stand_in", ("numpy", "msgspec"), "numpy msgspec", "no size", "none")
    path = f"tests.engines.packages.stand_in:{adapter}"
    return Package("stand_in", environment, path, lambda chosen, _: chosen.given)


def engine_of(folder: Path, **given: Any) -> PackageEngine:
    return PackageEngine(package("Tone"), Chosen(given=given), resources(folder))


def recognizer_of(folder: Path, **given: Any) -> PackageRecognizer:
    known = RecognizerInfo("stand_in", "", HEARING_RATE, frozenset({"en"}))
    return PackageRecognizer(package("Ear"), Chosen(given=given), resources(folder), known)


def segment(text: str, **changed: Any) -> Segment:
    return Segment(text, "stand_in:a", "en", sampling=Sampling(seed=440), **changed)


async def test_wrong_audio_fails_in_words_and_the_next_text_is_spoken(tmp_path: Path) -> None:
    reasons = {"nan": "not finite", "infinite": "not finite", "loud": "beyond 16 times full scale"}
    reasons |= dict.fromkeys(("double", "stereo", "integers"), "no mono float32")
    reasons |= {"nothing": "more than 1,000 chunks without audio"}
    assert reasons.keys() == WRONG.keys()
    async with started(engine_of(tmp_path)) as engine:
        for text, reason in reasons.items():
            with pytest.raises(EngineFailed, match=f"the stand_in engine gave .*{reason}"):
                await chunks_of(engine, segment(text))
        assert await chunks_of(engine, segment("one two"))


async def test_speech_is_trimmed_and_its_words_keep_their_places(tmp_path: Path) -> None:
    """The worker ends once nothing was spoken for a while, and comes back."""
    async with started(engine_of(tmp_path)) as engine:
        text = "one two  three"
        chunks = await chunks_of(engine, segment(text))
        samples = np.concatenate([chunk.samples for chunk in chunks])
        assert len(samples) / RATE == pytest.approx(3 * WORD_S + 0.1, abs=0.01)
        spans = [span for chunk in chunks for span in chunk.spans]
        assert [text[span.start : span.end] for span in spans] == ["one", "two", "three"]
        for number, span in enumerate(spans):
            assert span.start_s == pytest.approx(0.05 + number * WORD_S, abs=0.01)
        for wrong, kind, reason in (
            ("wrong", InvalidRequest, "does not say"),
            ("broken", EngineFailed, "failed"),
            ("silence", EngineFailed, "there was no voice"),
        ):
            with pytest.raises(kind, match=reason):
                await chunks_of(engine, segment(wrong))
        silent = await chunks_of(engine, segment("hush", max_seconds=1.0))
        assert silent[-1].end_s == pytest.approx(WORD_S + 0.1, abs=0.01)
        assert isinstance(engine, Unloadable) and engine.loaded
        engine.unload_after(0.01)
        await happens(lambda: not (engine.loaded or workers()))
        assert len(await chunks_of(engine, segment(text))) > 0


@pytest.mark.parametrize(
    ("raises", "reason"),
    [
        ("missing", "cannot import its package"),
        ("damage", "^cut$"),
        ("fault", "cannot load its model: 'a.weight': remove it and fetch .*KANI_MODEL"),
        ("device", r"cannot start: no CUDA here \(KANI_DEVICE\)$"),
        ("large", "the device has too little free memory$"),
    ],
)
async def test_adapter_that_cannot_load_says_why(tmp_path: Path, raises: str, reason: str) -> None:
    with pytest.raises(EngineUnavailable, match=reason):
        async with started(engine_of(tmp_path, raises=raises)):
            pass
    assert not workers()


async def test_processes_of_a_package_end_with_its_worker(tmp_path: Path) -> None:
    """Also where the server was killed: it ends its workers' groups, and then cannot."""
    launch = Launch("stand_in", 20, "engine", {"forks": True}, Resources(tmp_path), package("Tone").adapter)
    connector = ChildWorker(launch, lambda ready: None)
    connection = await connector.connect()
    (worker,) = workers()
    (forked,) = (one for one in worker.children() if "resource_tracker" not in " ".join(one.cmdline()))
    connection.channel.abort("as if the server was killed")
    try:
        await happens(lambda: not forked.is_running())
    finally:
        await connector.disconnect(connection)


async def test_recogniser_that_cannot_prepare_leaves_no_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise OSError("no file")

    monkeypatch.setattr("kani_text.language_detection.load_detector", missing)
    with pytest.raises(OSError, match="no file"):
        async with started(recognizer_of(tmp_path, languages=["en", "fr"])):
            pass
    assert not workers()


def test_recent_values_are_those_used_last() -> None:
    recent: Recent[str, int] = Recent(2)
    recent.keep("a", 1)
    recent.keep("b", 2)
    assert (recent.use("a"), recent.use("c")) == (1, None)
    recent.keep("c", 3)
    assert list(recent) == ["a", "c"]


async def pieces(seconds: float, *marks: float) -> AsyncIterator[Samples | Mark]:
    """Noise in pieces that are no steps, with marks at some of their ends, in seconds."""
    made = np.random.default_rng(1).normal(0, 0.1, round(seconds * HEARING_RATE)).astype(np.float32)
    for start in range(0, len(made), 1_000):
        if start / HEARING_RATE in marks:
            yield Mark(marks.index(start / HEARING_RATE))
        yield made[start : start + 1_000]


@pytest.mark.parametrize("pauses", [(), (0.9, 0.8, 0.7, 0.6)])
async def test_session_hears_words_steps_and_marks(tmp_path: Path, pauses: tuple[float, ...]) -> None:
    async with started(recognizer_of(tmp_path, pauses=pauses)) as recognizer:

        async def heard(seconds: float, *marks: float) -> list[RecognitionEvent]:
            return [event async for event in recognizer.recognize(pieces(seconds, *marks), "en")]

        events = await heard(1.0, 0.5)
        words = [event for event in events if isinstance(event, RecognizedWord)]
        assert [word.text for word in words] == ["w1.", "w2.", "w3."]
        assert {word.language for word in words} == {"en"} and max(word.end_s for word in words) <= 1.0
        steps = [event for event in events if isinstance(event, Step)]
        assert [step.index for step in steps] == list(range(HEARING_RATE // STEP))
        assert sum(len(step.voices) for step in steps) == pytest.approx(1.0 / 0.032, abs=2)
        # Within a word no pause is told for sure.
        assert all(max(step.pause_probabilities) <= 0.5 for step in steps if step.index % 5 != 4)
        after = events[events.index(Mark(0)) :]
        decided = next(event for event in reversed(events[: -len(after)]) if isinstance(event, Step))
        assert (decided.index + 1) * 0.08 - DELAY_S >= 0.5 - 0.08
        # More streams than places wait for one.
        assert all(await asyncio.gather(*(heard(0.5) for _ in range(5))))


async def test_stream_waits_for_a_place_for_some_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kani.engines.packages.hearing.WAIT_S", 0.01)
    monkeypatch.setattr(Ear, "streams", 1)
    adapted = HeardPackage(package("Ear").adapter, {}, Resources(tmp_path))
    await adapted.start()
    async with aclosing(adapted.recognize(pieces(1.0), "en")) as events:
        await anext(events)
        with pytest.raises(Busy, match="as many streams as it can"):
            await anext(adapted.recognize(pieces(1.0), "en"))
    await adapted.stop()
