"""Admission of sessions, slots, and the queues before them: no place is lost or doubled."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kani.core.session.admission import RateLimit
from kani.core.session.slots import MARGIN_S, DeadlineQueue, SharedLimit, Slot, SlotQueue
from tests.support.event_loop import Holder, Place, holders, settle, virtual_time


async def in_turn(slots: SlotQueue, count: int, log: list[Any]) -> list[Holder]:
    """Ask for ``count`` slots, one after another."""
    return await holders(lambda _: Slot(slots), [0.0] * count, log)


async def test_capacity_changes_at_next_acquire_or_release() -> None:
    count, log = 1, list[Holder]()
    slots = SlotQueue(lambda: count)
    a, b, c = await in_turn(slots, 3, log)
    assert log == [a] and not slots.has_free_place
    count = 3
    (d,) = await in_turn(slots, 1, log)
    assert log == [a, b, c] and slots.in_use == 3 and len(slots.waits) == 1
    count = 1
    await a.leave()
    await b.leave()
    assert log == [a, b, c] and slots.in_use == 1
    await c.leave()
    assert log == [a, b, c, d]
    await d.leave()
    assert slots.in_use == 0 and slots.has_free_place


@pytest.mark.parametrize("handed_over", [False, True])
@pytest.mark.parametrize("later", [1, 2, 3])
async def test_cancelled_wait_applies_changed_capacity(later: int, handed_over: bool) -> None:
    count, log = 2, list[Holder]()
    slots = SlotQueue(lambda: count)
    a, b, c, d, e = await in_turn(slots, 5, log)
    count = later
    if handed_over:
        a.ended.set()
        await asyncio.sleep(0)
    await c.cancel()
    # Nobody who holds a slot has it taken away.
    held = max(later, 2 - handed_over)
    assert slots.in_use == held and log == [a, b, d, e][: held + handed_over]
    for each in (a, b, d, e):
        each.ended.set()
        await each.task
    assert log == [a, b, d, e] and slots.in_use == 0 and len(slots.waits) == 0


@pytest.mark.parametrize(
    ("sessions", "expected"),
    [
        (
            # Name, when it asks, how much is left to play, how long it takes.
            [
                ("first", 0.0, 0.0, 20.0),
                ("a minute ahead", 1.0, 60.0, 0.0),
                ("four seconds ahead", 2.0, 4.0, 0.0),
                ("new", 3.0, 0.0, 0.0),
                ("another that is new", 4.0, -math.inf, 0.0),
                # A session that is far ahead has asked ten seconds after it did, and no later.
                ("late", 12.0, 0.0, 0.0),
            ],
            ["first", "new", "another that is new", "four seconds ahead", "a minute ahead", "late"],
        ),
        (
            [
                ("first", 0.0, 0.0, 1.0),
                ("asked earlier", 0.1, 0.0, 1.0),
                ("nearly out", 0.2, MARGIN_S, 1.0),
                ("two seconds ahead", 0.3, MARGIN_S + 1.0, 1.0),
                *((f"new {at_s}", at_s, 0.0, 1.0) for at_s in (0.4, 1.0, 1.5)),
            ],
            ["first", "asked earlier", "nearly out", "new 0.4", "new 1.0", "two seconds ahead", "new 1.5"],
        ),
    ],
    ids=["far ahead lets others go first", "asks before its audio ends"],
)
async def test_session_asks_by_what_is_left_to_play(
    sessions: list[tuple[str, float, float, float]], expected: list[str]
) -> None:
    slots = SlotQueue(lambda: 1)
    order: list[str] = []

    async def speak(name: str, at_s: float, lead_s: float, takes_s: float) -> None:
        await asyncio.sleep(at_s)
        async with Slot(slots, None, lambda: lead_s):
            order.append(name)
            await asyncio.sleep(takes_s)

    with virtual_time():
        await asyncio.gather(*(speak(*session) for session in sessions))
    assert order == expected


async def test_suspended_slot_is_lent_and_queued_for_again() -> None:
    slots, log, back = SlotQueue(lambda: 1), list[Any](), asyncio.Event()

    async def lend() -> None:
        async with Slot(slots) as slot:
            async with slot.suspended():
                assert slots.in_use == 0
                with pytest.raises(RuntimeError):
                    async with slot.suspended():
                        pass
                await back.wait()
            assert slots.in_use == 1
            log.append("rested")

    resting = asyncio.create_task(lend())
    await settle()
    a, b = await in_turn(slots, 2, log)
    back.set()
    await settle()
    assert log == [a] and len(slots.waits) == 2
    await a.leave()
    await b.leave()
    await resting
    assert log == [a, b, "rested"]
    assert slots.in_use == 0 and slots.has_free_place


@pytest.mark.parametrize("moment", ["resting", "waiting", "handed over", "back"])
async def test_cancelled_suspension_loses_no_slot(moment: str) -> None:
    slots = SlotQueue(lambda: 1)
    back, done = asyncio.Event(), asyncio.Event()

    async def lend() -> None:
        async with Slot(slots) as slot:
            async with slot.suspended():
                await back.wait()
            await done.wait()

    task = asyncio.create_task(lend())
    await settle()
    (other,) = await in_turn(slots, 1, [])
    if moment != "resting":
        back.set()
        await settle()
        assert len(slots.waits) == 1
    if moment == "handed over":
        other.ended.set()
        await asyncio.sleep(0)
        assert len(slots.waits) == 0 and slots.in_use == 0
    if moment == "back":
        await other.leave()
        assert slots.in_use == 1
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    other.ended.set()
    await other.task
    assert slots.in_use == 0 and len(slots.waits) == 0
    async with Slot(slots):
        assert slots.in_use == 1 and not slots.has_free_place


def test_rate_limit_allows_burst_of_one_minute_and_forgets_least_recent_clients() -> None:
    now = 0.0
    rate = RateLimit(60, clock=lambda: now)
    assert [rate.allow("a") for _ in range(61)] == [True] * 60 + [False]
    assert rate.allow("b")
    now = 1.0
    assert rate.allow("a") and not rate.allow("a")
    now = 3600.0
    assert [rate.allow("a") for _ in range(61)] == [True] * 60 + [False]
    rate = RateLimit(1, clients=100, clock=lambda: 0.0)
    assert all(rate.allow(str(client)) for client in range(1000))
    assert rate.allow("0") and not rate.allow("999")


def place_in(queue: DeadlineQueue) -> Place:
    @asynccontextmanager
    async def place(due: float) -> AsyncIterator[None]:
        await queue.acquire(due)
        try:
            yield
        finally:
            queue.release()

    return place


async def test_queues_share_places_and_the_earliest_of_all_goes_first() -> None:
    shared, log = SharedLimit(3), list[Holder]()
    one, other = (DeadlineQueue(lambda: 2, shared) for _ in range(2))
    first, second, own = await holders(place_in(one), [0.0, 0.0, 1.0], log)
    third, late = await holders(place_in(other), [0.0, 4.0], log)
    early = (await holders(place_in(one), [3.0], log))[0]
    assert log == [first, second, third] and not other.has_free_place
    # The place goes to the other queue's wait only when no earlier one may have it.
    for leaves, enters in ((third, late), (first, own), (own, early)):
        await leaves.leave()
        assert log[-1] is enters
    for stream in (second, late, early):
        await stream.leave()
    assert one.has_free_place and other.has_free_place


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(0, 3)),
        st.tuples(st.sampled_from(["leave", "cancel", "cancel at once"]), st.integers(0, 5)),
    ),
    max_size=40,
)


@given(st.integers(1, 3), ACTIONS)
def test_places_are_neither_lost_nor_doubled(at_once: int, actions: list[tuple[str, int]]) -> None:
    async def check() -> None:
        queue, log = DeadlineQueue(lambda: at_once), list[Holder]()
        alive: list[Holder] = []
        for action, number in actions:
            computing = [stream for stream in alive if stream.has_place]
            waiting = [stream for stream in alive if not stream.has_place]
            if action == "ask":
                alive += await holders(place_in(queue), [float(number)], log)
            elif action == "leave" and computing:
                await computing[number % len(computing)].leave()
            elif action != "leave" and alive:
                if action == "cancel at once" and computing:
                    computing[0].ended.set()
                    for _ in range(number):
                        await asyncio.sleep(0)
                await alive[number % len(alive)].cancel()
            alive = [stream for stream in alive if not stream.task.done()]
            assert sum(stream.has_place for stream in alive) == min(at_once, len(alive))
            waiting = [stream for stream in waiting if stream in alive]
            admitted = [stream for stream in waiting if stream.has_place]
            by_due = sorted(waiting, key=lambda stream: stream.due)
            assert set(admitted) == set(by_due[: len(admitted)])
        for stream in alive:
            stream.ended.set()
        await asyncio.gather(*(stream.task for stream in alive))

    asyncio.run(check())
