"""Who listens next, with real threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable

import pytest

from engines.whisper.scheduler import PassScheduler, ScheduledStream

WITHIN_S = 300.0


@pytest.fixture
async def turns() -> AsyncIterator[PassScheduler[str]]:
    """One worker."""
    one: PassScheduler[str] = PassScheduler(1)
    yield one
    await one.stop()


class Streams:
    """Places whose passes note when they begin, and end when they are told to."""

    def __init__(self, turns: PassScheduler[str]) -> None:
        self.turns = turns
        self.begun: list[str] = []
        self.may_end = threading.Event()

    def place(self, name: str) -> ScheduledStream[str]:
        """A place whose passes are called so."""

        def begin() -> Callable[[], str]:
            self.begun.append(name)

            def work() -> str:
                assert self.may_end.wait(WITHIN_S)
                return name

            return work

        return self.turns.add_stream(begin)


async def test_a_pass_is_done_and_its_result_comes_back(turns: PassScheduler[str]) -> None:
    """The plain case."""
    streams = Streams(turns)
    streams.may_end.set()
    assert await streams.place("a").request_pass() == "a"


async def test_the_one_served_longest_ago_is_next(turns: PassScheduler[str]) -> None:
    """Whoever has just been served comes after all who wait, in whatever order they asked."""
    streams = Streams(turns)
    a, b, c = (streams.place(name) for name in "abc")
    streams.may_end.set()
    for place in (c, b, a):
        await place.request_pass()
    streams.begun.clear()
    streams.may_end.clear()
    busy = streams.place("busy").request_pass()
    waiting = [a.request_pass(), b.request_pass(), c.request_pass()]
    streams.may_end.set()
    await asyncio.gather(busy, *waiting)
    assert streams.begun == ["busy", "c", "b", "a"]


async def test_what_is_urgent_comes_first_even_if_it_became_so_while_it_waited(
    turns: PassScheduler[str],
) -> None:
    """The others keep their order."""
    streams = Streams(turns)
    busy, a, b, c = (streams.place(name) for name in ("busy", "a", "b", "c"))
    asked = [busy.request_pass(), a.request_pass(), b.request_pass(), c.request_pass()]
    c.urgent = True
    streams.may_end.set()
    await asyncio.gather(*asked)
    assert streams.begun == ["busy", "c", "a", "b"]


async def test_no_more_are_under_way_than_there_are_workers() -> None:
    """The others wait."""
    turns: PassScheduler[str] = PassScheduler(2)
    streams = Streams(turns)
    asked = [streams.place(name).request_pass() for name in "abcd"]
    assert streams.begun == ["a", "b"]
    streams.may_end.set()
    await asyncio.gather(*asked)
    assert streams.begun == ["a", "b", "c", "d"]
    await turns.stop()


async def test_who_leaves_gives_up_the_turn_at_once(turns: PassScheduler[str]) -> None:
    """Whether it waited or its pass was under way."""
    streams = Streams(turns)
    busy, gone, next_one = (streams.place(name) for name in ("busy", "gone", "next"))
    first, left, last = busy.request_pass(), gone.request_pass(), next_one.request_pass()
    gone.cancel()
    assert left.cancelled()
    # A pass that is under way ends in vain, and its worker is free then.
    busy.cancel()
    assert first.cancelled()
    streams.may_end.set()
    assert await last == "next"
    assert streams.begun == ["busy", "next"]


async def test_a_pass_that_fails_fails_for_its_own_stream_alone(turns: PassScheduler[str]) -> None:
    """The worker goes on."""

    def fail() -> str:
        raise RuntimeError("broken")

    broken: ScheduledStream[str] = turns.add_stream(lambda: fail)
    with pytest.raises(RuntimeError, match="broken"):
        await broken.request_pass()
    streams = Streams(turns)
    streams.may_end.set()
    assert await streams.place("a").request_pass() == "a"
