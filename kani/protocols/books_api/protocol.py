"""``POST /v1/books?name=FILE``: the chapters of a book's file, for the page.

The file is kept on disk while it is read, by a process of its own that is ended with the request.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path, PurePosixPath
from typing import IO

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from kani.books.as_json import UNREADABLE, UNWRITABLE
from kani.books.reading import ENDINGS
from kani.core.errors import Reason
from kani.protocols.shared.calls.call import BINARY, Body, Call, CallGroup, Parameter, json_answer
from kani.protocols.shared.calls.schemas import fields, items, mapping, nullable, text
from kani.protocols.shared.disconnect import cancel_on_disconnect
from kani.protocols.shared.errors import RequestError, answering
from kani.protocols.shared.protocol import Protocol, plain_refusal
from kani.protocols.shared.streamed_answer import BLOCK_BYTES, StreamedAnswer
from kani.runtime.child_process import python_command, run_process


def call_group(path: str, endings: tuple[str, ...], max_bytes: int, max_name: int) -> CallGroup:
    """Return the call. max_bytes: of a file; max_name: characters of its name."""
    reason = fields("", code=text(), values=mapping("Limits and what else the message quotes."))
    error = fields(
        "", ["message"], message=text(), type=text(), param=nullable(text()), code=text(), reason=reason
    )
    name = text(f"Name of the file, which ends with one of {', '.join(endings)}.", longest=max_name)
    chapter = fields("", title=text(), text=text("Paragraphs, with an empty line between two."))
    book = fields("", title=text(), author=text(), language=text("BCP 47."), chapters=items(chapter))
    return CallGroup(
        "Books",
        "Reads the files of books.",
        "BooksError",
        fields(error=error),
        (
            Call(
                method="POST",
                path=path,
                summary="Read a book",
                about="Nothing of it is kept.",
                parameters=(Parameter("name", name, required=True),),
                body=Body(BINARY, "@book.epub", "application/octet-stream"),
                answers={200: json_answer(f"The book, of a file of {max_bytes >> 20} MiB at most.", book)},
                errors=(400, 503),
            ),
        ),
    )


log = logging.getLogger(__package__)

PATH = "/v1/books"
MAX_BYTES = 64 << 20
MAX_NAME = 255
"""Characters of a file's name."""

MAX_AT_ONCE = 2
"""Books that are received, read or sent at once; each may take a core and some hundred MiB."""

WAIT_S = 2.0
"""Most seconds of the wait for a place, which is free a moment after a book was sent."""

READ_WITHIN_S = 60.0


def protocol() -> Protocol:
    """Return the protocol; its refusals keep their own shape below the prefix of ElevenLabs' paths."""
    return Protocol(
        lambda context: routes(),
        refusals={PATH: plain_refusal},
        max_body={PATH: MAX_BYTES},
        calls=lambda: call_group(PATH, ENDINGS, MAX_BYTES, MAX_NAME),
    )


def routes() -> list[BaseRoute]:
    """Return the route.

    Errors are ``{"error": {"message": …, "type": …, "param": …, "code": …, "reason": …}}`` with 400 (no
    readable book) or 503 (other books are being read, or the temporary folder takes no more).
    """
    places = asyncio.Semaphore(MAX_AT_ONCE)

    async def read(request: Request) -> Response:
        try:
            async with asyncio.timeout(WAIT_S):
                await places.acquire()
        except TimeoutError:
            raise RequestError(503, "other books are being read: try again later") from None
        async with AsyncExitStack() as stack:
            stack.callback(places.release)
            return await _answer(request, stack)

    return [Route(PATH, answering(read, RequestError.response, RequestError), methods=["POST"])]


async def _answer(request: Request, stack: AsyncExitStack) -> Response:
    """Answer with the chapters. stack: holds what is freed once they are sent. Raises RequestError."""
    name = _file_name(request.query_params.get("name", ""))
    try:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kani-book-")))
        book, chapters = folder / name, folder / "chapters"
        with book.open("wb") as file:
            async for piece in request.stream():
                await asyncio.to_thread(file.write, piece)
    except OSError as error:
        raise _unwritable(error.strerror or str(error)) from error
    await cancel_on_disconnect(request, _read(book, chapters), name="book")
    opened = stack.enter_context(chapters.open("rb"))
    headers = {"content-length": str(chapters.stat().st_size), "cache-control": "no-store"}
    return StreamedAnswer(
        _blocks(opened), headers=headers, media_type="application/json", stack=stack.pop_all()
    )


def _file_name(given: str) -> str:
    """Return a name for the file in a folder of its own. Raises RequestError."""
    path = PurePosixPath(given.replace("\\", "/"))
    ending = path.suffix.lower()
    if len(given) > MAX_NAME:
        raise RequestError(400, f"name: too long (at most {MAX_NAME} characters)", "name")
    if ending not in ENDINGS:
        raise _unreadable(f"its name has to end with one of {', '.join(ENDINGS)}", "name")
    # Plain text has no other title. A file system takes 255 bytes, and a character may have four.
    title = "".join(each if each.isalnum() or each in " -_'" else "_" for each in path.stem)[:60].strip()
    return (title or "book") + ending


async def _read(book: Path, chapters: Path) -> None:
    """Read a book in another process, which is ended where this is cancelled. Raises RequestError."""
    command = python_command("kani.books.as_json", str(book), str(chapters))
    try:
        code, told = await run_process(command, READ_WITHIN_S)
    except TimeoutError as error:
        raise _unreadable(f"it takes more than {READ_WITHIN_S:.0f} s to read: divide it") from error
    except OSError as error:
        log.error("the program that reads a book cannot be started: %s", error)
        raise RequestError(503, "no program to read the book can be started now: try again later") from error
    if code == UNREADABLE:
        raise _unreadable(told.decode("utf-8", "replace"))
    if code == UNWRITABLE:
        raise _unwritable(told.decode("utf-8", "replace"))
    if code:
        log.error("reading a book failed (exit code %s): %s", code, told[-2000:].decode("utf-8", "replace"))
        raise _unreadable("the program that reads it failed")


def _unreadable(fault: str, param: str | None = None) -> RequestError:
    reason = Reason("unreadable_book", {"fault": fault})
    return RequestError(400, f"this is no book that can be read: {fault}", param, reason)


def _unwritable(fault: str) -> RequestError:
    log.error("a book cannot be written to the temporary folder: %s", fault)
    return RequestError(503, f"the book could not be written to this server's temporary folder: {fault}")


async def _blocks(file: IO[bytes]) -> AsyncGenerator[bytes, None]:
    while block := await asyncio.to_thread(file.read, BLOCK_BYTES):
        yield block
