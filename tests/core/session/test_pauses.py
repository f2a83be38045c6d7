"""Silence: where a client asks for it, and where nobody knows when the text goes on."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from kani.core.audio.prosody_filter import PAUSES_S
from kani.core.session.session import SpeechSession
from kani.core.session.worker import UNDERRUN_PAUSE_S
from kani.core.types import Boundary, SpeechChunk, SpeechRequest
from tests.core.timing.test_spans import assert_tiles
from tests.support.event_loop import settle
from tests.support.sessions import SPANISH, audio, collect, serving, silent, spans_of, speak
from tests.support.tone import LETTER_S, RATE, ToneEngine

UNO, DOS = 3 * LETTER_S, 3 * LETTER_S


@pytest.mark.parametrize("writes", [False, True])
async def test_pause_is_silence_with_empty_span(tmp_path: Path, writes: bool) -> None:
    async with (
        serving(ToneEngine(writes=writes), tmp_path) as service,
        service.open(SPANISH, protocol="test") as session,
    ):
        session.feed("uno ")
        session.add_pause(2.0)
        session.add_pause(0.5)
        session.feed("dos")
        session.finish()
        chunks = await collect(session)
    spans = spans_of(chunks)
    rests = [span for span in spans if span.start == span.end]
    assert [(span.start, span.end) for span in rests] == [(4, 4), (4, 4)]
    assert [span.end_s - span.start_s for span in rests] == pytest.approx([2.0, 0.5])
    assert rests[1].start_s == pytest.approx(rests[0].end_s)
    assert silent(chunks, rests[0].start_s, rests[1].end_s)
    assert not silent(chunks, rests[1].end_s, rests[1].end_s + DOS)
    assert len(audio(chunks)) == round((UNO + 2.5 + DOS) * RATE)
    assert_tiles(spans, len("uno dos"), pauses=2)


async def test_pause_before_text_waits_for_voice(tmp_path: Path) -> None:
    async with serving(ToneEngine(), tmp_path) as service:
        async with service.open(SpeechRequest(), protocol="test") as session:
            session.add_pause(1.0)
            await settle()
            session.feed("Buenos días, ¿cómo está usted?")
            session.finish()
            chunks = await collect(session)
        assert silent(chunks, 0.0, 1.0) and not silent(chunks, 1.0, 1.5)
        spans = spans_of(chunks)
        assert (spans[0].start_s, spans[0].end_s) == (0.0, 1.0)
        assert_tiles(spans, len("Buenos días, ¿cómo está usted?"), pauses=1)
        async with service.open(SpeechRequest(), protocol="test") as session:
            session.add_pause(1.0)
            session.finish()
            assert await collect(session) == []


async def chunks_now(session: SpeechSession, found: list[SpeechChunk]) -> asyncio.Task[None]:

    async def read() -> None:
        async for chunk in session:
            found.append(chunk)

    reader = asyncio.create_task(read())
    await settle()
    return reader


async def test_underrun_sends_part_of_pause(tmp_path: Path) -> None:
    found: list[SpeechChunk] = []
    async with (
        serving(ToneEngine(), tmp_path) as service,
        service.open(SPANISH, protocol="test") as session,
    ):
        session.feed("Uno dos tres cuatro cinco seis siete ocho nueve. A")
        reader = await chunks_now(session, found)
        said_s = sum(map(len, "Uno dos tres cuatro cinco seis siete ocho nueve".split())) * LETTER_S
        assert sum(len(chunk.samples) for chunk in found) == round((said_s + UNDERRUN_PAUSE_S) * RATE)
        session.feed("diós.")
        session.finish()
        await reader
    pause_s = PAUSES_S[Boundary.SENTENCE]
    assert len(audio(found)) == round((said_s + pause_s + 5 * LETTER_S) * RATE)
    assert [one.end_s for one in found[:-1]] == pytest.approx([two.start_s for two in found[1:]])


async def test_underrun_behind_flush_sends_part_of_pause(tmp_path: Path) -> None:
    found: list[SpeechChunk] = []
    async with (
        serving(ToneEngine(writes=True), tmp_path) as service,
        service.open(SPANISH, protocol="test") as session,
    ):
        session.feed("uno dos ")
        session.flush()
        reader = await chunks_now(session, found)
        assert len(audio(found)) == round((UNO + DOS + UNDERRUN_PAUSE_S) * RATE)
        session.feed("tres")
        session.finish()
        await reader
    pause_s = PAUSES_S[Boundary.CLAUSE]
    assert len(audio(found)) == round((UNO + DOS + pause_s + 4 * LETTER_S) * RATE)


async def test_complete_text_has_no_underrun_silence(tmp_path: Path) -> None:
    async with serving(ToneEngine(), tmp_path) as service:
        chunks = await speak(service, "Uno dos tres cuatro cinco seis siete ocho nueve. Adiós a todos.")
    words = "Uno dos tres cuatro cinco seis siete ocho nueve Adiós a todos".split()
    expected_s = sum(map(len, words)) * LETTER_S + PAUSES_S[Boundary.SENTENCE]
    assert len(audio(chunks)) == round(expected_s * RATE)


LONG = {
    "es": "El viejo relojero de la esquina todavía repara todos los relojes de sus vecinos con sus manos.",
    "en": "The old watchmaker on the corner still repairs every clock that his neighbours bring to him.",
}


@pytest.mark.parametrize("language", LONG)
async def test_language_is_detected_early_however_text_is_cut(tmp_path: Path, language: str) -> None:
    async with serving(ToneEngine(), tmp_path) as service:
        tags = set()
        for step in (1, 7, 24, len(LONG[language])):
            async with service.open(SpeechRequest(), protocol="test") as session:
                text = LONG[language]
                for first, last in pairwise([*range(0, len(text), step), len(text)]):
                    session.feed(text[first:last])
                    if last >= 40:
                        assert session.resolved_voice.language == language
                session.finish()
                chunks = await collect(session)
                tags.add((session.resolved_voice.voice, len(audio(chunks))))
    assert len(tags) == 1


async def test_undetected_language_falls_back_after_80_characters(tmp_path: Path) -> None:
    async with (
        serving(ToneEngine(), tmp_path) as service,
        service.open(SpeechRequest(), protocol="test") as session,
    ):
        for _ in range(79 // 4):
            session.feed("12, ")
            with pytest.raises(RuntimeError):
                assert session.resolved_voice
        session.feed("12, 12.")
        assert session.resolved_voice.language == "es"
        session.finish()
        await collect(session)
