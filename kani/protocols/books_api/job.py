"""One audiobook that is made, by a thread that has its pieces spoken on the event loop."""

from __future__ import annotations

import asyncio
import io
import logging
from concurrent.futures import CancelledError, Executor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kani.books.audiobook import Spoken, make_audiobook
from kani.books.book import Book
from kani.books.plan import Manner
from kani.core.errors import Busy, InvalidRequest, ServerStopping, SpeechError
from kani.core.service import SpeechService
from kani.core.session.context import Terms
from kani.core.types import Samples, Span, SpeechRequest
from kani.protocols.books_api.files import unwritable
from kani.protocols.shared.calls.bodies import sse
from kani.protocols.shared.errors import RequestError
from kani.protocols.shared.streamed_answer import ByteStream

log = logging.getLogger(__package__)

ALIVE_S = 15.0
"""Longest silence of a stream of events: proxies end one that is silent for longer."""

BUSY_WAITS_S = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Seconds before a piece is tried again that the server was too busy for."""


@dataclass(frozen=True, slots=True)
class _Piece:
    text: str
    samples: Samples
    sample_rate: int
    spans: tuple[Span, ...]
    voice: str


class _Stopped(Exception):
    """Raised once the book has no client any more."""


@dataclass(eq=False)
class Job:
    """Makes an audiobook while its events are read; what is spoken stays beside it when it is stopped."""

    _service: SpeechService
    _wanted: SpeechRequest
    _client: str
    _book: Book
    _output: Path
    _threads: Executor
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    _stopped: bool = False
    _speaking: asyncio.Task[Any] | None = None
    _making: asyncio.Future[None] | None = None
    _meter: _Meter | None = None
    _told: dict[str, Any] = field(default_factory=dict)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def events(self) -> ByteStream:
        """Yield how far it is: stage, share (0 to 1), the share that a stop keeps, and place.

        In the end the file's id, or an error.
        """
        if not self._output.is_file():
            self._making = self._loop.run_in_executor(self._threads, self._make)
            self._making.add_done_callback(lambda _: self._news.set())
            while not self._making.done():
                with suppress(TimeoutError):
                    async with asyncio.timeout(ALIVE_S):
                        await self._news.wait()
                yield sse(self._told) if self._news.is_set() and self._told else b": waiting\n\n"
                self._news.clear()
            if error := self._making.exception():
                yield sse({"error": _shown(error).as_json()})
                return
        yield sse({"stage": "done", "id": self._output.parent.name, "bytes": self._output.stat().st_size})

    async def stop(self) -> None:
        """End the work, if it is not done; returns once it has ended."""
        self._stopped = True
        if self._speaking is not None:
            self._speaking.cancel()
        if self._making is not None:
            await asyncio.wait([self._making])
            self._making.exception()

    def _make(self) -> None:
        stages = iter(("speaking", "writing"))

        def meter(total: int, done: int) -> _Meter:
            self._meter = _Meter(self, next(stages), total, done)
            return self._meter

        wanted = self._wanted
        manner = Manner("", "", wanted.voice, {}, wanted.language, wanted.speed, wanted.emotion)
        make_audiobook(self._book, self._output, manner, self._say, report=io.StringIO(), meter=meter)

    def _say(self, text: str, voice: str | None) -> Spoken:
        try:
            return asyncio.run_coroutine_threadsafe(self._spoken(text), self._loop).result()
        except CancelledError:
            raise _Stopped from None

    async def _spoken(self, text: str) -> _Piece:
        """Return a piece's speech. Raises SpeechError."""
        self._speaking = asyncio.current_task()
        for wait_s in BUSY_WAITS_S:
            self.check()
            try:
                return await self._speech(text)
            except ServerStopping:
                raise
            except Busy:
                await asyncio.sleep(wait_s)
        return await self._speech(text)

    async def _speech(self, text: str) -> _Piece:
        wanted, client = self._wanted, self._client
        async with self._service.open(
            wanted, protocol="books", client=client, terms=Terms(low_latency=False, rate_limited=False)
        ) as session:
            session.feed(text)
            session.finish()
            chunks = []
            async for chunk in session:
                chunks.append(chunk)
                if chunk.spans and self._meter:
                    self._tell(self._meter.event(chunk.spans[-1].end))
            voice = session.resolved_voice.voice if chunks else ""
        samples = np.concatenate([chunk.samples for chunk in chunks] or [np.zeros(0, np.float32)])
        rate = chunks[0].sample_rate if chunks else 24_000
        return _Piece(text, samples, rate, tuple(span for chunk in chunks for span in chunk.spans), voice)

    def check(self) -> None:
        """Raise what ends the thread, once the book has no client or the server stops."""
        if self._stopped:
            raise _Stopped
        if not self._service.ready:
            # Speech is refused then; a file that is written would be cut off without a word.
            raise ServerStopping

    def tell(self, event: dict[str, Any]) -> None:
        self._loop.call_soon_threadsafe(self._tell, event)

    def _tell(self, event: dict[str, Any]) -> None:
        self._told = event
        self._news.set()


class _Meter:
    """Tells a job's progress in a stage."""

    def __init__(self, job: Job, stage: str, total: int, done: int) -> None:
        self._job, self._stage, self._total, self._done = job, stage, total, done
        self._place = ""

    def add(self, count: int) -> None:
        self._job.check()
        self._done += count

    def show(self, place: str) -> None:
        self._place = place
        self._job.tell(self.event())

    def event(self, more: int = 0) -> dict[str, Any]:
        """The event of how far the stage is. more: done of what is not added, nor kept, yet."""
        kept, share = (round(done / max(self._total, 1), 4) for done in (self._done, self._done + more))
        return {"stage": self._stage, "share": share, "kept": kept, "place": self._place}

    def close(self) -> None:
        pass


def _shown(error: BaseException) -> RequestError:
    if isinstance(error, OSError):
        return unwritable(error.strerror or str(error))
    if isinstance(error, ValueError | InvalidRequest):
        return RequestError(400, str(error))
    if isinstance(error, SpeechError):
        return RequestError(503, str(error))
    log.error("an audiobook failed", exc_info=error)
    return RequestError(503, "the audiobook could not be made")
