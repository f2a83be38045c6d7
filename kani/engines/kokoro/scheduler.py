"""Deadline scheduler: streams share the cores one decoding step at a time."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

from kani.core.audio.playback import Playback
from kani.core.session.slots import DeadlineQueue

FIRST_SOUND_S = 3.0
"""Seconds after a stream's beginning at which its first sound is due. If it were due at once, streams that
begin would leave those that have just begun without audio. Six begun in one instant on two cores have no gap
with 3 s, 27 late pieces of 0.4 s with 0.5 s (measured); one or two begin as soon as before."""

KEPT_S = 0.02
"""Seconds for which a stream keeps its place after a step: passing on the audio takes some milliseconds."""


class IdleTime:
    """Tells background work since when no step runs."""

    def __init__(self) -> None:
        self._idle, self._since = asyncio.Event(), -math.inf
        self._idle.set()

    def begin(self) -> None:
        """Note that no step runs from now on."""
        self._since = time.monotonic()
        self._idle.set()

    def end(self) -> None:
        self._idle.clear()

    async def wait(self, idle_s: float, timeout_s: float) -> None:
        """Return once nothing has been computed for ``idle_s`` seconds, or after ``timeout_s``."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
                while (lacks_s := self._since + idle_s - time.monotonic()) > 0:
                    await asyncio.sleep(lacks_s)
                    await self._idle.wait()


class SegmentDeadline:
    """Time on the monotonic clock when the next step of a segment is due: when its listener runs dry.

    ahead_s: seconds of audio that the listener has left when the segment begins.
    """

    def __init__(self, ahead_s: float = 0.0) -> None:
        self._playback = Playback()
        self._begun = time.monotonic()
        if math.isfinite(ahead_s):
            self._playback.add(ahead_s)

    def add(self, seconds: float) -> None:
        """Note that ``seconds`` more of audio were made."""
        self._playback.add(seconds)

    @property
    def due(self) -> float:
        """``FIRST_SOUND_S`` after the beginning where the listener has no audio yet."""
        ends_at = self._playback.ends_at
        return ends_at if math.isfinite(ends_at) else self._begun + FIRST_SOUND_S


class DeadlineScheduler:
    """Runs up to ``capacity`` steps at once; the waiting step with the earliest deadline goes next (EDF).

    So a stream without any audio yet goes before those that are ``FIRST_SOUND_S`` and more ahead of their
    playback, and one that is far ahead goes last. Equal deadlines are served in order of arrival.
    """

    def __init__(self, capacity: int) -> None:
        self._queue = DeadlineQueue(lambda: capacity)
        self.idle = IdleTime()

    @property
    def steps(self) -> int:
        """Number of steps that are computed, and of places that streams keep between two steps."""
        return self._queue.taken

    @asynccontextmanager
    async def slot(self, deadline: float = math.inf) -> AsyncIterator[None]:
        """A turn to compute one step, which is due at that time of any clock; by default after all others."""
        with self.stream() as stream:
            async with stream.slot(deadline):
                yield

    @contextmanager
    def stream(self) -> Iterator[Stream]:
        """Turns for one step after the other. At the end the place is free for others at once."""
        stream = Stream(self._queue, self.idle)
        try:
            yield stream
        finally:
            stream.release()


class Stream:
    """The turns of one stream, which keeps its place from step to step unless another one is due sooner.

    A stream asks for its next step only after the last one's audio has been passed on. If its place were free
    as soon as a step ends, a step that is due later would take it. Early in a sentence, when the listener has
    less audio left than that step takes, playback would then run dry.
    """

    def __init__(self, queue: DeadlineQueue, idle: IdleTime) -> None:
        self._queue, self._idle = queue, idle
        self._kept: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def slot(self, deadline: float = math.inf) -> AsyncIterator[None]:
        """A turn to compute the next, as ``DeadlineScheduler.slot``; its place is kept for ``KEPT_S``."""
        if self._kept is not None and self._queue.earliest_due < deadline:
            self.release()
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.cancel()
        else:
            self._idle.end()
            try:
                await self._queue.acquire(deadline)
            except BaseException:
                self._note_idle()
                raise
        try:
            yield
        finally:
            self._kept = asyncio.get_running_loop().call_later(KEPT_S, self.release)

    def release(self) -> None:
        if self._kept is not None:
            self._kept.cancel()
            self._kept = None
            self._queue.release()
            self._note_idle()

    def _note_idle(self) -> None:
        if not self._queue.taken:
            self._idle.begin()
