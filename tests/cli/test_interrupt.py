"""Ctrl+C in programs that run a coroutine: kani/cli/interrupt.py."""

from __future__ import annotations

import asyncio
import asyncio.futures
import signal
import sys
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from kani.cli import interrupt


class AtLine:
    """Ctrl+C at the nth line, from 0, of asyncio's own code that hands over what a thread has done."""

    def __init__(self, nth: int) -> None:
        self.left = nth

    def calls(self, frame: FrameType, event: str, _: object) -> Any:
        """Follows that function."""
        return self.lines if frame.f_code.co_name == "_copy_future_state" else None

    def lines(self, frame: FrameType, event: str, _: object) -> Any:
        """Counts its lines."""
        if event == "line":
            if self.left == 0:
                signal.raise_signal(signal.SIGINT)
            self.left -= 1
        return self.lines


@pytest.fixture
def traced() -> Iterator[None]:
    """A trace function that was set before, such as a debugger's, continues afterwards."""
    before = sys.gettrace()
    yield
    sys.settrace(before)


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("nth", range(8))
def test_a_thread_that_is_done_at_that_moment_makes_no_noise(nth: int) -> None:
    told: list[dict[str, Any]] = []

    async def hand_over() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        while True:
            await asyncio.to_thread(time.monotonic)

    sys.settrace(AtLine(nth).calls)
    with pytest.raises(KeyboardInterrupt):
        interrupt.run(hand_over())
    assert told == []


def test_run_returns_and_raises_as_asyncio_does() -> None:
    before = signal.getsignal(signal.SIGINT)
    assert interrupt.run(asyncio.sleep(0, "done")) == "done"

    async def cancelled() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        interrupt.run(cancelled())
    assert signal.getsignal(signal.SIGINT) is before


def test_second_interrupt_raises_at_once() -> None:
    reached = []

    async def stubborn() -> None:
        signal.raise_signal(signal.SIGINT)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            reached.append("asked")
        signal.raise_signal(signal.SIGINT)
        reached.append("went on")

    with pytest.raises(KeyboardInterrupt):
        interrupt.run(stubborn())
    assert reached == ["asked"]
