"""The streams of a model's batch: steps all that can go on together, in one thread."""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from enum import Enum
from typing import TYPE_CHECKING

from kani.core.errors import EngineFailed
from kani.core.types import Samples
from kani.engines.kyutai.speech.script import Word
from kani.runtime.cancelling import wait_until_done

if TYPE_CHECKING:
    from kani.engines.kyutai.speech.model import SpeechModel, Stream, Voice

FRAMES_AHEAD = 4
"""Frames of 80 ms that a stream may have before they are taken; then it waits, and the others go on."""

log = logging.getLogger(__name__)


class Missing(Enum):
    """Reason why a stream has no frame."""

    TEXT = "it waits for text"
    NOTHING = "it has ended"


class BatchStream:
    """One stream of the batch, for the event loop."""

    def __init__(self, batch: StreamBatch, stream: Stream) -> None:
        self._batch = batch
        self.stream = stream
        self.frames: deque[Samples] = deque()
        self.changed = asyncio.Event()
        self.error: EngineFailed | None = None
        self._words: list[Word] = []
        self._complete = False

    def feed(self, words: Iterable[Word], *, complete: bool) -> None:
        """Add words, and the text's end; the model has them from its next step on."""
        self._words += words
        self._complete = complete
        self._batch.wake()

    def deliver(self) -> None:
        """Let the model have the words. Not while a step runs."""
        self.stream.new_words.extend(self._words)
        self._words.clear()
        self.stream.complete = self._complete

    def word_steps(self) -> Sequence[int]:
        """See ``SpeechModel.word_steps``."""
        return self._batch.model.word_steps(self.stream)

    async def next(self) -> Samples | Missing:
        """Return the next frame, once there is one. Raises EngineFailed."""
        while True:
            if self.frames:
                frame = self.frames.popleft()
                self._batch.wake()
                return frame
            if self.error is not None:
                raise self.error
            if self.stream.ended:
                return Missing.NOTHING
            if self._batch.lacks_text(self):
                return Missing.TEXT
            self.changed.clear()
            await self.changed.wait()


class StreamBatch:
    """Shares a model among streams. Used in one event loop; the model runs in ``pool``, of one thread."""

    def __init__(self, model: SpeechModel, pool: ThreadPoolExecutor) -> None:
        self.model = model
        self._pool = pool
        self._free = list(range(model.rows))
        self._streams: dict[int, BatchStream] = {}
        self._steps: asyncio.Task[None] | None = None
        self._step: asyncio.Future[list[Samples | None]] | None = None

    @asynccontextmanager
    async def stream(self, voice: Voice, *, seed: int, temperature: float) -> AsyncIterator[BatchStream]:
        """Hold a row of the batch, which has to have a free one; it is free again after a step that runs."""
        from kani.engines.kyutai.speech.model import Stream

        row = heapq.heappop(self._free)
        stream = BatchStream(self, Stream(row, voice, seed, temperature))
        self._streams[row] = stream
        try:
            yield stream
        finally:
            del self._streams[row]
            try:
                if self._step is not None:
                    await wait_until_done(self._step)
            finally:
                heapq.heappush(self._free, row)

    def lacks_text(self, stream: BatchStream) -> bool:
        """Return True if no step runs that could still give this stream a frame, as it waits for text."""
        if self._step is not None:
            return False
        stream.deliver()
        return not self.model.ready(stream.stream)

    def wake(self) -> None:
        """Go on with steps, if there is a stream that can."""
        if self._steps is None or self._steps.done():
            self._steps = asyncio.create_task(self._run(), name="kyutai steps")

    def _next(self) -> list[BatchStream]:
        found = []
        for each in self._streams.values():
            each.deliver()
            if each.error is None and len(each.frames) < FRAMES_AHEAD and self.model.ready(each.stream):
                found.append(each)
        return found

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while streams := self._next():
            self._step = loop.run_in_executor(self._pool, self.model.step, [each.stream for each in streams])
            try:
                await asyncio.wait([self._step])
                made = self._step.result()
            except Exception:
                # Models and drivers raise errors of any type; the streams must learn that there is no more.
                log.exception("a step of the Kyutai engine failed for %d streams", len(streams))
                made = [None] * len(streams)
                for each in streams:
                    each.error = EngineFailed("the Kyutai engine failed", logged=True)
            finally:
                self._step = None
            for each, frame in zip(streams, made, strict=True):
                if frame is not None:
                    each.frames.append(frame)
            for each in self._streams.values():
                each.changed.set()
            # Streams with room for a frame again, or with new text, join the next step.
            await asyncio.sleep(0)
