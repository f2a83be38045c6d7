"""How far an engine may run ahead of whoever listens."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from speech.errors import SpeechError
from speech.types import SpeechChunk


class PlayoutBuffer:
    """A queue of chunks that is bounded in seconds of audio.

    The writer waits for ``room`` before each piece of work and never holds an engine while it
    waits: what is buffered is at most ``ahead_s`` and one such piece, which is a chunk where the
    engine can rest inside a segment, and else a whole segment.
    Once full there is room again when half of it was taken (high and low water: an engine wakes
    rarely and then works a while). One writer, one reader.
    """

    def __init__(self, ahead_s: float) -> None:
        self._ahead_s = ahead_s
        self._chunks: deque[SpeechChunk] = deque()
        self._buffered_s = 0.0
        self._closed = False
        self._error: SpeechError | None = None
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()

    @property
    def buffered_s(self) -> float:
        """Seconds of audio that wait to be taken."""
        return self._buffered_s

    @property
    def readable(self) -> bool:
        """Whether ``get`` would return at once."""
        return bool(self._chunks) or self._closed

    @property
    def error(self) -> SpeechError | None:
        """What ``get`` would raise now."""
        return self._error if self._closed and not self._chunks else None

    @property
    def above_high_water(self) -> bool:
        """Whether ``room`` would wait."""
        return not self._writable.is_set()

    async def wait_writable(self) -> None:
        """Return once the reader has taken enough for more to be made."""
        await self._writable.wait()

    def put(self, chunk: SpeechChunk) -> None:
        """Append ``chunk``; nothing more is kept once the buffer is closed."""
        if self._closed:
            return
        self._chunks.append(chunk)
        self._buffered_s += chunk.duration_s
        if self._buffered_s >= self._ahead_s:
            self._writable.clear()
        self._readable.set()

    def close(self, error: SpeechError | None = None) -> None:
        """No more chunks will come; after those that are there, ``get`` raises ``error``.

        Only the first call counts.
        """
        if not self._closed:
            self._closed = True
            self._error = error
            self._readable.set()

    def discard(self, error: SpeechError) -> None:
        """Forget what was not taken yet; ``get`` raises ``error`` from now on."""
        self._chunks.clear()
        self._buffered_s = 0.0
        self._closed = True
        self._error = error
        self._readable.set()

    async def get(self) -> SpeechChunk | None:
        """The next chunk, or None at the end. Raises the error the writer closed with."""
        while not self._chunks:
            if self._closed:
                if self._error is not None:
                    raise self._error
                return None
            self._readable.clear()
            await self._readable.wait()
        chunk = self._chunks.popleft()
        self._buffered_s = max(0.0, self._buffered_s - chunk.duration_s)
        if self._buffered_s <= self._ahead_s / 2:
            self._writable.set()
        return chunk


def _nobody() -> None:
    """Whom it was is forgotten."""


class WaitTimeout:
    """How long a reader may have to wait in all once its text is whole: ``seconds``, 0 is for ever.

    Only what it spends inside ``waits`` counts, so that one who reads slowly has all the time it takes.
    ``exhausted`` is called when it has waited so long; it has to end the wait.
    """

    def __init__(self, seconds: float, exhausted: Callable[[], None]) -> None:
        self._left_s = seconds
        self._bounded = seconds > 0
        self._exhausted = exhausted
        self._counts = False
        self._waiting = False
        self._excused = False
        self._since: float | None = None
        self._alarm: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """The text is whole: waiting counts from now on, one that is under way too."""
        self._counts = self._bounded
        if self._since is not None:
            self._set_alarm()

    def stop(self) -> None:
        """Nobody waits any more. Who was to be told, and a recording it may hold, is freed at once."""
        self._stop_alarm()
        self._exhausted = _nobody

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[None]:
        """The reader waits while the body runs."""
        self._waiting = True
        self._set_alarm()
        try:
            yield
        finally:
            self._waiting = False
            self._stop_alarm()

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Waiting does not count while the body runs: the speech gives way to other speech of its client."""
        self._excused = True
        self._stop_alarm()
        try:
            yield
        finally:
            self._excused = False
            if self._waiting:
                self._set_alarm()

    def _set_alarm(self) -> None:
        loop = asyncio.get_running_loop()
        self._stop_alarm()
        self._since = loop.time()
        if self._counts and not self._excused:
            self._alarm = loop.call_later(max(self._left_s, 0.0), self._exhausted)

    def _stop_alarm(self) -> None:
        since, self._since = self._since, None
        if self._alarm is not None and since is not None:
            self._alarm.cancel()
            self._alarm = None
            self._left_s -= asyncio.get_running_loop().time() - since
