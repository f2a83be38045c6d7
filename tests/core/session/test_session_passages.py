"""Passages in another script, and what of a text is no speech, in a session."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kani.core.service import SpeechService
from kani.core.types import SpeechRequest
from kani.engines.espeak.engine import EspeakEngine
from kani.text.foreign_passages import ForeignPassage
from tests.core.timing.test_spans import assert_tiles
from tests.support.sessions import SPANISH, audio, build, collect, fed, serving, spans_of, speak
from tests.support.tone import RATE, ToneEngine


@asynccontextmanager
async def two_engines(folder: Path) -> AsyncIterator[SpeechService]:
    """Tones for Spanish and English; espeak-ng, with another sample rate, for the rest."""
    service = build(folder, ToneEngine(), EspeakEngine())
    await service.start()
    yield service
    await service.stop()


async def test_foreign_passage_is_spoken_by_engine_of_its_language(tmp_path: Path) -> None:
    text = "Dijo «добрый день» y se fue."
    async with two_engines(tmp_path) as service, fed(service, text) as session:
        chunks = await collect(session)
        assert session.resolved_voice.voice == "tone_es"
        assert session.foreign_passages == [ForeignPassage(5, 18, "ru", "espeak:ru", "espeak")]
    spans = spans_of(chunks)
    assert_tiles(spans, len(text))
    assert {chunk.sample_rate for chunk in chunks} == {RATE}
    words = {text[span.start : span.end]: span for span in spans}
    for word in ("добрый", "день", "fue"):
        span = words[word]
        assert span.end_s - span.start_s > 0.1
        assert np.abs(audio(chunks)[round(span.start_s * RATE) : round(span.end_s * RATE)]).max() > 0.02


async def test_greek_letter_is_no_foreign_passage(tmp_path: Path) -> None:
    async with two_engines(tmp_path) as service, fed(service, "El número π es algo más que tres.") as session:
        await collect(session)
        assert session.foreign_passages == []


async def test_spoken_forms_join_to_engine_text(tmp_path: Path) -> None:
    engine = ToneEngine()
    text = "**Hay 21 casas** y `3 km`, ¿no? Sí."
    async with serving(engine, tmp_path) as service:
        chunks = await speak(service, text)
    spans = spans_of(chunks)
    assert_tiles(spans, len(text))
    said = "".join(span.spoken_form or "" for span in spans)
    assert said.split() == " ".join(segment.text for segment in engine.segments).split()
    by_written = {text[span.start : span.end]: span.spoken_form for span in spans}
    assert (by_written["21"], by_written["casas"]) == ("veintiuna", "casas")


@pytest.mark.parametrize("announced", [True, False])
async def test_code_is_announced_or_skipped(tmp_path: Path, announced: bool) -> None:
    engine = ToneEngine()
    service = build(tmp_path, engine, announce_code=announced)
    await service.start()
    await speak(service, "Mira:\n```\nx = 1\n```\nFin.")
    await service.stop()
    code = ["Bloque", "de", "código"] if announced else []
    assert [word.lower() for word in engine.words] == ["mira", *(word.lower() for word in code), "fin"]


@pytest.mark.parametrize(
    ("text", "request_", "words"),
    [
        ("Usa SQL ya.", replace(SPANISH, lexicon={"SQL": "sícuel"}), ["Usa", "sícuel", "ya"]),
        ("Hay 21 casas.", replace(SPANISH, normalize=False), ["Hay", "21", "casas"]),
    ],
)
async def test_request_changes_spoken_form(
    tmp_path: Path, text: str, request_: SpeechRequest, words: list[str]
) -> None:
    engine = ToneEngine()
    async with serving(engine, tmp_path) as service:
        await speak(service, text, request_)
    assert engine.words == words


@pytest.mark.parametrize("writes", [False, True])
async def test_number_at_segment_start_is_read_alone(tmp_path: Path, writes: bool) -> None:
    engine = ToneEngine(writes=writes)
    async with serving(engine, tmp_path) as service, service.open(SPANISH, protocol="test") as session:
        session.feed("Nací en 1990")
        session.flush()
        session.feed(" 30 casas hay.")
        session.finish()
        await collect(session)
    assert engine.words[-3:] == ["treinta", "casas", "hay"]
