"""Slots that are streams, and the light network of some voices: who keeps a slot, and who waits."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kani.core.engine import LightVoices, Sharing
from kani.core.service import SpeechService
from kani.core.session.session import SpeechSession
from kani.core.types import Recording, SpeechRequest
from tests.support.event_loop import settle
from tests.support.patience import happens
from tests.support.sessions import SPANISH, collect, fed, serving, speak
from tests.support.tone import WORD, ToneEngine

# Each has two segments.
FIRST = "alfa beta gama delta zeta iota kapa. Lambda sigma omega tau fi yota aleph."
SECOND = "uno dos tres cuatro cinco seis. Siete ocho nueve diez once doce."
SENTENCE = 7
"""Words of the first segment."""


def streaming(light: LightVoices | None = None, **how: Any) -> ToneEngine:
    engine = ToneEngine(rests=True, allow=0, **how)
    engine.info = replace(engine.info, sharing=Sharing(by_deadline=True, pausable=True), light=light)
    return engine


@asynccontextmanager
async def two_sessions(
    engine: ToneEngine, service: SpeechService, *texts: str, low_latency: bool = True
) -> AsyncIterator[tuple[SpeechSession, SpeechSession]]:
    """The second is opened when the first has made a step; both are read to their ends after the body."""
    async with fed(service, texts[0], low_latency=low_latency) as first:
        await engine.permit(1)
        async with fed(service, texts[-1]) as second:
            reading = [asyncio.create_task(collect(session)) for session in (first, second)]
            await settle()
            yield first, second
            await engine.permit(None)
            await asyncio.gather(*reading)


async def test_session_keeps_its_slot_from_segment_to_segment(tmp_path: Path) -> None:
    engine = streaming()
    async with serving(engine, tmp_path) as service, two_sessions(engine, service, FIRST, SECOND):
        assert service.state().waiting == 1
    assert engine.words == WORD.findall(FIRST) + WORD.findall(SECOND)


@pytest.mark.parametrize(
    ("max_concurrent", "whole", "in_turn"),
    [(1, False, True), (None, False, False), (None, True, True)],
    ids=["a limit of segments is kept as such", "streams", "a whole answer has no gaps to avoid"],
)
async def test_chosen_slots_and_whole_answers_take_turns_by_segments(
    tmp_path: Path, max_concurrent: int | None, whole: bool, in_turn: bool
) -> None:
    engine = streaming(places=2 if max_concurrent else 1)
    async with serving(engine, tmp_path, max_concurrent=max_concurrent) as service:  # type: ignore[arg-type]
        async with two_sessions(engine, service, FIRST, SECOND, low_latency=not whole):
            pass
    assert (engine.words.index("uno") < engine.words.index("Lambda")) == in_turn


async def test_session_that_waits_for_text_lends_its_slot_and_goes_on_at_once(tmp_path: Path) -> None:
    engine = streaming()
    async with serving(engine, tmp_path) as service:
        both = (service.open(SPANISH, protocol="test") for _ in range(2))
        async with next(both) as writing, next(both) as other:
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
            await happens(lambda: engine.under_way >= 2)
            assert (service.state().slots_in_use, service.state().waiting) == (2, 0)
            await engine.permit(None)
            await asyncio.gather(*reading)
    assert engine.words[: SENTENCE + 1] == [*WORD.findall(FIRST)[:SENTENCE], "uno"]
    assert sorted(engine.words) == sorted(
        [*WORD.findall(FIRST)[:SENTENCE], *WORD.findall(SECOND), "Lambda", "sigma"]
    )


async def test_session_with_enough_for_its_reader_lends_its_slot(tmp_path: Path) -> None:
    engine = streaming()
    async with serving(engine, tmp_path, ahead_s=2.0) as service, fed(service, FIRST) as slow:
        await engine.permit(None)
        await settle()
        made = len(engine.words)
        assert made < SENTENCE and service.state().slots_in_use == 0
        async with fed(service, SECOND) as other:
            await collect(other)
        assert engine.words == WORD.findall(FIRST)[:made] + WORD.findall(SECOND)
        await collect(slow)
    assert engine.words[-1] == WORD.findall(FIRST)[-1]


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


ENGLISH = SpeechRequest(language="en-GB", voice="tone_es")


def engine_with_light(*, always: bool, slots: int = 4, **how: Any) -> ToneEngine:
    return streaming(LightVoices({"tone_es": "es"}, slots, always), **how)


@pytest.mark.parametrize("always", [True, False])
async def test_limit_that_was_chosen_bounds_both_networks_together(tmp_path: Path, always: bool) -> None:
    """Two slots of the engine's and four of its light network, three of them at once."""
    engine = engine_with_light(always=always, places=2)
    english = replace(SPANISH, language="en")
    async with serving(engine, tmp_path, max_concurrent=3) as service, AsyncExitStack() as sessions:
        reading = []
        for request in (english, english, SPANISH, SPANISH):
            session = await sessions.enter_async_context(fed(service, FIRST, request))
            reading.append(asyncio.create_task(collect(session)))
            await happens(lambda: service.state().slots_in_use + service.state().waiting >= len(reading))
        assert (service.state().slots_in_use, service.state().waiting) == (3, 1)
        await engine.permit(None)
        await asyncio.gather(*reading)


async def test_session_keeps_its_network(tmp_path: Path) -> None:
    """Though the slots are free before its second segment."""
    engine = engine_with_light(always=False)
    async with serving(engine, tmp_path) as service:
        async with fed(service, FIRST) as first:
            await engine.permit(1)
            async with fed(service, FIRST) as second:
                await engine.permit(1)
                first.cancel()
                await engine.permit(None)
                await collect(second)
        mine = [segment for segment in engine.segments if segment.session == engine.segments[1].session]
        assert [segment.light for segment in mine] == [True, True]
        await speak(service, FIRST)
        assert not engine.segments[-1].light


@pytest.mark.parametrize(
    ("always", "slots", "limit", "waiting"),
    [(True, 1, None, 1), (True, 2, None, 0), (False, 4, None, 0), (False, 4, 1, 1)],
)
async def test_light_network_speaks_always_or_while_no_slot_is_free_unless_fewer_were_chosen(
    tmp_path: Path, always: bool, slots: int, limit: int | None, waiting: int
) -> None:
    engine = engine_with_light(always=always, slots=slots, places=2 if limit else 1)
    async with serving(engine, tmp_path, max_concurrent=limit) as service:  # type: ignore[arg-type]
        async with two_sessions(engine, service, FIRST) as (first, second):
            assert (service.state().slots_in_use, service.state().waiting) == (2 - waiting, waiting)
            assert waiting or (first.resolved_voice.light, second.resolved_voice.light) == (always, True)
    lights = [segment.light for segment in engine.segments if segment.text.startswith("alfa")]
    assert lights == [always, limit is None]
    assert limit is None or not any(segment.light for segment in engine.segments)


async def test_other_language_and_imitations_are_not_light(tmp_path: Path) -> None:
    engine = engine_with_light(always=True, clones=True)
    engine.allow = None
    recording = Recording(np.ones(24_000, np.float32), 24_000)
    async with serving(engine, tmp_path) as service:
        await speak(service, FIRST, ENGLISH)
        await speak(service, FIRST, replace(SPANISH, reference=recording))
    assert engine.segments and not any(segment.light for segment in engine.segments)
