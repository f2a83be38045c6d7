"""How late an event loop is: what keeps it busy keeps every connection waiting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EVERY_S = 0.1


@contextmanager
def watch_loop_lag(observe: Callable[[float], None]) -> Iterator[None]:
    """While the body runs, tell ``observe`` each ``EVERY_S`` by how many seconds a timer was late."""
    loop = asyncio.get_running_loop()
    # Not the loop's own clock, which uvloop sets once for all that it runs in one go.
    due = time.perf_counter() + EVERY_S
    timer: asyncio.TimerHandle

    def look() -> None:
        nonlocal due, timer
        now = time.perf_counter()
        observe(max(0.0, now - due))
        due = now + EVERY_S
        timer = loop.call_later(EVERY_S, look)

    timer = loop.call_later(EVERY_S, look)
    try:
        yield
    finally:
        timer.cancel()
