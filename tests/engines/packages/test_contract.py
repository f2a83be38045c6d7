"""The contract of makers' packages, by adapters without one: speech, recognition, a worker's loss."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from pydantic import BaseModel

from kani.core.engine import Unloadable
from kani.core.errors import Busy, EngineFailed, EngineLost, EngineUnavailable, InvalidRequest
from kani.core.recognizer import Mark, RecognitionEvent, RecognizedWord, RecognizerInfo, Step
from kani.core.transcriber import TranscriptionOptions
from kani.core.types import Samples, Sampling, Segment
from kani.engines.packages.adapter import Recent
from kani.engines.packages.engine import PackageEngine
from kani.engines.packages.hearing import HeardPackage
from kani.engines.packages.package import Package
from kani.engines.packages.recognizer import PackageRecognizer
from kani.engines.plugin import Resources
from kani.engines.remote.connectors import ChildWorker
from kani.engines.remote.messages import Launch
from kani.runtime.packages.environment import PackageEnvironment
from tests.conftest import LOOK_AGAIN_S
from tests.engines.packages.life import chunks_of, resources, started, workers
from tests.engines.packages.stand_in import DELAY_S, HEARING_RATE, RATE, STEP, WORD_S
from tests.support.patience import WITHIN_S

pytestmark = pytest.mark.server

HERE = PackageEnvironment(
    engine="Stand-in", package="stand-in", modules=("numpy", "msgspec"), requirements="requirements-none.txt",
    packages="numpy msgspec", variable="KANI_STAND_IN_PYTHON", size="no size", licence="none",
)  # fmt: skip


class Chosen(BaseModel):
    """Settings of the stand-ins: those of the adapter."""

    python: str | None = sys.executable
    given: dict[str, Any] = {}


def package(adapter: str) -> Package:
    path = f"tests.engines.packages.stand_in:{adapter}"
    return Package("stand_in", HERE, path, lambda chosen, resources: chosen.given, "KANI_STAND_IN_MODEL")


@asynccontextmanager
async def speaking(folder: Path, **given: Any) -> AsyncIterator[PackageEngine]:
    engine = PackageEngine(package("Tone"), Chosen(given=given), resources(folder))
    async with started(engine):
        yield engine


@asynccontextmanager
async def hearing(folder: Path, adapter: str, **given: Any) -> AsyncIterator[PackageRecognizer]:
    known = RecognizerInfo("stand_in", "", HEARING_RATE, frozenset({"en"}))
    recognizer = PackageRecognizer(package(adapter), Chosen(given=given), resources(folder), known)
    async with started(recognizer):
        yield recognizer


def segment(text: str, **changed: Any) -> Segment:
    return Segment(text, "stand_in:a", "en", sampling=Sampling(seed=440), **changed)


async def test_speech_is_trimmed_and_its_words_keep_their_places(tmp_path: Path) -> None:
    async with speaking(tmp_path) as engine:
        text = "one two  three"
        chunks = await chunks_of(engine, segment(text))
        samples = np.concatenate([chunk.samples for chunk in chunks])
        assert len(samples) / RATE == pytest.approx(3 * WORD_S + 0.1, abs=0.01)
        spans = [span for chunk in chunks for span in chunk.spans]
        assert [text[span.start : span.end] for span in spans] == ["one", "two", "three"]
        for number, span in enumerate(spans):
            assert span.start_s == pytest.approx(0.05 + number * WORD_S, abs=0.01)
        for text, kind, reason in (
            ("wrong", InvalidRequest, "does not say"),
            ("broken", EngineFailed, "failed"),
            ("silence", EngineFailed, "there was no voice"),
        ):
            with pytest.raises(kind, match=reason):
                await chunks_of(engine, segment(text))
        silent = await chunks_of(engine, segment("hush", max_seconds=1.0))
        assert silent[-1].end_s == pytest.approx(WORD_S + 0.1, abs=0.01)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"missing": True}, "cannot import its package"),
        ({"damage": "cut"}, "^cut$"),
        (
            {"fault": True},
            "cannot load its model: 'a.weight': remove it and fetch .*KANI_STAND_IN_MODEL",
        ),
        ({"device": "no CUDA here"}, r"cannot start: no CUDA here \(KANI_DEVICE\)$"),
        ({"large": True}, "the device has too little free memory$"),
    ],
)
async def test_adapter_that_cannot_load_says_why(tmp_path: Path, given: dict[str, Any], reason: str) -> None:
    with pytest.raises(EngineUnavailable, match=reason):
        async with speaking(tmp_path, **given):
            pass
    assert not workers()


async def test_processes_of_a_package_end_with_its_worker(tmp_path: Path) -> None:
    """Also where the server was killed: it ends its workers' groups, and then cannot."""
    path = "tests.engines.packages.stand_in:Tone"
    launch = Launch("stand_in", 20, "engine", {"forks": True}, Resources(tmp_path), path)
    connector = ChildWorker(launch, lambda ready: None, lambda: None)
    connection = await connector.connect()
    (worker,) = workers()
    (forked,) = (one for one in worker.children() if "resource_tracker" not in " ".join(one.cmdline()))
    connection.channel.abort("as if the server was killed")
    try:
        async with asyncio.timeout(WITHIN_S):
            while forked.is_running():
                await asyncio.sleep(LOOK_AGAIN_S)
    finally:
        await connector.disconnect(connection)


async def test_recogniser_that_cannot_prepare_leaves_no_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise OSError("no file")

    monkeypatch.setattr("kani.text.language_detection.load_detector", missing)
    with pytest.raises(OSError, match="no file"):
        async with hearing(tmp_path, "Ear", languages=["en", "fr"]):
            pass
    assert not workers()


def test_recent_values_are_those_used_last() -> None:
    recent: Recent[str, int] = Recent(2)
    recent.keep("a", 1)
    recent.keep("b", 2)
    assert (recent.use("a"), recent.use("c")) == (1, None)
    recent.keep("c", 3)
    assert list(recent) == ["a", "c"]


async def test_worker_that_is_idle_ends_and_comes_back(tmp_path: Path) -> None:
    async with speaking(tmp_path) as engine:
        assert isinstance(engine, Unloadable) and engine.loaded
        engine.unload_after(0.01)
        while engine.loaded or workers():
            await asyncio.sleep(LOOK_AGAIN_S)
        assert len(await chunks_of(engine, segment("one"))) > 0


async def pieces(seconds: float, *marks: float) -> AsyncIterator[Samples | Mark]:
    """Noise in pieces that are no steps, with marks at some of their ends, in seconds."""
    made = np.random.default_rng(1).normal(0, 0.1, round(seconds * HEARING_RATE)).astype(np.float32)
    for start in range(0, len(made), 1_000):
        if start / HEARING_RATE in marks:
            yield Mark(marks.index(start / HEARING_RATE))
        yield made[start : start + 1_000]


async def heard(recognizer: PackageRecognizer, seconds: float, *marks: float) -> list[RecognitionEvent]:
    return [event async for event in recognizer.recognize(pieces(seconds, *marks), "en")]


@pytest.mark.parametrize("pauses", [None, (0.9, 0.8, 0.7, 0.6)])
async def test_session_hears_words_steps_and_marks(tmp_path: Path, pauses: Any) -> None:
    async with hearing(tmp_path, "Ear", pauses=pauses) as recognizer:
        events = await heard(recognizer, 1.0, 0.5)
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
        assert all(await asyncio.gather(*(heard(recognizer, 0.5) for _ in range(5))))


async def test_stretch_of_a_recording_is_heard(tmp_path: Path) -> None:
    """Cancelled it frees its place; a worker that is killed comes back."""
    async with hearing(tmp_path, "Reader") as recognizer:
        samples = np.zeros(3 * HEARING_RATE, np.float32)

        async def read() -> str:
            (segment,) = await recognizer.hear(samples, TranscriptionOptions())
            assert (segment.end_s, segment.words) == (3.0, ())
            return segment.text

        async def begun(name: str) -> asyncio.Task[Any]:
            prompt = TranscriptionOptions(prompt=str(tmp_path / name))
            task = asyncio.create_task(recognizer.hear(samples, prompt))
            while not (tmp_path / name).exists():
                await asyncio.sleep(LOOK_AGAIN_S)
            return task

        assert recognizer.info.recordings_only and await read() == " 3 s"
        slow = await begun("cancelled")
        waiting = asyncio.create_task(read())
        slow.cancel()
        assert await waiting == " 3 s"
        slow = await begun("killed")
        workers()[0].kill()
        with pytest.raises(EngineLost):
            await slow
        assert await read() == " 3 s"


async def test_recording_waits_for_a_place_for_some_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kani.engines.packages.hearing.WAIT_S", 0.01)
    adapted = HeardPackage("tests.engines.packages.stand_in:Reader", {}, Resources(tmp_path))
    await adapted.start()

    async def read(prompt: str) -> None:
        audio = cast(AsyncIterator[Samples], pieces(1.0))
        async for _ in adapted.transcribe(audio, TranscriptionOptions(prompt=prompt)):
            pass

    slow = asyncio.create_task(read(str(tmp_path / "begun")))
    while not (tmp_path / "begun").exists():
        await asyncio.sleep(LOOK_AGAIN_S)
    with pytest.raises(Busy, match="as many streams as it can"):
        await read("")
    slow.cancel()
    await asyncio.wait([slow])
    await adapted.stop()
