"""Who computes next."""

from __future__ import annotations

import asyncio
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.kokoro.scheduler import DeadlineScheduler, IdleMonitor
from speech.playback import Playback


class Stream:
    """One that asks for a turn, says so in ``log`` when it has it, and computes until told to end."""

    def __init__(self, turns: DeadlineScheduler, due: float, log: list[Stream]) -> None:
        self.due = due
        self.has_turn = False
        self.ended = asyncio.Event()
        self._scheduler, self._log = turns, log
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async with self._scheduler.slot(self.due):
            self.has_turn = True
            self._log.append(self)
            try:
                await self.ended.wait()
            finally:
                self.has_turn = False

    async def leave(self) -> None:
        assert self.has_turn
        self.ended.set()
        await self.task
        await settle()

    async def cancel(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])
        await settle()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def streams(turns: DeadlineScheduler, dues: list[float], log: list[Stream]) -> list[Stream]:
    made = []
    for due in dues:
        made.append(Stream(turns, due, log))
        await settle()
    return made


async def test_who_is_due_first_is_next() -> None:
    log: list[Stream] = []
    made = await streams(DeadlineScheduler(2), [9.0, 8.0, 7.0, float("-inf"), 5.0, 6.0], log)
    assert log == made[:2]
    await made[1].leave()
    await made[0].leave()
    assert log[2:] == [made[3], made[4]]
    for stream in (made[3], made[4], made[5], made[2]):
        await stream.leave()
    assert log[4:] == [made[5], made[2]]


async def test_who_is_equally_due_is_next_in_order_of_asking() -> None:
    log: list[Stream] = []
    made = await streams(DeadlineScheduler(1), [1.0] * 6, log)
    for stream in made:
        await stream.leave()
    assert log == made


async def test_a_cancelled_waiter_is_passed_over() -> None:
    log: list[Stream] = []
    holder, first, second = await streams(DeadlineScheduler(1), [0.0, 1.0, 2.0], log)
    await first.cancel()
    await holder.leave()
    assert log == [holder, second]
    await second.leave()


@pytest.mark.parametrize("others", [0, 1])
async def test_a_turn_handed_to_one_that_is_just_cancelled_is_handed_on(others: int) -> None:
    log: list[Stream] = []
    turns = DeadlineScheduler(1)
    holder, waiting, *rest = await streams(turns, [0.0, *[1.0] * (1 + others)], log)
    holder.ended.set()
    # The holder's task hands the turn over when it runs next; ours runs right behind it, before the waiter.
    await asyncio.sleep(0)
    while not holder.task.done():
        await asyncio.sleep(0)
    waiting.task.cancel()
    await asyncio.wait([waiting.task])
    await settle()
    assert log == [holder, *rest]
    for stream in rest:
        await stream.leave()
    (last,) = await streams(turns, [0.0], log)
    assert last.has_turn
    await last.leave()


async def test_a_step_that_fails_or_is_cancelled_gives_its_turn_back() -> None:
    turns = DeadlineScheduler(1)
    with pytest.raises(ValueError, match="broken"):
        async with turns.slot(0.0):
            raise ValueError("broken")
    log: list[Stream] = []
    (holder,) = await streams(turns, [0.0], log)
    await holder.cancel()
    (last,) = await streams(turns, [0.0], log)
    assert last.has_turn
    await last.leave()


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(0, 3)),
        st.tuples(st.sampled_from(["leave", "cancel", "cancel at once"]), st.integers(0, 5)),
    ),
    max_size=40,
)


@settings(deadline=None)
@given(st.integers(1, 3), ACTIONS)
def test_whatever_happens_turns_are_neither_lost_nor_doubled(
    at_once: int, actions: list[tuple[str, int]]
) -> None:
    async def check() -> None:
        turns, log = DeadlineScheduler(at_once), list[Stream]()
        alive: list[Stream] = []
        for action, number in actions:
            computing = [stream for stream in alive if stream.has_turn]
            waiting = [stream for stream in alive if not stream.has_turn]
            if action == "ask":
                alive += await streams(turns, [float(number)], log)
            elif action == "leave" and computing:
                await computing[number % len(computing)].leave()
            elif action != "leave" and alive:
                if action == "cancel at once" and computing:
                    computing[0].ended.set()
                    for _ in range(number):
                        await asyncio.sleep(0)
                await alive[number % len(alive)].cancel()
            alive = [stream for stream in alive if not stream.task.done()]
            assert sum(stream.has_turn for stream in alive) == min(at_once, len(alive))
            waiting = [stream for stream in waiting if stream in alive]
            admitted = [stream for stream in waiting if stream.has_turn]
            by_due = sorted(waiting, key=lambda stream: stream.due)
            assert set(admitted) == set(by_due[: len(admitted)])
        for stream in alive:
            stream.ended.set()
        await asyncio.gather(*(stream.task for stream in alive))

    asyncio.run(check())


class Clock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_before_the_first_sound_playback_is_overdue(clock: Clock) -> None:
    playback = Playback(clock)
    playback.add(0.0)
    assert playback.ends_at == playback.remaining_s == float("-inf")


def test_audio_is_played_as_it_comes_one_piece_after_the_other(clock: Clock) -> None:
    playback = Playback(clock)
    playback.add(0.5)
    playback.add(0.5)
    assert (playback.ends_at, playback.remaining_s) == (101.0, 1.0)
    clock.now = 103.0
    assert playback.remaining_s == -2.0
    playback.add(0.25)
    assert playback.ends_at == 103.25


WITHIN_S = 300.0


async def test_what_is_in_nobodys_way_waits_until_nothing_is_computed() -> None:
    turns = DeadlineScheduler(1)
    turns.idle.wait(1.0, WITHIN_S)
    log: list[Stream] = []
    streams = [Stream(turns, float(number), log) for number in range(2)]
    await settle()
    waiting = threading.Thread(target=turns.idle.wait, args=(0.0, WITHIN_S))
    waiting.start()
    for stream in streams:
        assert waiting.is_alive()
        await stream.leave()
    await asyncio.to_thread(waiting.join, WITHIN_S)
    assert not waiting.is_alive()


def test_it_waits_so_long_and_no_longer_and_not_at_all_once_given_up() -> None:
    idle = IdleMonitor()
    idle.mark_busy()
    idle.wait(0.0, 0.0)
    idle.wait(0.0, -1.0)
    waiting = threading.Thread(target=idle.wait, args=(0.0, WITHIN_S))
    waiting.start()
    idle.release_waiters()
    waiting.join(WITHIN_S)
    assert not waiting.is_alive()
