"""The deadline scheduler, its idle time and the playback estimate."""

import asyncio
import math
import time
from types import SimpleNamespace

import pytest

from kani.core.audio.playback import Playback
from kani.engines.kokoro.scheduler import FIRST_SOUND_S, DeadlineScheduler, SegmentDeadline, Stream
from tests.support.event_loop import Holder, holders, settle
from tests.support.patience import WITHIN_S


async def step_of(speech: Stream, due: float) -> None:
    async with speech.slot(due):
        pass


async def test_earliest_deadline_goes_next_and_a_failed_step_releases_its_slot() -> None:
    log: list[Holder] = []
    made = await holders(DeadlineScheduler(2).slot, [9.0, 8.0, 7.0, float("-inf"), 5.0, 6.0], log)
    assert log == made[:2]
    await made[1].leave()
    await made[0].cancel()
    assert log[2:] == [made[3], made[4]]
    for stream in (made[3], made[4], made[5], made[2]):
        await stream.leave()
    assert log[4:] == [made[5], made[2]]
    scheduler = DeadlineScheduler(1)
    with pytest.raises(ValueError, match="broken"):
        async with scheduler.slot(0.0):
            raise ValueError("broken")
    (last,) = await holders(scheduler.slot, [0.0], log)
    assert last.has_place
    await last.leave()


async def test_stream_keeps_its_place_before_steps_that_are_due_later() -> None:
    scheduler = DeadlineScheduler(1)
    log: list[Holder] = []
    with scheduler.stream() as speech:
        async with speech.slot(1.0):
            later, soon = await holders(scheduler.slot, [9.0, 4.0], log)
        await settle()
        assert not log
        async with speech.slot(3.0):
            await settle()
            assert not log
        async with asyncio.TaskGroup() as group:
            group.create_task(step_of(speech, 5.0))
            await settle()
            assert log == [soon]
            await soon.leave()
            assert log == [soon]
    await settle()
    assert log == [soon, later]
    await later.leave()
    assert not scheduler.steps


async def test_stream_that_asks_for_no_step_loses_its_place() -> None:
    """Also where its step is cancelled while it waits."""
    scheduler = DeadlineScheduler(1)
    log: list[Holder] = []
    with scheduler.stream() as speech:
        await step_of(speech, 0.0)
        (other,) = await holders(scheduler.slot, [1.0], log)
        assert not other.has_place
        await other.began.wait()
        waiting = asyncio.create_task(step_of(speech, 0.0))
        await settle()
        waiting.cancel()
        await asyncio.wait([waiting])
        assert scheduler.steps == 1
        await other.leave()
        assert not scheduler.steps
        await scheduler.idle.wait(0.0, WITHIN_S)
        await step_of(speech, 0.0)
        assert scheduler.steps == 1
    assert not scheduler.steps


def test_playback_adds_up_and_makes_a_segment_due(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    playback = Playback(lambda: now[0])
    playback.add(0.0)
    assert playback.ends_at == playback.remaining_s == float("-inf")
    playback.add(0.5)
    playback.add(0.5)
    assert (playback.ends_at, playback.remaining_s) == (101.0, 1.0)
    now[0] = 103.0
    assert playback.remaining_s == -2.0
    playback.add(0.25)
    assert playback.ends_at == 103.25
    begun = time.monotonic()
    monkeypatch.setattr("kani.engines.kokoro.scheduler.time", SimpleNamespace(monotonic=lambda: begun))
    monkeypatch.setattr("kani.engines.kokoro.scheduler.Playback", lambda: Playback(lambda: begun))
    first, next_one, whole = SegmentDeadline(), SegmentDeadline(3.0), SegmentDeadline(math.inf)
    assert first.due == whole.due == begun + FIRST_SOUND_S
    first.add(0.25)
    assert (first.due, next_one.due) == (begun + 0.25, begun + 3.0)
    next_one.add(1.0)
    assert next_one.due == begun + 4.0


async def test_idle_wait_ends_and_times_out() -> None:
    scheduler = DeadlineScheduler(1)
    await scheduler.idle.wait(1.0, WITHIN_S)
    log: list[Holder] = []
    streams = await holders(scheduler.slot, [0.0, 1.0], log)
    await scheduler.idle.wait(0.0, 0.0)
    waiting = asyncio.create_task(scheduler.idle.wait(0.0, WITHIN_S))
    for stream in streams:
        await settle()
        assert not waiting.done()
        await stream.leave()
    await asyncio.wait_for(waiting, WITHIN_S)
