"""The real engine near a voice that it has not: heard, measured, written, refined and interrupted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soxr

from engines.kokoro.cloning.nearest_voice import NearestVoice
from engines.kokoro.engine import KokoroEngine, KokoroSettings
from engines.kokoro.scheduler import DeadlineScheduler
from engines.speaker_encoder.encoder import SAMPLE_RATE, SpeakerEncoder
from speech.errors import InvalidRequest, UnsupportedLanguage
from speech.text.incremental_text import IncrementalText
from speech.text.normalizer import VERBATIM
from speech.text.segmenter import OpenTextSegment
from speech.types import Boundary, Embedding, Recording, Samples, Segment
from tests.judges.judge import hear, word_error_rate

RATE = 24_000
SAID = (
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


def likeness(samples: Samples, recording: Recording) -> float:
    ours, theirs = (
        encoder().embed(np.asarray(soxr.resample(one, rate, SAMPLE_RATE), np.float32))
        for one, rate in ((samples, RATE), (recording.samples, recording.sample_rate))
    )
    return float(ours @ theirs)


@pytest.fixture(scope="module")
def recording(engine: KokoroEngine) -> Recording:
    samples = asyncio.run(all_of(engine.synthesize(Segment(SAID, "am_puck", "en-US"))))
    return Recording(np.asarray(soxr.resample(samples, round(RATE * WARP), RATE), np.float32), RATE)


@pytest.fixture(scope="module")
def embedding(engine: KokoroEngine, recording: Recording) -> Embedding:
    return asyncio.run(engine.embed(recording))


def like(embedding: Embedding, text: str = TEXT) -> Segment:
    return Segment(text, "ef_dora", "es", embedding=embedding)


async def test_a_recording_becomes_an_embedding_for_all_languages(
    engine: KokoroEngine, recording: Recording, embedding: Embedding
) -> None:
    assert engine.info.cloning == "nearest voice"
    assert (embedding.engine, embedding.model) == ("kokoro", engine.info.embedding_model)
    assert set(embedding.similarity) == set(engine.info.default_voices)
    for similarity in embedding.similarity.values():
        assert 0 < similarity.before <= similarity.now <= 1
        assert not similarity.measured
    at_other_rate = Recording(np.asarray(soxr.resample(recording.samples, RATE, 44_100), np.float32), 44_100)
    again = await engine.embed(recording)
    np.testing.assert_array_equal(again.values, embedding.values)
    other = await engine.embed(at_other_rate)
    assert other.similarity["es"].now == pytest.approx(embedding.similarity["es"].now, abs=0.02)


@pytest.mark.parametrize("samples", [np.zeros(RATE, np.float32), np.full(RATE, 1e-5, np.float32)])
async def test_a_recording_without_speech_is_refused(engine: KokoroEngine, samples: Samples) -> None:
    with pytest.raises(InvalidRequest, match="reference: there is no speech in the recording"):
        await engine.embed(Recording(samples, RATE))


@pytest.mark.slow
async def test_the_nearest_voice_is_heard_to_be_nearer_and_every_word_is(
    engine: KokoroEngine, recording: Recording, embedding: Embedding
) -> None:
    chunks = [chunk async for chunk in engine.synthesize(like(embedding))]
    assert len(chunks) > 3
    assert chunks[0].duration_s < 0.5
    samples = np.concatenate([chunk.samples for chunk in chunks])
    assert np.abs(samples).max() <= 1
    spans = [span for chunk in chunks for span in chunk.spans]
    assert [TEXT[span.start : span.end] for span in spans] == [word.strip(".") for word in TEXT.split()]
    assert word_error_rate(TEXT, hear(samples, RATE, "es"), "es") <= 0.06
    singles = [
        likeness(await all_of(engine.synthesize(Segment(TEXT, voice, "es"))), recording)
        for voice in ("ef_dora", "em_alex", "em_santa")
    ]
    assert likeness(samples, recording) > max(singles) + 0.05


@pytest.mark.slow
async def test_text_that_is_written_is_said_in_the_nearest_voice(
    engine: KokoroEngine, recording: Recording, embedding: Embedding
) -> None:
    words = TEXT.split(" ")
    cut = OpenTextSegment(0, " ".join(words[:5]), None)
    written: IncrementalText

    class Rest:
        async def __aenter__(self) -> None:
            given = len(cut.text.split(" ")) + 5
            cut.text = " ".join(words[:given])
            if given >= len(words):
                cut.boundary = Boundary.SENTENCE
            written.update()

        async def __aexit__(self, *failure: object) -> None: ...

    written = IncrementalText(cut, Rest, VERBATIM)
    samples = await all_of(engine.stream(like(embedding, ""), written))
    assert word_error_rate(TEXT, hear(samples, RATE, "es"), "es") <= 0.06
    whole = await all_of(engine.synthesize(like(embedding)))
    assert likeness(samples, Recording(whole, RATE)) > 0.9
    assert likeness(samples, recording) == pytest.approx(likeness(whole, recording), abs=0.08)


@pytest.mark.parametrize("broken", ["values", "model", "length"])
async def test_an_embedding_that_is_none_is_refused_before_anything_is_said(
    engine: KokoroEngine, embedding: Embedding, broken: str
) -> None:
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
    cut = OpenTextSegment(0, TEXT, None)

    class Never:
        async def __aenter__(self) -> None: ...

        async def __aexit__(self, *failure: object) -> None: ...

    with pytest.raises(InvalidRequest, match="reference"):
        await all_of(engine.stream(segment, IncrementalText(cut, Never, VERBATIM)))
    assert len(await all_of(engine.synthesize(Segment("Hola.", "ef_dora", "es"))))


async def test_decoding_whole_does_not_clone(embedding: Embedding, tmp_path: Path) -> None:
    whole = KokoroEngine(
        KokoroSettings(models_dir=None, cache_dir=tmp_path, decoding="whole", decoder="onnx")
    )
    await whole.start()
    assert (whole.info.cloning, whole.info.embedding_model) == ("none", "")
    with pytest.raises(InvalidRequest, match=r"reference: .*own voices only"):
        await all_of(whole.synthesize(like(embedding)))
    await whole.stop()


@pytest.mark.slow
async def test_refining_measures_and_never_gets_worse(
    engine: KokoroEngine, recording: Recording, embedding: Embedding
) -> None:
    found = [better async for better in engine.refine(recording, embedding, "es")]
    told = [better.similarity["es"] for better in found]
    assert all(similarity.measured for similarity in told)
    assert len({similarity.before for similarity in told}) == 1
    assert [similarity.now for similarity in told] == sorted(similarity.now for similarity in told)
    assert told[0].now >= told[0].before
    for better in found:
        assert better.similarity["en"] == embedding.similarity["en"]
    heard = [
        likeness(await all_of(engine.synthesize(like(one))), recording) for one in (embedding, found[-1])
    ]
    assert heard[1] > heard[0] - 0.03


async def test_refining_refuses_what_it_cannot_read(
    engine: KokoroEngine, recording: Recording, embedding: Embedding
) -> None:
    with pytest.raises(InvalidRequest, match="reference"):
        await anext(engine.refine(recording, replace(embedding, model="nearest-0"), "es"))
    with pytest.raises(UnsupportedLanguage):
        await anext(engine.refine(recording, embedding, "de"))


class Watched(NearestVoice):
    """Notes each step of a refining in ``steps``, and says when the first is done."""

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


async def test_refining_ends_when_it_is_cancelled(
    engine: KokoroEngine, recording: Recording, embedding: Embedding, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(engine)
    monkeypatch.setattr(engine, "_nearest", watched)

    async def refine() -> None:
        async with aclosing(engine.refine(recording, embedding, "es")) as found:
            async for _ in found:
                pass

    task = asyncio.create_task(refine())
    await watched.begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    steps = len(watched.steps)
    assert engine._scheduler._free == engine._concurrency
    await all_of(engine.synthesize(Segment("Hola.", "ef_dora", "es")))
    assert len(watched.steps) == steps


@pytest.mark.slow
async def test_a_stream_waits_for_one_step_of_a_refining_at_most(
    engine: KokoroEngine, recording: Recording, embedding: Embedding, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(engine)
    monkeypatch.setattr(engine, "_nearest", watched)
    monkeypatch.setattr(engine, "_scheduler", DeadlineScheduler(1))

    async def refine() -> None:
        async with aclosing(engine.refine(recording, embedding, "es")) as found:
            async for _ in found:
                pass

    task = asyncio.create_task(refine())
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
