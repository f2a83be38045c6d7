"""Books that clients send: received into a folder of their own, and read by a process of its own."""

import asyncio
import logging
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path, PurePosixPath

from starlette.requests import Request

from kani.books.as_json import UNREADABLE, UNWRITABLE
from kani.books.book import ENDINGS
from kani.core.errors import Reason
from kani.protocols.shared.errors import RequestError
from kani.protocols.shared.tasks import cancel_on_disconnect
from kani.runtime.child_process import python_command, run_process

log = logging.getLogger(__package__)

MAX_BYTES = 64 << 20
MAX_NAME = 255
"""Characters of a file's name."""

READ_WITHIN_S = 60.0


async def take_place(
    places: asyncio.Semaphore, wait_s: float, stack: AsyncExitStack, others: str = "books are being read"
) -> None:
    """Take a place, which ``stack`` frees. Raises RequestError, which tells of others, after ``wait_s`` s."""
    try:
        async with asyncio.timeout(wait_s):
            await places.acquire()
    except TimeoutError:
        raise RequestError(503, f"other {others}: try again later") from None
    stack.callback(places.release)


async def read(request: Request, stack: AsyncExitStack) -> tuple[Path, Path]:
    """Return the paths of a request's file and its chapters, which ``stack`` deletes. Raises RequestError."""
    name = file_name(request.query_params.get("name", ""))
    try:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kani-book-")))
        book, chapters = folder / name, folder / "chapters"
        with book.open("wb") as file:
            async for piece in request.stream():
                await asyncio.to_thread(file.write, piece)
    except OSError as error:
        raise unwritable(error.strerror or str(error)) from error
    await cancel_on_disconnect(request, _read(book, chapters))
    return book, chapters


def file_name(given: str) -> str:
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
        raise unwritable(told.decode("utf-8", "replace"))
    if code:
        log.error("reading a book failed (exit code %s): %s", code, told[-2000:].decode("utf-8", "replace"))
        raise _unreadable("the program that reads it failed")


def _unreadable(fault: str, param: str | None = None) -> RequestError:
    reason = Reason("unreadable_book", {"fault": fault})
    return RequestError(400, f"this is no book that can be read: {fault}", param, reason=reason)


def unwritable(fault: str) -> RequestError:
    """Return the error of a temporary folder that takes no more."""
    log.error("a book cannot be written to the temporary folder: %s", fault)
    return RequestError(503, f"the book could not be written to this server's temporary folder: {fault}")
