"""Order of the recognition passes, with real threads."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from functools import partial

import pytest

from kani.runtime.recognition.scheduler import PassScheduler, ScheduledStream
from tests.support.patience import WITHIN_S


@pytest.fixture
async def scheduler() -> AsyncIterator[PassScheduler[str]]:
    one_worker: PassScheduler[str] = PassScheduler(1)
    yield one_worker
    await one_worker.stop()


class Streams:
    """Streams and recordings with passes that note that they begin, and end once ``may_end`` is set."""

    def __init__(self, scheduler: PassScheduler[str]) -> None:
        self.scheduler = scheduler
        self.begun: list[str] = []
        self.may_end = threading.Event()

    def add(self, name: str) -> ScheduledStream[str]:
        def begin() -> Callable[[], str]:
            self.begun.append(name)
            return partial(self._end, name)

        return self.scheduler.add_stream(begin)

    def record(self, name: str) -> asyncio.Future[str]:
        """The result of a pass over a recording."""

        def work() -> str:
            self.begun.append(name)
            return self._end(name)

        return self.scheduler.run_in_background(work).result

    def _end(self, name: str) -> str:
        assert self.may_end.wait(WITHIN_S)
        return name


async def test_stream_served_longest_ago_is_next(scheduler: PassScheduler[str]) -> None:
    streams = Streams(scheduler)
    a, b, c = (streams.add(name) for name in "abc")
    streams.may_end.set()
    for stream, name in ((c, "c"), (b, "b"), (a, "a")):
        assert await stream.request_pass() == name
    streams.begun.clear()
    streams.may_end.clear()
    requested = [streams.add("busy").request_pass(), *(stream.request_pass() for stream in (a, b, c))]
    streams.may_end.set()
    await asyncio.gather(*requested)
    assert streams.begun == ["busy", "c", "b", "a"]


async def test_waiting_pass_that_becomes_urgent_is_next(scheduler: PassScheduler[str]) -> None:
    streams = Streams(scheduler)
    busy, a, b, c = (streams.add(name) for name in ("busy", "a", "b", "c"))
    requested = [stream.request_pass() for stream in (busy, a, b, c)]
    c.urgent = True
    streams.may_end.set()
    await asyncio.gather(*requested)
    assert streams.begun == ["busy", "c", "a", "b"]


async def test_workers_limit_running_passes() -> None:
    scheduler: PassScheduler[str] = PassScheduler(2)
    streams = Streams(scheduler)
    requested = [streams.add(name).request_pass() for name in "abcd"]
    assert streams.begun == ["a", "b"]
    streams.may_end.set()
    await asyncio.gather(*requested)
    assert streams.begun == ["a", "b", "c", "d"]
    await scheduler.stop()


async def test_cancelled_pass_frees_its_turn(scheduler: PassScheduler[str]) -> None:
    """A waiting pass is never begun; a running one ends in vain, and its worker is free then."""
    streams = Streams(scheduler)
    running, waiting, last = (streams.add(name) for name in ("running", "waiting", "last"))
    first, left, result = running.request_pass(), waiting.request_pass(), last.request_pass()
    waiting.cancel()
    running.cancel()
    assert left.cancelled() and first.cancelled()
    streams.may_end.set()
    assert await result == "last"
    assert streams.begun == ["running", "last"]


async def test_failed_pass_fails_its_own_stream_only(scheduler: PassScheduler[str]) -> None:
    def fail() -> str:
        raise RuntimeError("broken")

    broken: ScheduledStream[str] = scheduler.add_stream(lambda: fail)
    with pytest.raises(RuntimeError, match="broken"):
        await broken.request_pass()
    streams = Streams(scheduler)
    streams.may_end.set()
    assert await streams.add("a").request_pass() == "a"


async def test_recordings_wait_for_streams(scheduler: PassScheduler[str]) -> None:
    streams = Streams(scheduler)
    busy, a = streams.add("busy"), streams.add("a")
    requested = [
        busy.request_pass(),
        streams.record("first"),
        streams.record("second"),
    ]
    requested.append(a.request_pass())
    streams.may_end.set()
    await asyncio.gather(*requested)
    assert streams.begun == ["busy", "a", "first", "second"]


async def test_open_stream_keeps_one_worker_free() -> None:
    scheduler: PassScheduler[str] = PassScheduler(2)
    streams = Streams(scheduler)
    live = streams.add("live")
    requested = [streams.record(name) for name in ("first", "second")]
    requested.append(live.request_pass())
    assert await asyncio.to_thread(_until, lambda: sorted(streams.begun) == ["first", "live"])
    streams.may_end.set()
    await asyncio.gather(*requested)
    live.close()
    streams.may_end.clear()
    streams.begun.clear()
    requested = [streams.record(name) for name in ("third", "fourth")]
    assert await asyncio.to_thread(_until, lambda: sorted(streams.begun) == ["fourth", "third"])
    streams.may_end.set()
    await asyncio.gather(*requested)
    await scheduler.stop()


async def test_recording_that_waits_long_is_served_all_the_same() -> None:
    now = 0.0
    scheduler: PassScheduler[str] = PassScheduler(1, clock=lambda: now)
    streams = Streams(scheduler)
    busy, a, urgent = (streams.add(name) for name in ("busy", "a", "urgent"))
    requested = [
        busy.request_pass(),
        streams.record("first"),
        a.request_pass(),
        urgent.request_pass(),
    ]
    urgent.urgent = True
    now = 11.0
    streams.may_end.set()
    await asyncio.gather(*requested)
    assert streams.begun == ["busy", "urgent", "first", "a"]
    await scheduler.stop()


async def test_cancelled_recording_leaves_the_queue(scheduler: PassScheduler[str]) -> None:
    streams = Streams(scheduler)
    busy = streams.add("busy").request_pass()
    waiting = scheduler.run_in_background(lambda: streams.begun.append("cancelled") or "")
    waiting.cancel()
    after = streams.record("after")
    streams.may_end.set()
    await asyncio.gather(busy, after)
    assert streams.begun == ["busy", "after"] and waiting.result.cancelled()


def _until(reached: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + WITHIN_S
    while not reached():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
