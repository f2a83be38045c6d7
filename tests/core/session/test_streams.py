"""Slots that are streams: sessions that have begun keep theirs, and the others wait."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from kani.core.session.session import SpeechSession
from tests.support.event_loop import settle
from tests.support.sessions import SPANISH, collect, fed, serving
from tests.support.tone import ToneEngine

# Each has two segments.
FIRST = "alfa beta gama delta zeta iota kapa. Lambda sigma omega tau fi yota aleph."
SECOND = "uno dos tres cuatro cinco seis. Siete ocho nueve diez once doce."
SENTENCE = 7
"""Words of the first segment."""


def streaming(places: int = 1, *, writes: bool = False) -> ToneEngine:
    engine = ToneEngine(rests=True, places=places, writes=writes)
    engine.info = replace(engine.info, slots_are_streams=True)
    engine.allow = 0
    return engine


def words(text: str) -> list[str]:
    return text.replace(".", "").split()


async def test_session_keeps_its_slot_from_segment_to_segment(tmp_path: Path) -> None:
    engine = streaming()
    async with serving(engine, tmp_path) as service, fed(service, FIRST) as first:
        await engine.permit(1)
        async with fed(service, SECOND) as second:
            reading = [asyncio.create_task(collect(session)) for session in (first, second)]
            await settle()
            assert service.state().waiting == 1
            await engine.permit(None)
            await asyncio.gather(*reading)
    assert engine.words == words(FIRST) + words(SECOND)


@pytest.mark.parametrize("max_concurrent", [1, None])
async def test_fewer_slots_that_were_chosen_are_segments(tmp_path: Path, max_concurrent: int | None) -> None:
    """A limit of segments at once is kept as such: sessions take turns."""
    engine = streaming(places=2 if max_concurrent else 1)
    async with serving(engine, tmp_path, max_concurrent=max_concurrent) as service:  # type: ignore[arg-type]
        async with fed(service, FIRST) as first:
            await engine.permit(1)
            async with fed(service, SECOND) as second:
                reading = [asyncio.create_task(collect(session)) for session in (first, second)]
                await settle()
                await engine.permit(None)
                await asyncio.gather(*reading)
    in_turn = engine.words.index("uno") < engine.words.index("Lambda")
    assert in_turn == (max_concurrent is not None)


async def test_session_that_waits_for_text_lends_its_slot_and_goes_on_at_once(tmp_path: Path) -> None:
    engine = streaming()
    async with serving(engine, tmp_path) as service:

        def opened() -> SpeechSession:
            return service.open(SPANISH, protocol="test")

        async with opened() as writing, opened() as other:
            writing.feed("alfa beta gama delta zeta iota kapa. ")
            writing.flush()
            await engine.permit(SENTENCE)
            await settle()
            assert service.state().slots_in_use == 0
            other.feed(SECOND)
            other.finish()
            await engine.permit(1)
            # Two seconds of it are still to be played: it does not wait for the other one's slot.
            writing.feed("Lambda sigma.")
            writing.finish()
            reading = [asyncio.create_task(collect(session)) for session in (writing, other)]
            while engine.under_way < 2:
                await asyncio.sleep(0)
            assert (service.state().slots_in_use, service.state().waiting) == (2, 0)
            await engine.permit(None)
            await asyncio.gather(*reading)
    assert engine.words[: SENTENCE + 1] == [*words(FIRST)[:SENTENCE], "uno"]
    assert sorted(engine.words) == sorted([*words(FIRST)[:SENTENCE], *words(SECOND), "Lambda", "sigma"])


async def test_session_with_enough_for_its_reader_lends_its_slot(tmp_path: Path) -> None:
    engine = streaming()
    async with serving(engine, tmp_path, ahead_s=2.0) as service, fed(service, FIRST) as slow:
        await engine.permit(None)
        await settle()
        made = len(engine.words)
        assert made < SENTENCE and service.state().slots_in_use == 0
        async with fed(service, SECOND) as other:
            await collect(other)
        assert engine.words == words(FIRST)[:made] + words(SECOND)
        await collect(slow)
    assert engine.words[-1] == words(FIRST)[-1]


async def test_session_that_ends_early_frees_its_slot(tmp_path: Path) -> None:
    engine = streaming()
    async with serving(engine, tmp_path) as service:
        for text in (FIRST.replace("Lambda", "kaputt"), FIRST):
            async with fed(service, text):
                await engine.permit(SENTENCE)
                await settle()
            assert service.state().slots_in_use == 0
        await engine.permit(None)
        async with fed(service, SECOND) as session:
            assert await collect(session)


async def test_whole_answers_take_turns_by_segments(tmp_path: Path) -> None:
    """An answer that is sent whole has no gaps to avoid: it holds no slot between its segments."""
    engine = streaming()
    async with serving(engine, tmp_path) as service, fed(service, FIRST, low_latency=False) as whole:
        await engine.permit(1)
        async with fed(service, SECOND) as stream:
            reading = [asyncio.create_task(collect(session)) for session in (whole, stream)]
            await settle()
            await engine.permit(None)
            await asyncio.gather(*reading)
    assert engine.words.index("uno") < engine.words.index("Lambda")
