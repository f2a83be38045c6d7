"""Incremental synthesis by the real engine."""

import asyncio
import re
import unicodedata
from itertools import pairwise

import numpy as np
import pytest

from kani.core.audio.playback import Playback
from kani.core.types import Samples, Segment, Span, SpeechChunk
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.incremental import IncrementalSentence
from kani.engines.kokoro.text import phonemes
from tests.judges.judge import hear, word_error_rate
from tests.support.kokoro import Writer, chunks_of, joined

SEGMENT = Segment("", "ef_dora", "es")
TWENTY = (
    "Mañana por la tarde iremos todos juntos al mercado del puerto para comprar pescado fresco, "
    "naranjas dulces y pan de trigo."
)


async def spoken(
    engine: KokoroEngine, text: str, words: int, segment: Segment = SEGMENT
) -> tuple[list[SpeechChunk], Writer]:
    writer = Writer(text, words)
    return [chunk async for chunk in engine.stream(segment, writer.text)], writer


def assert_words(text: str, spans: list[Span], words: list[str] | None = None) -> None:
    found = [text[span.start : span.end].strip(",.;:!?¿¡") for span in spans]
    assert found == (words or [word.strip(",.;:!?¿¡") for word in text.split()])
    assert all(span.start_s <= span.end_s for span in spans)
    assert all(a.start_s < b.start_s and a.end_s <= b.start_s + 1e-6 for a, b in pairwise(spans))


def assert_all_words_rise(text: str, chunks: list[SpeechChunk]) -> Samples:
    samples, spans = joined(chunks)
    assert_words(text, spans)
    assert spans[0].start_s >= 0 and spans[-1].end_s <= len(samples) / 24_000 + 1e-6
    assert chunks[0].start_s == 0
    assert all(a.end_s == pytest.approx(b.start_s) for a, b in pairwise(chunks))
    return samples


def unaccented(text: str) -> str:
    return unicodedata.normalize("NFD", text).encode("ascii", "ignore").decode()


@pytest.mark.parametrize("words", [1, 2, 3, 7])
async def test_growing_text_is_intelligible_and_joints_do_not_click(engine: KokoroEngine, words: int) -> None:
    chunks, writer = await spoken(engine, TWENTY, words)
    assert writer.waited >= 2
    samples = assert_all_words_rise(TWENTY, chunks)
    heard = hear(samples, 24_000, "es")
    assert word_error_rate(unaccented(TWENTY), unaccented(heard), "es") == 0, heard
    assert np.abs(samples).max() <= 1
    jumps = np.abs(np.diff(samples))
    near = np.zeros(len(jumps), np.bool_)
    for chunk in chunks[1:]:
        at = round(chunk.start_s * 24_000)
        near[max(at - 240, 0) : at + 240] = True
    assert jumps[near].max() <= 1.5 * jumps[~near].max()


@pytest.mark.parametrize(
    ("text", "words", "waits"),
    [("La biblioteca cierra los domingos.", 100, False), ("Hoy no hay pan.", 2, True)],
    ids=["complete at once", "complete before enough words to begin"],
)
async def test_complete_text_equals_segment(engine: KokoroEngine, text: str, words: int, waits: bool) -> None:
    chunks, writer = await spoken(engine, text, words)
    samples, spans = joined(chunks)
    expected_samples, expected_spans = joined(await chunks_of(engine, Segment(text, "ef_dora", "es")))
    assert bool(writer.waited) == waits
    assert np.array_equal(samples, expected_samples)
    assert spans == expected_spans


async def test_marks_get_no_spans_and_audio_begins_early(engine: KokoroEngine) -> None:
    for marks in ("… — !", "…", "— — — — — — — —"):
        for words in (1, 100):
            chunks, _ = await spoken(engine, marks, words)
            assert all(not len(chunk.samples) and not chunk.spans for chunk in chunks), marks
    text = "Pues — bueno — claro que sí , dijo ella … y se fue … —"
    chunks, _ = await spoken(engine, text, 1)
    assert_words(text, joined(chunks)[1], re.findall(r"\w+", text))
    writer = Writer(TWENTY, 1)
    speech = engine.stream(SEGMENT, writer.text)
    async for chunk in speech:
        if len(chunk.samples):
            break
    assert len(writer.text.text.split()) <= 5
    await speech.aclose()
    assert engine._scheduler.steps == 0


@pytest.mark.parametrize("words", [4, 42])
async def test_overlong_sentence_is_spoken_completely(
    engine: KokoroEngine, monkeypatch: pytest.MonkeyPatch, words: int
) -> None:
    # A listener who never runs dry: where the pieces meet does not depend on how fast they are made.
    monkeypatch.setattr(Playback, "remaining_s", 60.0)
    monkeypatch.setattr(phonemes, "MAX_UTTERANCE_SYMBOLS", 130)
    # The boundary comes last, so that all of it is written text.
    text = f"{TWENTY.rstrip('.')} y {TWENTY[0].lower()}{TWENTY[1:]} Sí."
    chunks, _ = await spoken(engine, text, words)
    heard = hear(assert_all_words_rise(text, chunks), 24_000, "es")
    assert word_error_rate(text, heard, "es") <= 0.1, heard


async def test_cancel_while_waiting_for_text_frees_slot(engine: KokoroEngine) -> None:
    writer = Writer(TWENTY, 8)
    writer.words_at_once = 0
    chunks: list[SpeechChunk] = []

    async def listen() -> None:
        async for chunk in engine.stream(SEGMENT, writer.text):
            chunks.append(chunk)

    task = asyncio.create_task(listen())
    await writer.waits.wait()
    assert chunks and engine._scheduler.steps == 0
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert engine._scheduler.steps == 0
    again, _ = await spoken(engine, "Sigo aquí.", 1)
    assert len(joined(again)[0])


@pytest.mark.parametrize(
    ("text", "spoken", "ready"),
    [
        ("one two three four", 0, 1),
        ("one two, three four", 0, 2),
        ("我们今天去公园散步吧", 0, 2),
        ("我们今天，去公园", 0, 2),
        ("我们今天，去公园散步吧好不好呀", 5, 2),
        ("今日は天気がいいので", 0, 2),
        ("用 Windows 电脑工作", 0, 1),
    ],
)
def test_words_are_counted_without_a_dictionary(text: str, spoken: int, ready: int) -> None:
    sentence = IncrementalSentence(None, None, SEGMENT)  # type: ignore[arg-type]
    sentence.spoken_length = spoken
    assert sentence.count_ready_words(text) == ready
