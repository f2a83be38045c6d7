"""Cloning by the real engine: placement, growing text, refinement, cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import soxr

from kani.core.errors import InvalidRequest, NoSpeech, UnsupportedLanguage
from kani.core.types import Embedding, Recording, Samples, Segment
from kani.engines.kokoro.cloning.nearest_voice import NearestVoice
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.scheduler import DeadlineScheduler
from kani.runtime.speaker_encoder.encoder import SAMPLE_RATE, SpeakerEncoder
from tests.judges.judge import hear, word_error_rate
from tests.support.kokoro import Writer, chunks_of, joined

RATE = 24_000
REFERENCE_TEXT = (
    "Every Sunday we buy fresh fruit from the market on the main square. "
    "I do not mind waiting, but I would rather know how long it takes."
)
TEXT = "Mañana por la tarde iremos todos juntos al mercado para comprar naranjas dulces y unas flores."
WARP = 1.1


@cache
def encoder() -> SpeakerEncoder:
    return SpeakerEncoder()


async def all_of(chunks: AsyncGenerator) -> Samples:
    async with aclosing(chunks) as stream:
        return np.concatenate([chunk.samples async for chunk in stream])


def similarity_to(samples: Samples, recording: Recording) -> float:
    ours, theirs = (
        encoder().embed(np.asarray(soxr.resample(one, rate, SAMPLE_RATE), np.float32))
        for one, rate in ((samples, RATE), (recording.samples, recording.sample_rate))
    )
    return float(ours @ theirs)


@pytest.fixture(scope="module")
def recording(engine: KokoroEngine) -> Recording:
    samples = asyncio.run(all_of(engine.synthesize(Segment(REFERENCE_TEXT, "am_puck", "en-US"))))
    return Recording(np.asarray(soxr.resample(samples, round(RATE * WARP), RATE), np.float32), RATE)


@pytest.fixture(scope="module")
def embedding(engine: KokoroEngine, recording: Recording) -> Embedding:
    return asyncio.run(engine.embed(recording))


def like(embedding: Embedding, text: str = TEXT) -> Segment:
    return Segment(text, "ef_dora", "es", embedding=embedding)


async def test_recording_is_embedded_for_all_languages(
    engine: KokoroEngine, recording: Recording, embedding: Embedding
) -> None:
    assert engine.info.cloning == "nearest voice"
    assert (embedding.engine, embedding.model) == ("kokoro", engine.info.embedding_model)
    assert set(embedding.similarity) == {"es", "en", "fr", "it", "pt"}
    for similarity in embedding.similarity.values():
        assert 0 < similarity.before <= similarity.now <= 1
        assert not similarity.measured
    at_other_rate = Recording(np.asarray(soxr.resample(recording.samples, RATE, 44_100), np.float32), 44_100)
    again = await engine.embed(recording)
    np.testing.assert_array_equal(again.values, embedding.values)
    other = await engine.embed(at_other_rate)
    assert other.similarity["es"].now == pytest.approx(embedding.similarity["es"].now, abs=0.02)


@pytest.mark.parametrize("samples", [np.zeros(RATE, np.float32), np.full(RATE, 1e-5, np.float32)])
async def test_recording_without_speech_is_refused(engine: KokoroEngine, samples: Samples) -> None:
    with pytest.raises(NoSpeech, match="reference: there is no speech in the recording"):
        await engine.embed(Recording(samples, RATE))


async def test_mix_is_more_similar_than_single_voices_and_intelligible(
    engine: KokoroEngine, recording: Recording, embedding: Embedding
) -> None:
    chunks = await chunks_of(engine, like(embedding))
    assert len(chunks) > 3
    assert chunks[0].duration_s < 0.5
    samples, spans = joined(chunks)
    assert np.abs(samples).max() <= 1
    assert [TEXT[span.start : span.end] for span in spans] == [word.strip(".") for word in TEXT.split()]
    assert word_error_rate(TEXT, hear(samples, RATE, "es"), "es") <= 0.06
    singles = [
        similarity_to(await all_of(engine.synthesize(Segment(TEXT, voice, "es"))), recording)
        for voice in ("ef_dora", "em_alex", "em_santa")
    ]
    assert similarity_to(samples, recording) > max(singles) + 0.05


async def test_growing_text_is_spoken_by_mix(
    engine: KokoroEngine, recording: Recording, embedding: Embedding
) -> None:
    samples = await all_of(engine.stream(like(embedding, ""), Writer(TEXT, 5).text))
    assert word_error_rate(TEXT, hear(samples, RATE, "es"), "es") <= 0.06
    whole = await all_of(engine.synthesize(like(embedding)))
    assert similarity_to(samples, Recording(whole, RATE)) > 0.9
    assert similarity_to(samples, recording) == pytest.approx(similarity_to(whole, recording), abs=0.08)


@pytest.mark.parametrize("broken", ["values", "model", "length"])
async def test_invalid_embedding_is_refused(engine: KokoroEngine, embedding: Embedding, broken: str) -> None:
    values = embedding.values.copy()
    values[3] = np.inf
    change: dict[str, object] = {
        "values": {"values": values},
        "model": {"model": "nearest-0"},
        "length": {"values": values[:-1]},
    }[broken]
    segment = like(replace(embedding, **change))
    with pytest.raises(InvalidRequest, match="reference"):
        await all_of(engine.synthesize(segment))
    with pytest.raises(InvalidRequest, match="reference"):
        await all_of(engine.stream(segment, Writer(TEXT, 5, first=10).text))
    assert len(await all_of(engine.synthesize(Segment("Hola.", "ef_dora", "es"))))


async def test_refinement_measures_and_never_gets_worse(
    engine: KokoroEngine, recording: Recording, embedding: Embedding
) -> None:
    found = [better async for better in engine.refine(recording, embedding, "es")]
    similarities = [better.similarity["es"] for better in found]
    assert all(similarity.measured for similarity in similarities)
    assert len({similarity.before for similarity in similarities}) == 1
    measured = [similarity.now for similarity in similarities]
    assert measured == sorted(measured)
    assert similarities[0].now >= similarities[0].before
    for better in found:
        assert better.similarity["en"] == embedding.similarity["en"]
    heard = [
        similarity_to(await all_of(engine.synthesize(like(one))), recording) for one in (embedding, found[-1])
    ]
    assert heard[1] > heard[0] - 0.03


async def test_refinement_refuses_invalid_embedding_and_language(
    engine: KokoroEngine, recording: Recording, embedding: Embedding
) -> None:
    with pytest.raises(InvalidRequest, match="reference"):
        await anext(engine.refine(recording, replace(embedding, model="nearest-0"), "es"))
    with pytest.raises(UnsupportedLanguage):
        await anext(engine.refine(recording, embedding, "el"))


class WatchedCloner(NearestVoice):
    """Records each step of a refinement in ``steps``; ``begun`` is set at the first."""

    def __init__(self, engine: KokoroEngine) -> None:
        self.__dict__.update(engine._nearest.__dict__)
        self.steps: list[str] = []
        self.begun = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def refine(self, *arguments: object) -> Iterator[Embedding | None]:
        for found in super().refine(*arguments):  # type: ignore[arg-type]
            self.steps.append("refined")
            self._loop.call_soon_threadsafe(self.begun.set)
            yield found


async def refine(engine: KokoroEngine, recording: Recording, embedding: Embedding) -> None:
    async with aclosing(engine.refine(recording, embedding, "es")) as found:
        async for _ in found:
            pass


async def test_cancelled_refinement_ends_after_its_step(
    engine: KokoroEngine, recording: Recording, embedding: Embedding, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = WatchedCloner(engine)
    monkeypatch.setattr(engine, "_nearest", watched)
    task = asyncio.create_task(refine(engine, recording, embedding))
    await watched.begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    steps = len(watched.steps)
    assert engine._scheduler.steps == 0
    await all_of(engine.synthesize(Segment("Hola.", "ef_dora", "es")))
    assert len(watched.steps) == steps


async def test_stream_waits_for_one_step_of_refinement(
    engine: KokoroEngine, recording: Recording, embedding: Embedding, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = WatchedCloner(engine)
    monkeypatch.setattr(engine, "_nearest", watched)
    monkeypatch.setattr(engine, "_scheduler", DeadlineScheduler(1))
    task = asyncio.create_task(refine(engine, recording, embedding))
    await watched.begun.wait()
    watched.steps.clear()
    async with aclosing(engine.synthesize(Segment(TEXT, "ef_dora", "es"))) as chunks:
        async for _ in chunks:
            watched.steps.append("spoken")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert watched.steps.count("spoken") > 5
    between = "".join(step[0] for step in watched.steps).split("s")
    assert max(len(refined) for refined in between) <= 1
