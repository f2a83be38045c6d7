"""Waiting for work that has to end before its place is free."""

from __future__ import annotations

import asyncio
from typing import Any


async def wait_until_done(work: asyncio.Future[Any]) -> None:
    """Return when ``work`` has ended, however often the waiting task is cancelled meanwhile.

    Raises CancelledError then, if it was. What became of the work is the caller's to look at: asyncio does
    not log its error.
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
