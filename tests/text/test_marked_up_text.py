"""Text with markup and breaks in it, spoken: what is heard of it, and where its spans point."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.core.timing.test_spans import assert_tiles
from tests.support.sessions import SPANISH, audio, collect, serving, silent, spans_of, speak
from tests.support.tone import LETTER_S, RATE, ToneEngine
from tests.text.test_markup import TEXTS


@pytest.mark.parametrize("writes", [False, True])
@pytest.mark.parametrize(
    ("tags", "rests"),
    [
        ('<break time="0.5s"/>', [0.5]),
        (" <break time='500ms' /> ", [0.5]),
        ('<break strength="x-strong"></break>', [1.25]),
        ('<break time="2s"/> <break time="0.5s"/>', [2.0, 0.5]),
    ],
)
async def test_break_is_silence_of_its_duration(
    tmp_path: Path, tags: str, rests: list[float], writes: bool
) -> None:
    """A span without characters after its tag covers it."""
    text = f"uno{tags}dos"
    engine = ToneEngine(writes=writes)
    async with serving(engine, tmp_path) as service:
        chunks = await speak(service, text)
    spans = spans_of(chunks)
    told = [span for span in spans if span.start == span.end]
    assert [span.end_s - span.start_s for span in told] == pytest.approx(rests)
    assert all(text[: span.start].endswith(">") for span in told)
    assert engine.words == ["uno", "dos"]
    assert len(audio(chunks)) == round((6 * LETTER_S + sum(rests)) * RATE)
    assert silent(chunks, told[0].start_s, told[-1].end_s)
    assert not silent(chunks, told[-1].end_s, told[-1].end_s + LETTER_S)
    assert_tiles(spans, len(text), pauses=len(rests))


async def test_break_in_pieces_is_one_pause(tmp_path: Path) -> None:
    engine = ToneEngine(writes=True)
    text = 'Uno dos <break time="0.5s"/> tres cuatro.'
    async with serving(engine, tmp_path) as service, service.open(SPANISH, protocol="test") as session:
        for character in text:
            session.feed(character)
        session.finish()
        spans = spans_of(await collect(session))
    (rest,) = (span for span in spans if span.start == span.end)
    assert (rest.start, rest.end_s - rest.start_s) == (text.index("/>") + 2, pytest.approx(0.5))
    assert engine.words == ["Uno", "dos", "tres", "cuatro"]
    assert_tiles(spans, len(text), pauses=1)


async def test_breaks_alone_are_silent(tmp_path: Path) -> None:
    async with serving(ToneEngine(), tmp_path) as service:
        assert not np.any(audio(await speak(service, '<break time="1s"/>')))
        chunks = await speak(service, '<break time="1s"/>hola')
        assert silent(chunks, 0.0, 1.0) and not silent(chunks, 1.0, 1.0 + LETTER_S)
        assert_tiles(spans_of(chunks), len('<break time="1s"/>hola'), pauses=1)


async def test_spans_cover_words_without_markup(tmp_path: Path) -> None:
    text = "# **Título**\n- [uno](https://ej.es/a_b) y `dos`\n- foo**bar**\n\nAT&amp;T <b>fin</b>."
    engine = ToneEngine()
    async with serving(engine, tmp_path) as service:
        spans = spans_of(await speak(service, text))
    assert_tiles(spans, len(text))
    told = [text[span.start : span.end] for span in spans]
    for word in ("Título", "uno", "y", "dos", "foo**bar", "fin"):
        assert word in told
    assert "https" not in " ".join(engine.words) and "amp" not in " ".join(engine.words)


async def test_list_items_pause_like_paragraphs(tmp_path: Path) -> None:
    async with serving(ToneEngine(), tmp_path) as service:
        listed = spans_of(await speak(service, "Hay que comprar varias cosas:\n- manzanas\n- peras\n- uvas"))
        prose = spans_of(await speak(service, "Hay que comprar varias cosas: manzanas peras uvas"))
    assert listed[-1].end_s > prose[-1].end_s


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXTS, st.lists(st.integers(0, 400), max_size=8).map(sorted))
async def test_spans_tile_any_markup(tmp_path: Path, text: str, cuts: list[int]) -> None:
    async with serving(ToneEngine(writes=bool(cuts)), tmp_path) as service:
        async with service.open(SPANISH, protocol="test") as session:
            for start, end in pairwise([0, *cuts, max(len(text), 401)]):
                session.feed(text[start:end])
            session.finish()
            chunks = await collect(session)
    spans = spans_of(chunks)
    if chunks:
        assert_tiles(spans, len(text), pauses=sum(span.start == span.end for span in spans))
