"""Cancels the work for an HTTP request when its client disconnects."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

from kani.protocols.shared.tasks import run_until_first

T = TypeVar("T")


async def cancel_on_disconnect(request: Request, coroutine: Coroutine[None, None, T], *, name: str) -> T:
    """Return the result of ``coroutine``, or cancel it when the client of ``request`` disconnects.

    The body of ``request`` has to be read before. name: of the tasks. Raises ClientDisconnect, and whatever
    ``coroutine`` raises.
    """
    results: list[T] = []

    async def work() -> None:
        results.append(await coroutine)

    async def wait_for_disconnect() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    await run_until_first(work(), wait_for_disconnect(), name=name)
    if not results:
        raise ClientDisconnect
    return results[0]
