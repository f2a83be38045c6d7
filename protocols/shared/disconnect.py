"""HTTP clients that leave before their answer, for every dialect."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

from protocols.shared.tasks import run_until_first

T = TypeVar("T")


async def cancel_on_disconnect(request: Request, coroutine: Coroutine[None, None, T], *, name: str) -> T:
    """What ``work`` returns; it is cancelled if the client of a request, whose body was read, leaves first.

    name: of its task. Raises ClientDisconnect then, and what ``work`` raises.
    """
    results: list[T] = []

    async def done() -> None:
        results.append(await coroutine)

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    await run_until_first(done(), gone(), name=name)
    if not results:
        raise ClientDisconnect
    return results[0]
