"""How the protocol's HTTP doors tell errors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from protocols.kyutai.messages import BadMessage
from protocols.kyutai.query import BadQuery
from speech.errors import Busy, InvalidRequest, SpeechError, TimedOut

TASK_NAME = "kyutai request"

Answer = Callable[[Request], Awaitable[Response]]


def endpoint(answer: Answer, recording_field: str = "body") -> Answer:
    """``answer``, whose errors are 400 with a sentence, 503 where there is no place, 504 where it took too
    long, or else 500.

    recording: where in the request a recording comes from, for what is wrong with it.
    """

    async def handle(request: Request) -> Response:
        try:
            return await answer(request)
        except (BadMessage, BadQuery) as error:
            return _refusal(400, str(error))
        except InvalidRequest as error:
            field = recording_field if error.field == "reference" else error.field
            return _refusal(400, f"{field}: {error.reason}")
        except Busy as error:
            return _refusal(503, str(error))
        except TimedOut as error:
            return _refusal(504, str(error))
        except SpeechError as error:
            return _refusal(500, str(error))

    return handle


def _refusal(status: int, reason: str) -> Response:
    return JSONResponse({"error": {"message": reason.encode("utf-8", "replace").decode()}}, status)
