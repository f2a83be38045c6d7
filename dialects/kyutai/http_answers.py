"""What the protocol's HTTP doors have in common: refusals, and clients that leave before the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from dialects.kyutai.messages import BadMessage
from dialects.kyutai.query import BadQuery
from speech.errors import Busy, InvalidRequest, SpeechError, TimedOut
from speech.tasks import until_first

T = TypeVar("T")
Answer = Callable[[Request], Awaitable[Response]]


def endpoint(answer: Answer) -> Answer:
    """``answer``, whose errors are 400 with a sentence, 503 where there is no place, 504 where it took too
    long, or else 500.
    """

    async def handle(request: Request) -> Response:
        try:
            return await answer(request)
        except (BadMessage, BadQuery) as error:
            return _refusal(400, str(error))
        except InvalidRequest as error:
            field = "body" if error.field == "reference" else error.field
            return _refusal(400, f"{field}: {error.reason}")
        except Busy as error:
            return _refusal(503, str(error))
        except TimedOut as error:
            return _refusal(504, str(error))
        except SpeechError as error:
            return _refusal(500, str(error))

    return handle


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

    await until_first(done(), gone(), name="kyutai request")
    if not results:
        raise ClientDisconnect
    return results[0]


def _refusal(status: int, reason: str) -> Response:
    return JSONResponse({"error": {"message": reason.encode("utf-8", "replace").decode()}}, status)
