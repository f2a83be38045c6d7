"""Makes audiobooks of clients' books: a stream of events tells how far one is, the last one the file's id.

What is spoken stays until the server ends, or later books take its room: the same request, of the same file,
goes on where an earlier one was left.
"""

import asyncio
import hashlib
import json
import os
import re
import shutil
import tempfile
import weakref
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from kani.books.as_json import from_json
from kani.books.audio_file import ENDINGS
from kani.books.book import book_language
from kani.core.errors import Busy, InvalidRequest, SpeechError
from kani.core.service import SpeechService
from kani.core.session.context import Terms
from kani.core.types import SpeechRequest
from kani.protocols.books_api.files import read, take_place
from kani.protocols.books_api.job import Job
from kani.protocols.shared.connection import client_address
from kani.protocols.shared.errors import RequestError
from kani.protocols.shared.query_flag import read_flag
from kani.protocols.shared.streamed_answer import StreamedAnswer

MAX_AT_ONCE = 2
"""Audiobooks that are made at once."""

MAX_KEPT = 4
"""Books with speech on the disk, those that are made included."""

MAX_CHARACTERS = 2_000_000
"""Characters of a book: 37 hours of speech, 3 GB on the disk while they are made."""

WAIT_S = 5.0
"""Most seconds of the wait for a place, or for the end of an earlier request for the same audiobook."""

_ID = re.compile("[0-9a-f]{64}")


class Audiobooks:
    def __init__(self, service: SpeechService) -> None:
        self._service = service
        self._places = asyncio.Semaphore(MAX_AT_ONCE)
        self._threads = ThreadPoolExecutor(MAX_AT_ONCE, "audiobook")
        self._used: set[str] = set()
        self._freed = asyncio.Condition()
        self._folder: Path | None = None

    async def make(self, request: Request) -> Response:
        """Answer with events. Raises RequestError."""
        client = client_address(request)
        wanted, ending = _wanted(request)
        try:
            # Refused at once, and counted once.
            async with self._service.open(
                wanted, protocol="books", client=client, terms=Terms(low_latency=False)
            ) as session:
                session.finish()
        except SpeechError as error:
            raise _refused(error) from error
        async with AsyncExitStack() as stack:
            await take_place(self._places, WAIT_S, stack)
            file, chapters = await read(request, stack)
            key = await asyncio.to_thread(_key, file, wanted, ending)
            await self._hold(key, stack)
            book = await asyncio.to_thread(lambda: from_json(chapters.read_bytes()))
            if book.characters > MAX_CHARACTERS:
                raise RequestError(400, f"the book has more than {MAX_CHARACTERS:,} characters: divide it")
            if wanted.voice is None and wanted.language is None:
                spoken = frozenset(self._service.catalogue.languages)
                wanted = replace(wanted, language=await asyncio.to_thread(book_language, book, spoken))
            output = await asyncio.to_thread(self._output, key, ending)
            job = Job(self._service, wanted, client, book, output, self._threads)
            stack.push_async_callback(job.stop)
            headers = {"cache-control": "no-store"}
            return StreamedAnswer(
                job.events(), headers=headers, media_type="text/event-stream", stack=stack.pop_all()
            )

    @contextmanager
    def found(self, key: str) -> Generator[Path]:
        """Have a file that was made stay in its place meanwhile. Raises RequestError."""
        root = self._root()
        made = [root / key / f"book{ending}" for ending in ENDINGS] if _ID.fullmatch(key) else []
        path = next((path for path in made if path.is_file()), None)
        if path is None:
            raise RequestError(404, "there is no such audiobook, or no more: ask for it again", "id")
        os.utime(path.parent)
        yield path

    def _root(self) -> Path:
        """The folder of all, which is deleted when the server ends."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="kani-audiobooks-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        return self._folder

    async def _hold(self, key: str, stack: AsyncExitStack) -> None:
        """Wait for the end of an earlier request for the audiobook, as of a page that was reloaded."""
        try:
            async with asyncio.timeout(WAIT_S), self._freed:
                await self._freed.wait_for(lambda: key not in self._used)
                self._used.add(key)
        except TimeoutError:
            raise RequestError(503, "this audiobook is being made already: try again later") from None
        stack.push_async_callback(self._free, key)

    async def _free(self, key: str) -> None:
        async with self._freed:
            self._used.remove(key)
            self._freed.notify_all()

    def _output(self, key: str, ending: str) -> Path:
        """Return the path of an audiobook, once there is room for it. Blocks."""
        folder = self._root() / key
        folder.mkdir(exist_ok=True)
        os.utime(folder)
        kept = sorted(self._root().iterdir(), key=lambda path: path.stat().st_mtime)
        for old in kept[:-MAX_KEPT]:
            if old.name not in self._used:
                shutil.rmtree(old, ignore_errors=True)
        return folder / f"book{ending}"


def _wanted(request: Request) -> tuple[SpeechRequest, str]:
    """Return how a book is to be spoken, and the ending of its file. Raises RequestError."""
    query = request.query_params
    ending = f".{query.get('format', 'm4b')}"
    if ending not in ENDINGS:
        names = ", ".join(name[1:] for name in ENDINGS)
        raise RequestError(400, f"format: must be one of {names}", "format")
    speed = None
    if given := query.get("speed"):
        try:
            speed = float(given[:20])
        except ValueError:
            raise RequestError(400, "speed: must be a number", "speed") from None
    voice, language, emotion = (query.get(name) or None for name in ("voice", "language", "emotion"))
    try:
        quotations = read_flag(query, "quotations", default=True)
    except InvalidRequest as error:
        raise _refused(error) from error
    wanted = SpeechRequest(voice, language=language, speed=speed, emotion=emotion, quotations=quotations)
    return wanted, ending


def _refused(error: SpeechError) -> RequestError:
    """Return the answer to a request that no session is opened for."""
    if isinstance(error, InvalidRequest):
        return RequestError(400, str(error), error.field, reason=error.details)
    return RequestError(429 if isinstance(error, Busy) else 503, str(error))


def _key(file: Path, wanted: SpeechRequest, ending: str) -> str:
    """Return the id of an audiobook: a hash of all that it depends on. Blocks."""
    with file.open("rb") as opened:
        content = hashlib.file_digest(opened, "sha256").hexdigest()
    manner = [content, file.name, ending, wanted.voice, wanted.language, wanted.speed, wanted.emotion]
    manner.append(wanted.quotations)
    return hashlib.sha256(json.dumps(manner).encode()).hexdigest()
