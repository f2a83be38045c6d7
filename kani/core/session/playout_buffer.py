"""The buffer between synthesis and its reader, and the time-out of the reader's waiting."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kani.core.errors import SpeechError
from kani.core.types import SpeechChunk


class PlayoutBuffer:
    """A queue of chunks that is bounded in seconds of audio. One writer, one reader.

    The writer awaits ``wait_writable`` before each piece of work, and holds no slot meanwhile. The buffer
    exceeds ``high_water_s`` by one piece at most: a chunk where the engine is pausable, else a segment.
    Writing resumes at half of that (low water), so that an engine wakes rarely and then works for a while.
    """

    def __init__(self, high_water_s: float) -> None:
        self._high_water_s = high_water_s
        self._chunks: deque[SpeechChunk] = deque()
        self._buffered_s = 0.0
        self._closed = False
        self._error: SpeechError | None = None
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()

    @property
    def error(self) -> SpeechError | None:
        return self._error if self._closed and not self._chunks else None

    @property
    def above_high_water(self) -> bool:
        """True if ``wait_writable`` would wait."""
        return not self._writable.is_set()

    async def wait_writable(self) -> None:
        """Return once the reader has taken enough for more to be written."""
        await self._writable.wait()

    def put(self, chunk: SpeechChunk) -> None:
        """Append ``chunk``; dropped once the buffer is closed."""
        if self._closed:
            return
        self._chunks.append(chunk)
        self._buffered_s += chunk.duration_s
        if self._buffered_s >= self._high_water_s:
            self._writable.clear()
        self._readable.set()

    def close(self, error: SpeechError | None = None) -> None:
        """Mark the end: after the buffered chunks ``get`` raises ``error``. Only the first call counts."""
        if not self._closed:
            self._closed = True
            self._error = error
            self._readable.set()

    def discard(self, error: SpeechError) -> None:
        """Drop the buffered chunks and close; ``get`` raises ``error`` from now on."""
        self._chunks.clear()
        self._buffered_s = 0.0
        self._closed = True
        self._error = error
        self._readable.set()

    async def get(self) -> SpeechChunk | None:
        """Return the next chunk, or None at the end. Raises the error that the buffer was closed with."""
        while not self._chunks:
            if self._closed:
                if self._error is not None:
                    raise self._error
                return None
            self._readable.clear()
            await self._readable.wait()
        chunk = self._chunks.popleft()
        self._buffered_s = max(0.0, self._buffered_s - chunk.duration_s)
        if self._buffered_s <= self._high_water_s / 2:
            self._writable.set()
        return chunk


class WaitTimeout:
    """Limit on the seconds for which a reader waits in all, once its text is complete.

    Only time inside ``waiting`` counts: a slow reader is not late.
    """

    def __init__(self, seconds: float, expired: Callable[[], None]) -> None:
        """seconds: 0 for no limit; expired: called once they have passed, and has to end the wait."""
        self._left_s = seconds
        self._bounded = seconds > 0
        self._expired = expired
        self._started = False
        self._waiting = False
        self._suspended = False
        self._since = 0.0  # time on the loop's clock at which the alarm was set
        self._alarm: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Count from now on, the rest of a wait that is under way included."""
        self._started = self._bounded
        self._set_alarm()

    def stop(self) -> None:
        """Stop for good, and drop the reference to the session, which may hold a recording."""
        self._started = False
        self._set_alarm()
        self._expired = lambda: None

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time for which the body runs."""
        self._waiting = True
        self._set_alarm()
        try:
            yield
        finally:
            self._waiting = False
            self._set_alarm()

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Do not count while the body runs: other speech of the same client goes first."""
        self._suspended = True
        self._set_alarm()
        try:
            yield
        finally:
            self._suspended = False
            self._set_alarm()

    def _set_alarm(self) -> None:
        """Take off what has passed, and set the alarm for the rest while it counts."""
        loop = asyncio.get_running_loop()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
            self._left_s -= loop.time() - self._since
        if self._started and self._waiting and not self._suspended:
            self._since = loop.time()
            self._alarm = loop.call_later(max(self._left_s, 0.0), self._expired)
