"""``POST /v1/books``: the chapters of a book's file, for the page; ``POST …/audio``: an audiobook of it.

The file is kept on disk while it is read, by a process of its own that is ended with the request.
"""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from kani.core.audio import synthetic_mark
from kani.core.service import SpeechService
from kani.engines.plugin_settings import PluginSettings
from kani.protocols.books_api.audiobooks import Audiobooks
from kani.protocols.books_api.calls import AUDIO_PATH, PATH, SPEAKERS_PATH, call_group
from kani.protocols.books_api.files import MAX_BYTES, read, take_place
from kani.protocols.books_api.speakers import MAX_BODY_BYTES, speakers
from kani.protocols.shared.errors import RequestError, answering
from kani.protocols.shared.plugin import ServerSettings
from kani.protocols.shared.protocol import Protocol, plain_refusal
from kani.protocols.shared.ranges import file_answer

MAX_AT_ONCE = 2
"""Books that are received, read or sent at once; each may take a core and some hundred MiB."""

WAIT_S = 2.0
"""Most seconds of the wait for a place, which is free a moment after a book was sent."""


def protocol(_: PluginSettings, server: ServerSettings) -> Protocol:
    """Return the protocol; its refusals keep their own shape below the prefix of ElevenLabs' paths."""
    return Protocol(
        lambda context: routes(context.service),
        refusals={PATH: plain_refusal},
        max_body={PATH: MAX_BYTES, AUDIO_PATH: MAX_BYTES, SPEAKERS_PATH: MAX_BODY_BYTES},
        one_process=(AUDIO_PATH,),
        calls=call_group,
    )


def routes(service: SpeechService) -> list[BaseRoute]:
    """Return the routes.

    Errors are ``{"error": {"message": …, "type": …, "param": …, "code": …, "reason": …}}`` with 400 (no
    readable book, or a parameter), 404 (no audiobook of that id), 429 or 503 (other books are being read or
    made, or the temporary folder takes no more).
    """
    places, asked = asyncio.Semaphore(MAX_AT_ONCE), asyncio.Semaphore(MAX_AT_ONCE)
    audiobooks = Audiobooks(service)

    async def chapters(request: Request) -> Response:
        async with AsyncExitStack() as stack:
            await take_place(places, WAIT_S, stack)
            _, path = await read(request, stack)
            return send(request, path, "application/json", {}, stack)

    async def audio(request: Request) -> Response:
        async with AsyncExitStack() as stack:
            path = stack.enter_context(audiobooks.found(request.path_params["id"]))
            headers = {"content-disposition": f'attachment; filename="audiobook{path.suffix}"'}
            headers |= synthetic_mark.headers()
            media_type = "audio/mpeg" if path.suffix == ".mp3" else "audio/mp4"
            return send(request, path, media_type, headers, stack)

    async def who_speaks(request: Request) -> Response:
        async with AsyncExitStack() as stack:
            await take_place(asked, WAIT_S, stack, "chapters wait for the language model")
            return await speakers(service, request)

    return [
        Route(SPEAKERS_PATH, answering(who_speaks, RequestError.response, RequestError), methods=["POST"]),
        Route(PATH, answering(chapters, RequestError.response, RequestError), methods=["POST"]),
        Route(AUDIO_PATH, answering(audiobooks.make, RequestError.response, RequestError), methods=["POST"]),
        Route(AUDIO_PATH + "/{id}", answering(audio, RequestError.response, RequestError), methods=["GET"]),
    ]


def send(
    request: Request, path: Path, media_type: str, headers: dict[str, str], stack: AsyncExitStack
) -> Response:
    """Return an answer with a file. stack: holds what is freed once it is sent."""
    opened = stack.enter_context(path.open("rb"))
    return file_answer(request, opened, headers | {"cache-control": "no-store"}, media_type, stack)
