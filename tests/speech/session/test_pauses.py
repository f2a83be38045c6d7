"""Silence: where a client asks for it, and where nobody knows when the text goes on."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from speech.audio.prosody_filter import PAUSES_S
from speech.session.session import SpeechSession
from speech.session.worker import UNDERRUN_PAUSE_S
from speech.types import Boundary, SpeechChunk, SpeechRequest
from tests.speech.session.test_session import SPANISH, audio, collect, serving, speak
from tests.speech.timing.test_spans import assert_tiles
from tests.support.event_loop import settle
from tests.support.tone import LETTER_S, RATE, ToneEngine

UNO, DOS = 3 * LETTER_S, 3 * LETTER_S


def silent(chunks: list[SpeechChunk], start_s: float, end_s: float) -> bool:
    """Whether nothing is heard from start_s to end_s."""
    return not audio(chunks)[round(start_s * RATE) : round(end_s * RATE)].any()


@pytest.mark.parametrize("writes", [False, True])
async def test_a_rest_is_silence_in_its_place(tmp_path: Path, writes: bool) -> None:
    """It ends the segment before it, takes the place of its pause, and is a span without characters."""
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
    spans = [span for chunk in chunks for span in chunk.spans]
    rests = [span for span in spans if span.start == span.end]
    assert [(span.start, span.end) for span in rests] == [(4, 4), (4, 4)]
    assert [span.end_s - span.start_s for span in rests] == pytest.approx([2.0, 0.5])
    assert rests[1].start_s == pytest.approx(rests[0].end_s)
    assert silent(chunks, rests[0].start_s, rests[1].end_s)
    assert not silent(chunks, rests[1].end_s, rests[1].end_s + DOS)
    assert len(audio(chunks)) == round((UNO + 2.5 + DOS) * RATE)
    assert_tiles(spans, len("uno dos"), rests=2)


async def test_a_rest_before_any_text_waits_for_it(tmp_path: Path) -> None:
    """Nobody knows yet who will be silent."""
    async with serving(ToneEngine(), tmp_path) as service:
        async with service.open(SpeechRequest(), protocol="test") as session:
            session.add_pause(1.0)
            await settle()
            session.feed("Buenos días, ¿cómo está usted?")
            session.finish()
            chunks = await collect(session)
        assert silent(chunks, 0.0, 1.0) and not silent(chunks, 1.0, 1.5)
        spans = [span for chunk in chunks for span in chunk.spans]
        assert (spans[0].start_s, spans[0].end_s) == (0.0, 1.0)
        assert_tiles(spans, len("Buenos días, ¿cómo está usted?"), rests=1)
        async with service.open(SpeechRequest(), protocol="test") as session:
            session.add_pause(1.0)
            session.finish()
            assert await collect(session) == []


async def chunks_now(session: SpeechSession, found: list[SpeechChunk]) -> asyncio.Task[None]:
    """A reader that takes what there is at once."""

    async def read() -> None:
        async for chunk in session:
            found.append(chunk)

    reader = asyncio.create_task(read())
    await settle()
    return reader


async def test_part_of_the_pause_goes_out_while_the_text_waits(tmp_path: Path) -> None:
    """So that the last sound fills a client's frame; the pause is no longer for it."""
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


async def test_part_of_the_pause_goes_out_behind_what_was_flushed(tmp_path: Path) -> None:
    """A text that is written stalls there: like a clause, as its sentence goes on."""
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


async def test_a_text_that_is_all_there_has_no_silence_of_that_kind(tmp_path: Path) -> None:
    """Neither behind its end nor in any pause."""
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
async def test_a_language_is_told_before_eighty_characters_came(tmp_path: Path, language: str) -> None:
    """From 24 of them, where those are telling; the same however they came."""
    async with serving(ToneEngine(), tmp_path) as service:
        tags = set()
        for step in (1, 7, 24, len(LONG[language])):
            async with service.open(SpeechRequest(), protocol="test", fallback_language="fr") as session:
                text = LONG[language]
                for first, last in pairwise([*range(0, len(text), step), len(text)]):
                    session.feed(text[first:last])
                    if last >= 40:
                        assert session.resolved_voice.language == language
                session.finish()
                chunks = await collect(session)
                tags.add((session.resolved_voice.voice, len(audio(chunks))))
    assert len(tags) == 1


async def test_a_text_that_tells_no_language_waits_for_eighty_characters(tmp_path: Path) -> None:
    """And then is spoken in the language of the request's protocol."""
    async with (
        serving(ToneEngine(), tmp_path) as service,
        service.open(SpeechRequest(), protocol="test", fallback_language="en") as session,
    ):
        for _ in range(79 // 4):
            session.feed("tu, ")
            with pytest.raises(RuntimeError):
                assert session.resolved_voice
        session.feed("tu, tu.")
        assert session.resolved_voice.language == "en"
        session.finish()
        await collect(session)
