"""Windowed decoding: early first audio, cancellation at any window, trimmed silence."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import count, pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kani.core.audio.playback import Playback
from kani.core.types import Samples, Segment, SpeechChunk
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.network.parts import PredictedProsody, SplitModel
from kani.engines.kokoro.pieces import PredictionSpeed
from kani.engines.kokoro.scheduler import SegmentDeadline
from kani.engines.kokoro.text.phonemes import Utterance, Word
from kani.engines.kokoro.windows import (
    FIRST_WINDOW_FRAMES,
    LOOKAHEAD_WORDS,
    count_speakable,
    first_words,
    prediction_steps,
    windows,
)
from tests.support.kokoro import agreement_db, chunks_of, computing, joined

LONG = Segment(
    "El río baja tranquilo entre los álamos, y en la orilla unos niños juegan con piedras planas "
    "mientras sus abuelos hablan del tiempo.",
    "ef_dora",
    "es",
)
SHORT = Segment("Sigo aquí.", "ef_dora", "es")


class SetSpeed(PredictionSpeed):
    """A speed that stays what it was set to: a fast processor's own would leave nothing to save by steps."""

    def __init__(self, symbol_s: float) -> None:
        super().__init__()
        self.symbol_s = symbol_s

    def note(self, symbols: int, seconds: float) -> None:
        pass


@given(st.integers(0, 500), st.integers(0, 1500), st.integers(0, 9))
def test_windows_cover_everything_and_grow(begin: int, length: int, skipped: int) -> None:
    plan = list(windows(begin, begin + length, skipped=skipped))
    edges = [begin, *(end for _, end in plan)]
    assert plan == list(pairwise(edges)) and edges[-1] == begin + length
    sizes = [end - first for first, end in plan]
    smallest = FIRST_WINDOW_FRAMES // 2 if len(sizes) == 2 else FIRST_WINDOW_FRAMES
    assert all(size >= smallest for size in sizes) or len(sizes) == 1
    assert all(a <= b for a, b in pairwise(sizes[:-1]))
    if length >= 1.5 * FIRST_WINDOW_FRAMES and not skipped:
        assert sizes[0] == FIRST_WINDOW_FRAMES
    if length >= 100 and skipped:
        assert sizes[0] > FIRST_WINDOW_FRAMES


def utterance_of(words: Sequence[str]) -> Utterance:
    """An utterance with words that are their own symbols; a mark at a word's end is not part of it."""
    symbols, placed = " ".join(words), []
    for word in re.finditer(r"[^ ,.]+", symbols):
        placed.append(Word(*word.span(), *word.span()))
    return Utterance(symbols, tuple(placed))


WORD = st.builds(lambda n, mark: "a" * n + mark, st.integers(1, 9), st.sampled_from(["", "", "", ",", "."]))
STEPPED = Segment("", "ef_dora", "es")
SYMBOL_S = 0.0025


def steps_of(words: Sequence[str], until: int, segment: Segment, symbol_s: float) -> list[tuple[int, int]]:
    return list(prediction_steps(utterance_of(words), until, segment, symbol_s))


@given(st.lists(WORD, min_size=1, max_size=50), st.floats(0, 0.02), st.floats(0.8, 1.0), st.data())
def test_steps_speak_words_once(words: list[str], symbol_s: float, speed: float, data: st.DataObject) -> None:
    until = data.draw(st.integers(1, len(words)))
    *first, last = steps_of(words, until, replace(STEPPED, speed=speed), symbol_s)
    assert last == (len(words), until)
    assert len(first) <= 1
    for predicted, spoken in first:
        utterance = utterance_of(words)
        opening = len(first_words(utterance, predicted).symbols)
        assert 0 < spoken <= until and predicted < len(words)
        assert predicted - spoken >= LOOKAHEAD_WORDS or words[spoken - 1][-1] in ",." or spoken == until
        assert 2.5 * opening <= len(utterance.symbols)
        # The first step's sound, 45 ms a symbol, lasts while the second is computed and the rest decoded.
        sound_s = 0.045 * utterance.words[spoken - 1].stop / speed
        assert 0.6 * sound_s >= 1.3 * symbol_s * len(utterance.symbols)


LONG_WORDS = ["mañana"] * 30


@pytest.mark.parametrize(
    ("words", "symbol_s", "segment", "steps"),
    [
        # On a faster machine fewer words suffice; on a much slower one none do.
        (LONG_WORDS, 0.0025, STEPPED, [(8, 5), (30, 30)]),
        (LONG_WORDS, 0.0008, STEPPED, [(6, 3), (30, 30)]),
        (LONG_WORDS, 0.02, STEPPED, [(30, 30)]),
        (LONG_WORDS, 0.0, STEPPED, [(30, 30)]),
        # Nothing is gained where prosody takes little, or the listener is busy with the sentence before.
        (LONG_WORDS[:9], 0.0025, STEPPED, [(9, 9)]),
        (LONG_WORDS, 0.0003, STEPPED, [(30, 30)]),
        (LONG_WORDS, 0.0025, replace(STEPPED, ahead_s=2.0), [(30, 30)]),
        # Words before a mark need no lookahead.
        (["mañana"] * 5 + ["mañana,"] + LONG_WORDS, 0.0025, STEPPED, [(7, 6), (36, 36)]),
    ],
)
def test_first_step_is_as_short_as_machine_allows(
    words: list[str], symbol_s: float, segment: Segment, steps: list[tuple[int, int]]
) -> None:
    assert steps_of(words, len(words), segment, symbol_s) == steps


def test_words_stay_whole_and_end_with_their_marks() -> None:
    """espeak-ng joins "of the": no space lies between their symbols."""
    apart = utterance_of("seven rivers of the northern mountains flow into one lake that nobody saw".split())
    symbols = apart.symbols.replace("of the", "ofthe")
    words = tuple(
        Word(word.start, word.end, *(edge - (edge > apart.words[2].stop) for edge in (word.first, word.stop)))
        for word in apart.words
    )
    assert count_speakable(apart, 6) == 3
    assert count_speakable(Utterance(symbols, words), 6) == 2
    utterance = utterance_of(["uno", "dos,", "tres."])
    found = [first_words(utterance, count).symbols for count in (1, 2, 3)]
    assert found == ["uno", "uno dos,", "uno dos, tres."]


LONGER = {
    "ef_dora": replace(LONG, text=LONG.text[:-1] + " y de los años en que todo era distinto."),
    "af_heart": Segment(
        "The hikers followed the path of white stones until the fog became so thick that they lost sight "
        "of the valley and had to turn back before the night.",
        "af_heart",
        "en",
    ),
}


@pytest.mark.parametrize("voice", LONGER)
async def test_speech_behind_first_steps_is_that_of_whole_prediction(
    engine: KokoroEngine, monkeypatch: pytest.MonkeyPatch, voice: str
) -> None:
    """The samples and the words' times, but for a shift; the steps' own speech is about as long."""
    predicted, predict = list[int](), SplitModel.predict_prosody

    def note(self: SplitModel, symbols: str, *arguments: Any) -> PredictedProsody:
        predicted.append(len(symbols))
        return predict(self, symbols, *arguments)

    monkeypatch.setattr(SplitModel, "predict_prosody", note)
    monkeypatch.setattr(engine._synthesizer, "speed", SetSpeed(SYMBOL_S))
    in_steps, spans = joined(await chunks_of(engine, LONGER[voice]))
    steps = predicted.copy()
    monkeypatch.setattr(engine._synthesizer, "speed", SetSpeed(0.0))
    whole, whole_spans = joined(await chunks_of(engine, LONGER[voice]))
    assert len(steps) >= 2 and predicted[len(steps) :] == [steps[-1]]
    assert 2.5 * steps[0] < steps[-1]
    # The ends are trimmed by whole steps of 5 ms, counted from where the last step begins.
    later = max(
        range(-240, 241),
        key=lambda shift: agreement_db(whole[-9000:-8000], in_steps[-9000 - shift : -8000 - shift]),
    )
    part = slice(-(len(whole) // 2), -1000)
    own = in_steps[part.start - later : part.stop - later]
    assert agreement_db(whole[part], own) > 60
    assert len(in_steps) / len(whole) == pytest.approx(1.0, abs=0.06)
    assert [(span.start, span.end) for span in spans] == [(span.start, span.end) for span in whole_spans]
    later_s, half_s = ((len(in_steps) - len(whole) + later) / 24_000, len(whole) / 24_000 / 2)
    behind = [
        (own.start_s, same.start_s)
        for own, same in zip(spans, whole_spans, strict=True)
        if same.start_s > half_s
    ]
    assert len(behind) > 5
    assert all(own_s == pytest.approx(whole_s + later_s) for own_s, whole_s in behind)
    assert all(a.start_s < b.start_s and a.end_s <= b.start_s + 1e-6 for a, b in pairwise(spans))


async def test_first_audio_comes_before_half(engine: KokoroEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    decode_window = SplitModel.decode_window

    def counted(*arguments: object) -> Samples:
        samples = decode_window(*arguments)
        made.append(len(samples))
        return samples

    monkeypatch.setattr(SplitModel, "decode_window", counted)
    chunks, steps, frames = list[SpeechChunk](), 0, 0
    async for chunk in engine.synthesize(LONG):
        if steps == 0 and len(chunk.samples):
            steps, frames = len(made), sum(made)
        chunks += [chunk] if steps else []
    assert 2 * steps < len(made)
    assert 5 * frames < sum(made)
    assert chunks[0].start_s == 0.0
    assert all(a.end_s == pytest.approx(b.start_s) for a, b in pairwise(chunks))


async def assert_free(engine: KokoroEngine) -> None:
    assert engine._scheduler.steps == 0
    assert len(await chunks_of(engine, SHORT))
    assert engine._scheduler.steps == 0


@pytest.mark.parametrize("heard", [0, 1, 2, 3])
async def test_close_or_cancel_in_any_window_frees_slot(engine: KokoroEngine, heard: int) -> None:
    speech = engine.synthesize(LONG)
    for _ in range(heard):
        await anext(speech)
    await speech.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(speech)
    await assert_free(engine)
    chunks: list[SpeechChunk] = []
    reached = asyncio.Event()

    async def listen() -> None:
        async for chunk in engine.synthesize(LONG):
            chunks.append(chunk)
            if len(chunks) == heard:
                reached.set()

    task = asyncio.create_task(listen())
    if heard:
        await reached.wait()
    await computing(engine)
    for _ in range(3):  # however often it is told
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(chunks) == heard
    await assert_free(engine)


@pytest.mark.parametrize(("window_s", "held"), [(0.0, False), (0.01, False), (0.3, True)])
async def test_first_window_waits_for_second_one_that_comes_after_it_was_played(
    engine: KokoroEngine, monkeypatch: pytest.MonkeyPatch, window_s: float, held: bool
) -> None:
    # The engine's own speed is measured anew meanwhile, and another one may divide the sentence elsewhere.
    monkeypatch.setattr(engine._synthesizer, "speed", SetSpeed(SYMBOL_S))
    usual = await chunks_of(engine, LONG)
    readings = count()

    # By this clock every window takes the same time.
    clock = SimpleNamespace(perf_counter=lambda: window_s * next(readings))
    monkeypatch.setattr("kani.engines.kokoro.pieces.time", clock)
    chunks = await chunks_of(engine, LONG)
    first_s = len(joined(chunks[:1])[0]) / 24_000
    assert first_s > 0.25 if held else 0 < first_s <= 0.25
    assert np.array_equal(joined(chunks)[0], joined(usual)[0])
    assert joined(chunks)[1] == joined(usual)[1]
    waited_for = await chunks_of(engine, replace(LONG, ahead_s=5.0))
    assert len(joined(waited_for[:1])[0]) / 24_000 <= 0.25


async def test_stream_without_audio_goes_first(engine: KokoroEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    class Still(SegmentDeadline):
        """Deadline of a listener with a clock that stands still: this machine's speed has no effect."""

        def __init__(self, ahead_s: float = 0.0) -> None:
            super().__init__(ahead_s)
            self._playback, self._begun = Playback(lambda: 0.0), 0.0

    monkeypatch.setattr("kani.engines.kokoro.engine.SegmentDeadline", Still)
    ended: list[str] = []

    async def speak(name: str, segment: Segment) -> None:
        await chunks_of(engine, segment)
        ended.append(name)

    tasks = [asyncio.create_task(speak("long", LONG)) for _ in range(engine._concurrency + 1)]
    await computing(engine, engine._concurrency)
    tasks.append(asyncio.create_task(speak("short", SHORT)))
    await asyncio.gather(*tasks)
    assert ended[0] == "short"
