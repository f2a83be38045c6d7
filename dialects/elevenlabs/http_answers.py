"""What the protocol's HTTP calls have in common: errors, and clients that leave before the answer."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from dialects.elevenlabs.errors import Unprocessable, refusal
from speech.errors import SpeechError
from speech.tasks import until_first

T = TypeVar("T")
Answer = Callable[[Request], Awaitable[Response]]


def endpoint(answer: Answer) -> Answer:
    """``answer``, whose errors become a status and a ``detail``."""

    async def handle(request: Request) -> Response:
        try:
            return await answer(request)
        except Unprocessable as error:
            return json_response({"detail": error.errors}, 422)
        except SpeechError as error:
            return refusal(error)

    return handle


def json_response(content: Any, status: int = 200) -> Response:
    """JSON, in ASCII: half a surrogate pair of a client's comes back as it came."""
    return Response(json.dumps(content), status, {"cache-control": "no-cache"}, "application/json")


async def attended(request: Request, work: Coroutine[None, None, T]) -> T:
    """What ``work`` returns; it is cancelled if the client of a request, whose body was read, leaves first.

    Raises ClientDisconnect then.
    """
    results: list[T] = []

    async def done() -> None:
        results.append(await work)

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    await until_first(done(), gone(), name="elevenlabs request")
    if not results:
        raise ClientDisconnect
    return results[0]
