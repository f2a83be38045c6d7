"""Runs coroutines that live and end together, such as reading from a client and answering it."""

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

T = TypeVar("T")


async def run_until_first(*works: Coroutine[None, None, None], ignore: type[Exception] | None = None) -> None:
    """Run all coroutines until one ends, cancel the others, and return once every task has ended.

    Raises the first of their errors that is not of type ``ignore``.
    """
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    # Retrieve every exception: asyncio logs those that are never retrieved.
    errors = [task.exception() for task in tasks if not task.cancelled()]
    error = next((one for one in errors if one is not None and not isinstance(one, ignore or ())), None)
    if error is not None:
        try:
            raise error
        finally:
            # The traceback refers to this frame, and this frame to the error: a reference cycle that would
            # keep everything the coroutines held until the next garbage collection.
            del error, errors, tasks


async def cancel_on_disconnect(request: Request, coroutine: Coroutine[None, None, T]) -> T:
    """Return the result of ``coroutine``, or cancel it when the client of ``request`` disconnects.

    The body of ``request`` has to be read before. Raises ClientDisconnect, and whatever ``coroutine`` raises.
    """
    results: list[T] = []

    async def work() -> None:
        results.append(await coroutine)

    async def wait_for_disconnect() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    await run_until_first(work(), wait_for_disconnect())
    if not results:
        raise ClientDisconnect
    return results[0]
