"""Waits for work that must end before its resources are free, also when the waiting task is cancelled."""

from __future__ import annotations

import asyncio
from typing import Any


async def wait_until_done(work: asyncio.Future[Any]) -> None:
    """Return once ``work`` has ended, however often the waiting task is cancelled meanwhile.

    Raises CancelledError afterwards if the task was cancelled. The result or the error of ``work`` is left
    to the caller; asyncio does not log the error as never retrieved.
    """
    cancelled = False
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError:
            cancelled = True
    if not work.cancelled():
        work.exception()
    if cancelled:
        raise asyncio.CancelledError
