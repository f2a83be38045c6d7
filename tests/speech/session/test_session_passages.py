"""Passages in another script, and what of a text is no speech, in a session."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engines.espeak.engine import EspeakEngine
from speech.observer import Observer
from speech.request import Limits
from speech.service import SpeechService
from speech.text.foreign_passages import ForeignPassage
from speech.voices.catalogue import VoiceStore
from tests.speech.session.test_session import SPANISH, audio, collect, serving, speak
from tests.speech.timing.test_spans import assert_tiles
from tests.support.tone import RATE, ToneEngine


@asynccontextmanager
async def two_engines(tmp_path: Path) -> AsyncIterator[SpeechService]:
    """Tones for Spanish and English, espeak-ng, whose rate is another, for the rest."""
    service = SpeechService(
        [ToneEngine(), EspeakEngine()],
        VoiceStore(tmp_path),
        Limits(),
        default_language="es",
        default_voice=None,
        observer=Observer(),
    )
    await service.start()
    yield service
    await service.stop()


async def test_a_passage_is_spoken_by_whom_speaks_it(tmp_path: Path) -> None:
    """At the session's rate, in its place, and the session tells who it was."""
    text = "Dijo «добрый день» y se fue."
    async with two_engines(tmp_path) as service, service.open(SPANISH, protocol="test") as session:
        session.feed(text)
        session.finish()
        chunks = await collect(session)
        assert session.resolved_voice.voice == "tone_es"
        assert session.foreign_passages == [ForeignPassage(5, 18, "ru", "espeak:ru", "espeak")]
    spans = [span for chunk in chunks for span in chunk.spans]
    assert_tiles(spans, len(text))
    assert {chunk.sample_rate for chunk in chunks} == {RATE}
    words = {text[span.start : span.end]: span for span in spans}
    for word in ("добрый", "день", "fue"):
        span = words[word]
        assert span.end_s - span.start_s > 0.1
        assert np.abs(audio(chunks)[round(span.start_s * RATE) : round(span.end_s * RATE)]).max() > 0.02


async def test_a_text_without_passages_has_one_speaker(tmp_path: Path) -> None:
    """A Greek letter in a formula is no passage."""
    async with two_engines(tmp_path) as service, service.open(SPANISH, protocol="test") as session:
        session.feed("El número π es algo más que tres.")
        session.finish()
        await collect(session)
        assert session.foreign_passages == []


async def test_what_is_said_goes_with_what_is_written(tmp_path: Path) -> None:
    """Numbers, markup and marks: joined, the spans' ``said`` is what the engine was given."""
    engine = ToneEngine()
    text = "**Hay 21 casas** y `3 km`, ¿no? Sí."
    async with serving(engine, tmp_path) as service:
        chunks = await speak(service, text)
    spans = [span for chunk in chunks for span in chunk.spans]
    assert_tiles(spans, len(text))
    said = "".join(span.spoken_form or "" for span in spans)
    assert said.split() == " ".join(segment.text for segment in engine.segments).split()
    by_written = {text[span.start : span.end]: span.spoken_form for span in spans}
    assert (by_written["21"], by_written["casas"]) == ("veintiuna", "casas")


async def test_a_break_in_the_text_is_a_pause_whatever_the_protocol(tmp_path: Path) -> None:
    """Of just that length, and no words."""
    engine = ToneEngine()
    text = 'uno <break time="1.5s"/>dos <break time="200ms" /> tres'
    async with serving(engine, tmp_path) as service:
        chunks = await speak(service, text)
    assert engine.words == ["uno", "dos", "tres"]
    spans = [span for chunk in chunks for span in chunk.spans]
    rests = [span for span in spans if span.start == span.end]
    assert [span.end_s - span.start_s for span in rests] == pytest.approx([1.5, 0.2])
    assert [text[: span.start][-2:] for span in rests] == ["/>", "/>"]
    assert_tiles(spans, len(text), rests=2)


@pytest.mark.parametrize("announced", [True, False])
async def test_code_is_announced_or_passed_over(tmp_path: Path, announced: bool) -> None:
    """As the server is set."""
    engine = ToneEngine()
    service = SpeechService(
        [engine],
        VoiceStore(tmp_path),
        Limits(),
        default_language="es",
        default_voice=None,
        observer=Observer(),
        announce_code=announced,
    )
    await service.start()
    await speak(service, "Mira:\n```\nx = 1\n```\nFin.")
    await service.stop()
    code = ["Bloque", "de", "código"] if announced else []
    assert [word.lower() for word in engine.words] == ["mira", *(word.lower() for word in code), "fin"]


async def test_a_request_brings_its_own_words(tmp_path: Path) -> None:
    """A spelling for this request alone."""
    engine = ToneEngine()
    async with serving(engine, tmp_path) as service:
        await speak(service, "Usa SQL ya.", replace(SPANISH, lexicon={"SQL": "sícuel"}))
        assert engine.words == ["Usa", "sícuel", "ya"]


async def test_numbers_stay_as_they_are_where_that_is_asked_for(tmp_path: Path) -> None:
    """The engine reads them its own way."""
    engine = ToneEngine()
    async with serving(engine, tmp_path) as service:
        await speak(service, "Hay 21 casas.", replace(SPANISH, normalize=False))
    assert engine.words == ["Hay", "21", "casas"]


async def test_a_number_that_begins_a_segment_is_read_as_such(tmp_path: Path) -> None:
    """Also behind a segment that ended in one, or that began with one while it was written."""
    for writes in (False, True):
        engine = ToneEngine(writes=writes)
        async with (
            serving(engine, tmp_path) as service,
            service.open(SPANISH, protocol="test") as session,
        ):
            session.feed("Nací en 1990")
            session.flush()
            session.feed(" 30 casas hay.")
            session.finish()
            await collect(session)
        assert engine.words[-3:] == ["treinta", "casas", "hay"]
