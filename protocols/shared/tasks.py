"""Tasks that live and end together: reading from a client and answering it, say."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine


async def run_until_first(
    *works: Coroutine[None, None, None], name: str, ignore: type[Exception] | None = None
) -> None:
    """Run all until one ends, then stop the others, and return when nothing of them is left.

    name: of the tasks. Raises what the first of them raised that raised anything; errors of the type
    ``quietly`` only end it.
    """
    tasks = [asyncio.create_task(work, name=name) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    # Each is asked, or asyncio would log those that nobody looked at.
    errors = [task.exception() for task in tasks if not task.cancelled()]
    error = next((one for one in errors if one is not None and not isinstance(one, ignore or ())), None)
    if error is not None:
        try:
            raise error
        finally:
            # Its traceback holds this frame, and this frame would hold it: a cycle, with all that the
            # works held, until somebody looks for garbage.
            del error, errors, tasks
