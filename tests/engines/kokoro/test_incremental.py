"""Sentences that are spoken while they are written, by the real engine."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import numpy as np
import pytest

from engines.kokoro.engine import KokoroEngine
from speech.playback import Playback
from speech.text.incremental_text import IncrementalText
from speech.text.normalizer import VERBATIM
from speech.text.segmenter import OpenTextSegment
from speech.types import Boundary, Samples, Segment, Span, SpeechChunk
from tests.judges.judge import hear, word_error_rate

SEGMENT = Segment("", "ef_dora", "es")
TWENTY = (
    "Mañana por la tarde iremos todos juntos al mercado del puerto para comprar pescado fresco, "
    "naranjas dulces y pan de trigo."
)


class Writer:
    """Writes so many words of a text each time that the engine asks for more."""

    def __init__(self, text: str, words: int, boundary: Boundary = Boundary.SENTENCE) -> None:
        self._words = text.split(" ")
        self._at_once = words
        self._boundary = boundary
        self._given = 0
        self._cut = OpenTextSegment(0, "", None)
        self.asked = 0
        self.waits = asyncio.Event()
        self._add()
        self.written = IncrementalText(self._cut, self._rest, VERBATIM)

    def _add(self) -> None:
        self._given = min(self._given + self._at_once, len(self._words))
        self._cut.text = " ".join(self._words[: self._given])
        if self._given == len(self._words):
            self._cut.boundary = self._boundary

    @asynccontextmanager
    async def _rest(self) -> AsyncIterator[None]:
        self.asked += 1
        self.waits.set()
        if self._at_once:
            self._add()
            self.written.update()
        yield


async def spoken(
    engine: KokoroEngine, text: str, words: int, segment: Segment = SEGMENT
) -> tuple[list[SpeechChunk], Writer]:
    writer = Writer(text, words)
    return [chunk async for chunk in engine.stream(segment, writer.written)], writer


def joined(chunks: list[SpeechChunk]) -> tuple[Samples, list[Span]]:
    return np.concatenate([chunk.samples for chunk in chunks]), [
        span for chunk in chunks for span in chunk.spans
    ]


def assert_all_words_rise(text: str, chunks: list[SpeechChunk]) -> None:
    samples, spans = joined(chunks)
    words = [word.strip(",.;:!?¿¡") for word in text.split()]
    assert [text[span.start : span.end].strip(",.;:!?¿¡") for span in spans] == words
    assert all(span.start_s <= span.end_s for span in spans)
    assert all(a.end_s <= b.start_s + 1e-6 for a, b in pairwise(spans))
    assert all(a.start_s < b.start_s for a, b in pairwise(spans))
    assert spans[0].start_s >= 0 and spans[-1].end_s <= len(samples) / 24_000 + 1e-6
    assert chunks[0].start_s == 0
    assert all(a.end_s == pytest.approx(b.start_s) for a, b in pairwise(chunks))


def unaccented(text: str) -> str:
    return "".join(
        letter for letter in unicodedata.normalize("NFD", text) if not unicodedata.combining(letter)
    )


def assert_free(engine: KokoroEngine) -> None:
    assert engine._scheduler._free == engine._concurrency


@pytest.mark.parametrize("words", [1, *(pytest.param(words, marks=pytest.mark.slow) for words in (2, 3, 7))])
async def test_every_word_is_heard_however_few_come_at_a_time(engine: KokoroEngine, words: int) -> None:
    chunks, writer = await spoken(engine, TWENTY, words)
    assert writer.asked >= 2
    assert_all_words_rise(TWENTY, chunks)
    samples, _ = joined(chunks)
    heard = hear(samples, 24_000, "es")
    assert word_error_rate(unaccented(TWENTY), unaccented(heard), "es") == 0, heard
    assert np.abs(samples).max() <= 1
    jumps = np.abs(np.diff(samples))
    near = np.zeros(len(jumps), np.bool_)
    for chunk in chunks[1:]:
        at = round(chunk.start_s * 24_000)
        near[max(at - 240, 0) : at + 240] = True
    assert jumps[near].max() <= 1.5 * jumps[~near].max()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "voice", "language"),
    [
        (
            "Nobody could explain why the old lighthouse had been painted bright green last summer.",
            "af_heart",
            "en",
        ),
        ("Le vieux pont de pierre traverse le fleuve depuis plus de trois siècles déjà.", "ff_siwis", "fr"),
    ],
)
async def test_other_languages_are_heard_as_they_are_written(
    engine: KokoroEngine, text: str, voice: str, language: str
) -> None:
    chunks, _ = await spoken(engine, text, 2, Segment("", voice, language))
    samples, _ = joined(chunks)
    heard = hear(samples, 24_000, language)
    assert word_error_rate(text, heard, language) <= 0.1, heard


async def test_the_first_words_are_heard_before_the_sentence_is_written(engine: KokoroEngine) -> None:
    writer = Writer(TWENTY, 1)
    speech = engine.stream(SEGMENT, writer.written)
    async for chunk in speech:
        if len(chunk.samples):
            break
    assert len(writer.written.text.split()) <= 5
    await speech.aclose()
    assert_free(engine)


async def test_a_sentence_that_is_there_at_once_is_said_as_one(engine: KokoroEngine) -> None:
    text = "La biblioteca cierra los domingos."
    chunks, writer = await spoken(engine, text, 100)
    samples, spans = joined(chunks)
    expected = [chunk async for chunk in engine.synthesize(Segment(text, "ef_dora", "es"))]
    expected_samples, expected_spans = joined(expected)
    assert not writer.asked
    assert np.array_equal(samples, expected_samples)
    assert spans == expected_spans


async def test_a_sentence_that_ends_before_it_was_begun_is_said_as_one(engine: KokoroEngine) -> None:
    text = "Hoy no hay pan."
    chunks, writer = await spoken(engine, text, 2)
    samples, _ = joined(chunks)
    expected, _ = joined([chunk async for chunk in engine.synthesize(Segment(text, "ef_dora", "es"))])
    assert writer.asked
    assert np.array_equal(samples, expected)


@pytest.mark.parametrize("text", ["… — !", "…", "— — — — — — — —"])
@pytest.mark.parametrize("words", [1, 100])
async def test_a_text_of_marks_is_nothing(engine: KokoroEngine, text: str, words: int) -> None:
    chunks, _ = await spoken(engine, text, words)
    assert all(not len(chunk.samples) and not chunk.spans for chunk in chunks)
    assert_free(engine)


async def test_marks_between_and_behind_the_words_change_nothing_about_them(engine: KokoroEngine) -> None:
    text = "Pues — bueno — claro que sí , dijo ella … y se fue … —"
    chunks, _ = await spoken(engine, text, 1)
    _, spans = joined(chunks)
    said = ["Pues", "bueno", "claro", "que", "sí", "dijo", "ella", "y", "se", "fue"]
    assert [text[span.start : span.end] for span in spans] == said
    assert all(a.end_s <= b.start_s + 1e-6 for a, b in pairwise(spans))


@pytest.mark.slow
@pytest.mark.parametrize("words", [4, 60])
async def test_a_sentence_too_long_for_the_model_is_spoken_to_its_end(
    engine: KokoroEngine, monkeypatch: pytest.MonkeyPatch, words: int
) -> None:
    # A listener who never runs dry: where the pieces meet does not depend on how fast they are made.
    monkeypatch.setattr(Playback, "left_s", 60.0)
    text = " ".join(
        [TWENTY.rstrip("."), "y", TWENTY[0].lower() + TWENTY[1:-1], "y", TWENTY[0].lower() + TWENTY[1:]]
    )
    # The boundary comes last, so that all of it is written text.
    chunks, _ = await spoken(engine, text + " Sí.", words)
    assert_all_words_rise(text + " Sí.", chunks)
    samples, _ = joined(chunks)
    heard = hear(samples, 24_000, "es")
    assert word_error_rate(text + " Sí.", heard, "es") <= 0.1, heard


async def test_cancelling_while_it_waits_for_text_frees_everything(engine: KokoroEngine) -> None:
    writer = Writer(TWENTY, 8)
    writer._at_once = 0
    chunks: list[SpeechChunk] = []

    async def listen() -> None:
        async for chunk in engine.stream(SEGMENT, writer.written):
            chunks.append(chunk)

    task = asyncio.create_task(listen())
    await writer.waits.wait()
    assert chunks
    assert_free(engine)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert_free(engine)
    again, _ = await spoken(engine, "Sigo aquí.", 1)
    assert len(joined(again)[0])


@pytest.mark.parametrize("heard", [1, 2, 3])
async def test_closing_behind_any_chunk_frees_the_turn(engine: KokoroEngine, heard: int) -> None:
    speech = engine.stream(SEGMENT, Writer(TWENTY, 3).written)
    for _ in range(heard):
        await anext(speech)
    await speech.aclose()
    assert_free(engine)
    with pytest.raises(StopAsyncIteration):
        await anext(speech)
