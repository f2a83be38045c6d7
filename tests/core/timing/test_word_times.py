"""Word times by alignment: of espeak-ng's speech, played higher, with its own times hidden."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kani.core.audio.resampling import Resampler
from kani.core.engine import EngineInfo
from kani.core.errors import EngineFailed
from kani.core.observer import Observer
from kani.core.service import SpeechService
from kani.core.timing import word_times
from kani.core.timing.aligner import Aligner
from kani.core.timing.cepstra import Cepstra
from kani.core.timing.characters import FormsClock
from kani.core.timing.dtw import Rows, WarpingPath
from kani.core.timing.reference_voice import ReferenceSpeech, ReferenceVoice, ReferenceWord
from kani.core.timing.word_times import LOOK_BACK_S, add_word_times
from kani.core.types import Samples, Segment, Span, SpeechChunk, SpeechRequest
from kani.engines.espeak.engine import EspeakEngine, EspeakReferenceVoice
from tests.support.patience import WITHIN_S
from tests.support.sessions import collect, fed, spans_of, started

TEXT = "Ayer por la tarde, mi vecino plantó dos cerezos, y hoy 21 pájaros cantan en el jardín de la escuela."
OTHER = "Cuando el barco zarpó nadie sabía que volvería sin velas, sin capitán y con la bodega llena."
STORY = "La abuela, que estaba sentada junto al fuego, contaba un cuento muy antiguo. Nadie la interrumpía."
SEGMENT = Segment(TEXT, "espeak:es", "es", speed=1.1)
PITCH = 1.12


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the alignment waited for: on a full machine it takes longer than speech may wait."""
    monkeypatch.setattr(word_times, "ALIGNMENT_TIMEOUT_S", WITHIN_S)


@pytest.fixture(scope="module")
def spoken() -> tuple[list[SpeechChunk], list[Span]]:
    """TEXT faster and higher than the reference voice speaks it, in chunks of 80 ms, and its true times."""

    async def speak() -> list[SpeechChunk]:
        engine, segment = EspeakEngine(), replace(SEGMENT, voice="espeak:es-419", speed=0.9)
        await engine.start()
        chunks = [chunk async for chunk in engine.synthesize(segment)]
        await engine.stop()
        return chunks

    chunks = asyncio.run(speak())
    rate = round(chunks[0].sample_rate * PITCH)
    samples = np.concatenate([chunk.samples for chunk in chunks])
    spans = spans_of(chunks)
    return cut(samples, rate), [Span(s.start, s.end, s.start_s / PITCH, s.end_s / PITCH) for s in spans]


@pytest.fixture(scope="module")
def rendered() -> ReferenceSpeech:
    return asyncio.run(EspeakReferenceVoice().render(TEXT, "es", SEGMENT.speed))


def cut(samples: Samples, rate: int, seconds: float = 0.08) -> list[SpeechChunk]:
    step = round(seconds * rate)
    return [SpeechChunk(samples[at : at + step], rate, at / rate) for at in range(0, len(samples), step)]


async def engine(chunks: list[SpeechChunk]) -> AsyncGenerator[SpeechChunk, None]:
    for chunk in chunks:
        yield chunk


async def timed(
    chunks: list[SpeechChunk], segment: Segment = SEGMENT, voice: ReferenceVoice | None = None
) -> tuple[list[SpeechChunk], list[Span], list[str]]:
    reports: list[str] = []
    speech = add_word_times(engine(chunks), segment, voice or EspeakReferenceVoice(), reports.append)
    heard = [chunk async for chunk in speech]
    assert_ordered(spans_of(heard), chunks[-1].end_s if chunks else 0.0)
    return heard, spans_of(heard), reports


class FailingVoice:
    async def render(self, text: str, language: str, speed: float) -> ReferenceSpeech:
        raise EngineFailed("espeak-ng crashed at this text")


class HangingVoice:
    left = False

    async def render(self, text: str, language: str, speed: float) -> ReferenceSpeech:
        try:
            await asyncio.Event().wait()
        finally:
            self.left = True
        raise AssertionError


def starts_off_ms(found: list[Span], true: list[Span]) -> list[float]:
    """Error of each word's start, without the first."""
    assert [(span.start, span.end) for span in found] == [(span.start, span.end) for span in true]
    return [abs(ours.start_s - theirs.start_s) * 1000 for ours, theirs in zip(found, true, strict=True)][1:]


def assert_ordered(spans: list[Span], end_s: float) -> None:
    """Assert that words are in order and do not overlap, with their characters inside them."""
    at, before_s = 0, 0.0
    for span in spans:
        assert at <= span.start < span.end and before_s <= span.start_s <= span.end_s <= end_s + 1e-6
        if starts := list(span.character_starts):
            assert len(starts) == span.end - span.start and starts == sorted(starts)
            assert starts[0] == span.start_s and starts[-1] <= span.end_s
        at, before_s = span.end, span.end_s


async def test_speech_is_unchanged_and_words_are_timed(spoken) -> None:
    chunks, true = spoken
    heard, spans, reports = await timed(chunks)
    assert all(
        np.array_equal(ours.samples, chunk.samples) for ours, chunk in zip(heard, chunks, strict=False)
    )
    assert [chunk.start_s for chunk in heard[: len(chunks)]] == [chunk.start_s for chunk in chunks]
    assert sum(len(chunk.samples) for chunk in heard[len(chunks) :]) == 0
    assert np.mean(starts_off_ms(spans, true)) < 30
    assert reports == []
    clock = FormsClock()
    clock.feed(TEXT)
    edges = [edge for chunk in heard for edge in clock.align(chunk.spans).written.edges_s]
    assert edges == sorted(edges)


@pytest.mark.parametrize("rate", [16_000, 24_000, 48_000])
async def test_sample_rate_does_not_change_times(spoken, rate: int) -> None:
    chunks, true = spoken
    resampler = Resampler(chunks[0].sample_rate, rate)
    samples = np.concatenate([*(resampler.feed(chunk.samples) for chunk in chunks), resampler.finish()])
    _, spans, reports = await timed(cut(samples, rate))
    assert np.mean(starts_off_ms(spans, true)) < 30 and reports == []


@pytest.mark.parametrize("step_s", [0.011, 0.08, 0.5, 60.0])
def test_words_are_timed_while_streaming(spoken, rendered: ReferenceSpeech, step_s: float) -> None:
    chunks, true = spoken
    rate = chunks[0].sample_rate
    aligner = Aligner(rendered, rate, LOOK_BACK_S)
    told: list[Span] = []
    for chunk in cut(np.concatenate([chunk.samples for chunk in chunks]), rate, step_s):
        told += aligner.feed(chunk.samples)
        # The last word to be told is the one before that which began a look-back, and a step, ago.
        due = [span for span in true if span.end_s < chunk.end_s - step_s - 1.0]
        assert len(told) >= len(due) - 1
    rest, belongs = aligner.finish()
    assert belongs
    assert_ordered(told + rest, chunks[-1].end_s)
    assert np.mean(starts_off_ms(told + rest, true)) < 30


def test_final_columns_are_freed(rendered: ReferenceSpeech, spoken) -> None:
    chunks, _ = spoken
    aligner = Aligner(rendered, chunks[0].sample_rate, LOOK_BACK_S)
    for chunk in chunks:
        aligner.feed(chunk.samples)
    assert len(aligner._path) > 200 > 125 > len(aligner._path._moves)


async def test_hanging_reference_voice_delays_no_audio(spoken) -> None:
    chunks, _ = spoken
    renderer = HangingVoice()
    closed = asyncio.Event()

    async def endless() -> AsyncGenerator[SpeechChunk, None]:
        try:
            while True:
                yield chunks[0]
                await asyncio.sleep(0)
        finally:
            closed.set()

    async with aclosing(add_word_times(endless(), SEGMENT, renderer, pytest.fail)) as speech:
        for _ in range(5):
            assert (await anext(speech)).samples is chunks[0].samples
        assert not closed.is_set()
    assert closed.is_set() and renderer.left
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "alignment"]


async def test_hanging_alignment_gives_estimates(spoken, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_times, "ALIGNMENT_TIMEOUT_S", 0.01)
    renderer = HangingVoice()
    _, spans, reports = await timed(spoken[0], voice=renderer)
    assert len(spans) == len(TEXT.split())
    assert reports == ["word times are estimates: the alignment timed out"] and renderer.left


async def test_engine_failure_is_raised(spoken) -> None:
    chunks, _ = spoken

    async def failing() -> AsyncGenerator[SpeechChunk, None]:
        yield chunks[0]
        raise EngineFailed("out of memory")

    with pytest.raises(EngineFailed, match="out of memory"):
        async for _ in add_word_times(failing(), SEGMENT, HangingVoice(), pytest.fail):
            pass
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "alignment"]


async def test_mismatched_text_is_reported(spoken) -> None:
    chunks, _ = spoken
    _, spans, reports = await timed(chunks, replace(SEGMENT, text=OTHER))
    assert len(reports) == 1 and "does not sound like its text" in reports[0]
    assert [OTHER[span.start : span.end] for span in spans] == [word.strip(",.") for word in OTHER.split()]
    assert spans[-1].end_s == pytest.approx(chunks[-1].end_s, abs=0.03)


@pytest.mark.parametrize(("renderer", "language"), [(FailingVoice(), "es"), (EspeakReferenceVoice(), "xx")])
async def test_failing_reference_voice_gives_estimates(spoken, renderer, language: str) -> None:
    chunks, _ = spoken
    _, spans, reports = await timed(chunks, replace(SEGMENT, language=language), renderer)
    assert len(spans) == len(TEXT.split())
    assert len(reports) == 1 and "estimates" in reports[0]
    assert spans[-1].end_s == pytest.approx(chunks[-1].end_s)
    assert spans[0].end_s == pytest.approx(chunks[-1].end_s * 4 / sum(map(str.isalnum, TEXT)))


@pytest.mark.parametrize("text", ["%", "…", "—¡!—"])
async def test_text_of_signs_has_span(spoken, text: str) -> None:
    _, spans, _ = await timed(spoken[0], replace(SEGMENT, text=text))
    assert spans and spans[-1].end <= len(text)


async def test_silent_speech_is_timed_and_an_empty_reference_refused(rendered: ReferenceSpeech) -> None:
    for length in (1, 200, 30_000):
        _, spans, _ = await timed(cut(np.zeros(length, np.float32), 24_000))
        assert len(spans) == len(rendered.words)
    assert await timed([], voice=FailingVoice()) == ([], [], [])
    silent = ReferenceSpeech(np.zeros(4000, np.float32), 16_000, (ReferenceWord(0, 1, 0, (0,)),))
    for rendering in (silent, ReferenceSpeech(np.ones(4000, np.float32), 16_000, ())):
        with pytest.raises(ValueError, match="reference speech has no"):
            Aligner(rendering, 16_000, LOOK_BACK_S)


async def test_short_and_same_recordings_match(rendered: ReferenceSpeech) -> None:
    said = Cepstra()
    said.feed(rendered.samples[:44_000], last=True)
    features, quiet = said.features(0, len(said))
    rows = np.concatenate([np.zeros((1, features.shape[1]), np.float32), features])
    path = WarpingPath(Rows(rows, np.arange(len(rows)) == 0))
    path.feed(features, quiet)
    assert path.backtrack(len(rows) - 1, 0) == [(at + 1, at) for at in range(len(said))]
    assert path.relative_cost(len(rows) - 1) < 1e-2
    rendered = await EspeakReferenceVoice().render("Buenas tardes", "es", 1.0)
    greeting = Segment("Buenos días", "espeak:es", "es")
    _, spans, reports = await timed(cut(rendered.samples, 22_050), greeting)
    assert [(span.start, span.end) for span in spans] == [(0, 6), (7, 11)] and reports == []


class Untimed(EspeakEngine):
    """An engine without spans, of few speeds; ``hidden`` holds the spans."""

    hidden: list[Span]

    @property
    def info(self) -> EngineInfo:
        return replace(super().info, times_words=False, speed_range=(0.9, 1.2))

    async def synthesize(self, segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        self.hidden = []
        async for chunk in super().synthesize(segment):
            self.hidden += chunk.spans
            yield replace(chunk, spans=())


class NoEstimates(Observer):
    def timing_estimated(self, protocol: str, engine: str) -> None:
        pytest.fail("the times are estimates")


Served = tuple[SpeechService, Untimed]


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    engine, voice = Untimed(), EspeakReferenceVoice()
    async with started(tmp_path, engine, observer=NoEstimates(), reference_voice=voice) as service:
        yield service, engine


async def said(service: SpeechService, **request: object) -> tuple[list[Span], bool]:
    chosen = SpeechRequest(language="es", **request)  # type: ignore[arg-type]
    async with fed(service, STORY, chosen) as session:
        return spans_of(await collect(session)), session.truncated


@pytest.mark.parametrize("speed", [0.8, 1.6])
async def test_alignment_finds_the_words(served: Served, speed: float) -> None:
    """Each word of the second sentence begins at the engine's own time."""
    service, engine = served
    spans, _ = await said(service, speed=speed)
    assert "".join(STORY[span.start : span.end] for span in spans) == STORY
    second = STORY.index("Nadie")
    found = [span for span in spans if span.start >= second and STORY[span.start].isalpha()]
    assert [STORY[span.start : span.end] for span in found] == ["Nadie", "la", "interrumpía"]
    since = np.array([span.start_s - found[0].start_s for span in found])
    factor = speed / np.clip(speed, *engine.info.speed_range)
    truth = np.array([(span.start_s - engine.hidden[-3].start_s) / factor for span in engine.hidden[-3:]])
    assert since == pytest.approx(truth, abs=0.09)
    assert all(len(span.character_starts) == span.end - span.start for span in found)


async def test_words_of_truncated_speech_keep_their_times(served: Served) -> None:
    whole, _ = await said(served[0])
    cut, truncated = await said(served[0], max_tokens=100)
    assert truncated
    first = STORY.index(".") + 1
    timed, short = (
        [each for each in spans if each.character_starts and each.start < first] for spans in (whole, cut)
    )
    known = [span for span in timed if span.end_s < 1.7]
    assert len(known) >= 4
    for full, own in zip(known, short, strict=False):
        assert (full.start, full.end) == (own.start, own.end)
        assert full.start_s == pytest.approx(own.start_s, abs=0.08)
