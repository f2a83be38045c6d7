"""Voices with a light network: which sessions it speaks in, and its slots."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kani.core.engine import LightVoices
from kani.core.types import Recording, SpeechRequest
from tests.support.event_loop import settle
from tests.support.sessions import SPANISH, collect, fed, serving, speak
from tests.support.tone import ToneEngine

TEXT = "alfa beta gama delta zeta iota kapa. Lambda sigma omega tau fi yota aleph."
ENGLISH = SpeechRequest(language="en-GB", voice="tone_es")


def engine_with_light(*, always: bool, slots: int = 4, clones: bool = False) -> ToneEngine:
    engine = ToneEngine(rests=True, clones=clones)
    light = LightVoices({"tone_es": "es"}, slots, always)
    engine.info = replace(engine.info, slots_are_streams=True, light=light)
    return engine


@pytest.mark.parametrize("always", [True, False])
async def test_light_network_speaks_always_or_while_no_slot_is_free(tmp_path: Path, always: bool) -> None:
    engine = engine_with_light(always=always)
    engine.allow = 0
    async with serving(engine, tmp_path) as service, fed(service, TEXT) as first:
        await engine.permit(1)
        async with fed(service, TEXT) as second:
            reading = [asyncio.create_task(collect(session)) for session in (first, second)]
            await engine.permit(1)
            await settle()
            # Nothing waits: the second has a slot of the light network.
            assert (service.state().slots_in_use, service.state().waiting) == (2, 0)
            assert second.resolved_voice.light and first.resolved_voice.light == always
            await engine.permit(None)
            await asyncio.gather(*reading)
    assert [segment.light for segment in engine.segments if segment.text.startswith("alfa")] == [always, True]


async def test_fewer_slots_that_were_chosen_are_all_there_are(tmp_path: Path) -> None:
    engine = engine_with_light(always=False)
    engine.info = replace(engine.info, max_concurrency=2)
    engine.allow = 0
    async with serving(engine, tmp_path, max_concurrent=1) as service, fed(service, TEXT) as first:
        await engine.permit(1)
        async with fed(service, TEXT) as second:
            reading = [asyncio.create_task(collect(session)) for session in (first, second)]
            await settle()
            assert service.state().waiting == 1
            await engine.permit(None)
            await asyncio.gather(*reading)
    assert not any(segment.light for segment in engine.segments)


@pytest.mark.parametrize("always", [True, False])
async def test_limit_that_was_chosen_bounds_both_networks_together(tmp_path: Path, always: bool) -> None:
    """Two slots of the engine's and four of its light network, three of them at once."""
    engine = engine_with_light(always=always)
    engine.info = replace(engine.info, max_concurrency=2)
    engine.allow = 0
    english = replace(SPANISH, language="en")
    async with serving(engine, tmp_path, max_concurrent=3) as service, AsyncExitStack() as sessions:
        reading = []
        for request in (english, english, SPANISH, SPANISH):
            session = await sessions.enter_async_context(fed(service, TEXT, request))
            reading.append(asyncio.create_task(collect(session)))
            while service.state().slots_in_use + service.state().waiting < len(reading):
                await asyncio.sleep(0)
        assert (service.state().slots_in_use, service.state().waiting) == (3, 1)
        await engine.permit(None)
        await asyncio.gather(*reading)


async def test_session_keeps_its_network(tmp_path: Path) -> None:
    """Though the slots are free before its second segment."""
    engine = engine_with_light(always=False)
    engine.allow = 0
    async with serving(engine, tmp_path) as service:
        async with fed(service, TEXT) as first:
            await engine.permit(1)
            async with fed(service, TEXT) as second:
                await engine.permit(1)
                first.cancel()
                await engine.permit(None)
                await collect(second)
        mine = [segment for segment in engine.segments if segment.session == engine.segments[1].session]
        assert [segment.light for segment in mine] == [True, True]
        await speak(service, TEXT)
        assert not engine.segments[-1].light


@pytest.mark.parametrize("slots", [1, 2])
async def test_light_network_has_slots_of_its_own(tmp_path: Path, slots: int) -> None:
    engine = engine_with_light(always=True, slots=slots)
    engine.allow = 0
    async with serving(engine, tmp_path) as service, fed(service, TEXT) as first:
        await engine.permit(1)
        async with fed(service, TEXT) as second:
            reading = [asyncio.create_task(collect(session)) for session in (first, second)]
            await settle()
            assert service.state().waiting == 2 - slots
            await engine.permit(None)
            await asyncio.gather(*reading)


async def test_other_language_and_imitations_are_not_light(tmp_path: Path) -> None:
    engine = engine_with_light(always=True, clones=True)
    recording = Recording(np.ones(24_000, np.float32), 24_000)
    async with serving(engine, tmp_path) as service:
        await speak(service, TEXT, ENGLISH)
        await speak(service, TEXT, replace(SPANISH, reference=recording))
    assert engine.segments and not any(segment.light for segment in engine.segments)
