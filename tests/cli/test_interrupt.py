"""Ctrl+C in programs that run a coroutine: kani/cli/interrupt.py."""

from __future__ import annotations

import asyncio
import signal

import pytest

from kani.cli import interrupt


def test_work_is_cancelled_by_the_loop_and_not_inside_the_signal_handler() -> None:
    """asyncio.run would cancel it amid any step of the loop's own code, which then logs a traceback."""
    asked: list[int] = []

    async def work() -> None:
        task = asyncio.current_task()
        assert task is not None
        signal.raise_signal(signal.SIGINT)
        asked.append(task.cancelling())
        try:
            await asyncio.Event().wait()
        finally:
            asked.append(task.cancelling())

    with pytest.raises(KeyboardInterrupt):
        interrupt.run(work())
    assert asked == [0, 1]


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
