"""Places, the queue before them, and who is refused."""

from __future__ import annotations

import asyncio

import pytest

from speech.errors import Busy
from speech.observer import Observer
from speech.request import Limits
from speech.session.admission import Admission, RateLimit, SlotQueue


def admission(**limits: int) -> Admission:
    """An admission for one engine with one place."""
    made = Admission(Limits(**limits), Observer())
    made.add_engine("tone", lambda: 1)
    return made


async def turn_of(places: SlotQueue, name: str, order: list[str], release: asyncio.Event) -> None:
    """Take a place, note it, and hold it until ``release``."""
    async with places.slot():
        order.append(name)
        await release.wait()


async def settled() -> None:
    """Let every task run as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_places_are_given_in_the_order_of_asking() -> None:
    """Whoever waits longest is next, and no more than the places are ever taken."""
    places = SlotQueue(lambda: 2, lambda: None)
    order: list[str] = []
    doors = {name: asyncio.Event() for name in "abcd"}
    tasks = [asyncio.create_task(turn_of(places, name, order, doors[name])) for name in "abcd"]
    await settled()
    assert order == ["a", "b"] and places.in_use == 2 and places.waiting == 2
    doors["b"].set()
    await settled()
    assert order == ["a", "b", "c"] and places.in_use == 2
    for door in doors.values():
        door.set()
    await asyncio.gather(*tasks)
    assert places.in_use == 0 and places.waiting == 0


async def test_there_may_be_more_places_later_and_fewer() -> None:
    """What has been added is given with the next that come; what was taken away, when it comes back."""
    count = 1
    places = SlotQueue(lambda: count, lambda: None)
    order: list[str] = []
    doors = {name: asyncio.Event() for name in "abcd"}
    tasks = [asyncio.create_task(turn_of(places, name, order, doors[name])) for name in "abc"]
    await settled()
    assert order == ["a"] and not places.has_free_slot
    count = 3
    tasks.append(asyncio.create_task(turn_of(places, "d", order, doors["d"])))
    await settled()
    assert order == ["a", "b", "c"] and places.in_use == 3 and places.waiting == 1
    count = 1
    for name in "ab":
        doors[name].set()
    await settled()
    assert order == ["a", "b", "c"] and places.in_use == 1
    doors["c"].set()
    await settled()
    assert order == ["a", "b", "c", "d"]
    doors["d"].set()
    await asyncio.gather(*tasks)
    assert places.in_use == 0 and places.has_free_slot


@pytest.mark.parametrize("handed_over", [False, True])
@pytest.mark.parametrize("later", [1, 2, 3])
async def test_a_cancelled_wait_gives_what_there_is_by_then(later: int, handed_over: bool) -> None:
    """As many hold a place as there are when a wait is cancelled, even as the place is handed over."""
    count = 2
    places = SlotQueue(lambda: count, lambda: None)
    order: list[str] = []
    doors = {name: asyncio.Event() for name in "abcde"}
    tasks = {name: asyncio.create_task(turn_of(places, name, order, door)) for name, door in doors.items()}
    await settled()
    count = later
    if handed_over:
        doors["a"].set()
        await asyncio.sleep(0)
    tasks["c"].cancel()
    await asyncio.wait([tasks["c"]])
    await settled()
    # Nobody who holds a place has it taken away.
    held = max(later, 2 - handed_over)
    assert places.in_use == held and order == list("abde"[: held + handed_over])
    for door in doors.values():
        door.set()
    await asyncio.gather(tasks["a"], tasks["b"], tasks["d"], tasks["e"])
    assert order == ["a", "b", "d", "e"] and places.in_use == 0 and places.waiting == 0


async def test_a_long_text_takes_turns() -> None:
    """Asking for a place for each segment lets others in between."""
    places = SlotQueue(lambda: 1, lambda: None)
    order: list[str] = []

    async def speak(name: str, segments: int) -> None:
        for _ in range(segments):
            async with places.slot():
                order.append(name)
                await asyncio.sleep(0)

    await asyncio.gather(speak("long", 4), speak("short", 1), speak("other", 1))
    assert order == ["long", "short", "other", "long", "long", "long"]


@pytest.mark.parametrize("handed_over", [False, True])
async def test_a_cancelled_wait_loses_no_place(handed_over: bool) -> None:
    """Cancelling while waiting, even as the place is handed over, leaves it for the next."""
    places = SlotQueue(lambda: 1, lambda: None)
    order: list[str] = []
    doors = {name: asyncio.Event() for name in "abc"}
    _, second, third = [asyncio.create_task(turn_of(places, name, order, doors[name])) for name in "abc"]
    await settled()
    if handed_over:
        doors["a"].set()
        await asyncio.sleep(0)
        assert places.waiting == 1
    second.cancel()
    doors["a"].set()
    await asyncio.wait([second])
    await settled()
    assert order == ["a", "c"] and places.in_use == 1 and places.waiting == 0
    doors["c"].set()
    await third
    assert places.in_use == 0
    async with places.slot():
        assert places.in_use == 1


async def test_a_resting_place_belongs_to_others_and_comes_back_in_turn() -> None:
    """Who rests holds nothing; who comes back waits for those that came first."""
    places = SlotQueue(lambda: 1, lambda: None)
    order: list[str] = []
    doors = {name: asyncio.Event() for name in "ab"}
    back = asyncio.Event()

    async def rest() -> None:
        async with places.slot() as place:
            async with place.suspended():
                assert places.in_use == 0
                with pytest.raises(RuntimeError):
                    async with place.suspended():
                        pass
                await back.wait()
            assert places.in_use == 1
            order.append("rested")

    resting = asyncio.create_task(rest())
    await settled()
    others = [asyncio.create_task(turn_of(places, name, order, doors[name])) for name in "ab"]
    await settled()
    back.set()
    await settled()
    assert order == ["a"] and places.waiting == 2
    for door in doors.values():
        door.set()
    await asyncio.gather(resting, *others)
    assert order == ["a", "b", "rested"]
    assert places.in_use == 0 and places.has_free_slot


@pytest.mark.parametrize("moment", ["resting", "waiting", "handed over", "back"])
async def test_a_cancel_around_a_rest_loses_no_place(moment: str) -> None:
    """Whenever it lands, the place is given back once."""
    places = SlotQueue(lambda: 1, lambda: None)
    back, done, other_done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def rest() -> None:
        async with places.slot() as place:
            async with place.suspended():
                await back.wait()
            await done.wait()

    task = asyncio.create_task(rest())
    await settled()
    other = asyncio.create_task(turn_of(places, "other", [], other_done))
    await settled()
    if moment != "resting":
        back.set()
        await settled()
        assert places.waiting == 1
    if moment == "handed over":
        other_done.set()
        await asyncio.sleep(0)
        assert places.waiting == 0 and places.in_use == 0
    if moment == "back":
        other_done.set()
        await settled()
        assert places.in_use == 1
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    other_done.set()
    await other
    assert places.in_use == 0 and places.waiting == 0
    async with places.slot():
        assert places.in_use == 1 and not places.has_free_slot


async def test_sessions_are_bounded() -> None:
    """One session too many is refused, and let in once another has left."""
    door = admission(max_sessions=2)
    door.admit("kani", "")
    door.admit("kani", "")
    with pytest.raises(Busy, match="at most 2"):
        door.admit("kani", "")
    door.release("kani")
    door.admit("kani", "")
    assert door.sessions == 2


async def test_the_queue_is_bounded() -> None:
    """A session that would speak its first segment is refused when too many wait."""
    door = admission(max_waiting=1)
    release = asyncio.Event()
    order: list[str] = []
    tasks = [asyncio.create_task(turn_of(door.slots("tone"), name, order, release)) for name in "ab"]
    await settled()
    with pytest.raises(Busy, match="waiting"):
        door.check_queue("kani", "tone")
    release.set()
    await asyncio.gather(*tasks)
    door.check_queue("kani", "tone")


async def test_no_queue_at_all_still_lets_in_who_need_not_wait() -> None:
    """With a queue of nobody, a free place is given and a taken one refused."""
    door = admission(max_waiting=0)
    door.check_queue("kani", "tone")
    async with door.slots("tone").slot():
        with pytest.raises(Busy):
            door.check_queue("kani", "tone")
    door.check_queue("kani", "tone")


def test_the_rate_is_a_minutes_worth_at_once_and_then_steady() -> None:
    """A client may use its minute's worth at once and then waits for each further one."""
    now = 0.0
    rate = RateLimit(60, clock=lambda: now)
    assert [rate.allow("a") for _ in range(61)] == [True] * 60 + [False]
    assert rate.allow("b")
    now = 1.0
    assert rate.allow("a") and not rate.allow("a")


def test_the_rate_limit_remembers_a_bounded_number_of_clients() -> None:
    """Clients that were not seen for longest are forgotten."""
    rate = RateLimit(1, clients=100, clock=lambda: 0.0)
    assert all(rate.allow(str(client)) for client in range(1000))
    assert rate.allow("0") and not rate.allow("999")


def test_no_rate_limit_unless_set() -> None:
    """Zero a minute is no limit."""
    rate = RateLimit(0)
    assert all(rate.allow("a") for _ in range(10_000))
