"""Runs a program's coroutine so that Ctrl+C ends it cleanly, whatever its threads are doing."""

import asyncio
import contextlib
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Return the result of `work`; Ctrl+C cancels it, and KeyboardInterrupt is raised once it has ended.

    A second Ctrl+C raises at once. asyncio.run cancels inside the signal handler, between any two steps of
    the event loop's own code: if the loop is just passing on the result of a thread, that prints a traceback
    (InvalidStateError, CPython 3.11.7). Here the loop cancels in a callback of its own.
    """
    interrupted = False

    async def interruptible() -> T:
        nonlocal interrupted
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def interrupt() -> None:
            nonlocal interrupted
            interrupted = True
            loop.remove_signal_handler(signal.SIGINT)
            task.cancel()

        # Event loops on Windows have no signal handlers; asyncio's own handling stays.
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(signal.SIGINT, interrupt)
        try:
            return await work
        finally:
            with contextlib.suppress(NotImplementedError):
                loop.remove_signal_handler(signal.SIGINT)

    try:
        return asyncio.run(interruptible())
    except asyncio.CancelledError:
        if interrupted:
            raise KeyboardInterrupt from None
        raise
