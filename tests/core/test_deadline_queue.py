"""The queue by deadline: its order, and that no place is lost or doubled however waits are cancelled."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kani.core.scheduling.deadline_queue import DeadlineQueue, SharedLimit
from tests.support.event_loop import settle


class Stream:
    """Waits for a place, appends itself to ``log`` when it has it, and keeps it until ``ended`` is set."""

    def __init__(self, queue: DeadlineQueue, due: float, log: list[Stream]) -> None:
        self.due = due
        self.has_place = False
        self.ended = asyncio.Event()
        self._queue, self._log = queue, log
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        await self._queue.acquire(self.due)
        self.has_place = True
        self._log.append(self)
        try:
            await self.ended.wait()
        finally:
            self.has_place = False
            self._queue.release()

    async def leave(self) -> None:
        assert self.has_place
        self.ended.set()
        await self.task
        await settle()

    async def cancel(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])
        await settle()


async def streams(queue: DeadlineQueue, dues: list[float], log: list[Stream]) -> list[Stream]:
    made = []
    for due in dues:
        made.append(Stream(queue, due, log))
        await settle()
    return made


async def test_equal_deadlines_are_served_in_order() -> None:
    log: list[Stream] = []
    made = await streams(DeadlineQueue(lambda: 1), [1.0] * 6, log)
    for stream in made:
        await stream.leave()
    assert log == made


async def test_cancelled_wait_is_skipped() -> None:
    log: list[Stream] = []
    holder, first, second = await streams(DeadlineQueue(lambda: 1), [0.0, 1.0, 2.0], log)
    await first.cancel()
    await holder.leave()
    assert log == [holder, second]
    await second.leave()


@pytest.mark.parametrize("others", [0, 1])
async def test_place_granted_to_cancelled_wait_is_passed_on(others: int) -> None:
    log: list[Stream] = []
    queue = DeadlineQueue(lambda: 1)
    holder, waiting, *rest = await streams(queue, [0.0, *[1.0] * (1 + others)], log)
    holder.ended.set()
    # The holder's task gives the place back when it runs next; ours runs right after it, before the waiter.
    await asyncio.sleep(0)
    while not holder.task.done():
        await asyncio.sleep(0)
    waiting.task.cancel()
    await asyncio.wait([waiting.task])
    await settle()
    assert log == [holder, *rest]
    for stream in rest:
        await stream.leave()
    (last,) = await streams(queue, [0.0], log)
    assert last.has_place
    await last.leave()


async def test_queues_share_places_and_the_earliest_of_all_goes_first() -> None:
    shared, log = SharedLimit(3), list[Stream]()
    one, other = (DeadlineQueue(lambda: 2, shared) for _ in range(2))
    first, second, own = await streams(one, [0.0, 0.0, 1.0], log)
    third, late = await streams(other, [0.0, 4.0], log)
    early = (await streams(one, [3.0], log))[0]
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


@settings(deadline=None)
@given(st.integers(1, 3), ACTIONS)
def test_places_are_neither_lost_nor_doubled(at_once: int, actions: list[tuple[str, int]]) -> None:
    async def check() -> None:
        queue, log = DeadlineQueue(lambda: at_once), list[Stream]()
        alive: list[Stream] = []
        for action, number in actions:
            computing = [stream for stream in alive if stream.has_place]
            waiting = [stream for stream in alive if not stream.has_place]
            if action == "ask":
                alive += await streams(queue, [float(number)], log)
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
