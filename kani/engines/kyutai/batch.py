"""Steps of many streams in one thread: whatever frames wait when a step ends are the next step's batch."""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from kani.core.errors import Busy, EngineFailed
from kani.core.types import Samples
from kani.engines.kyutai.step import Frame, StepNetwork, StepResult, Stream

log = logging.getLogger(__name__)

WAIT_S = 10.0
"""Seconds that a stream waits for a place before it is refused."""

_Waiting = tuple[Frame, asyncio.Future[StepResult]]


class StepBatcher:
    """Shares a network among streams. Used in one event loop; the network runs in ``pool``, of one thread."""

    def __init__(self, network: StepNetwork, pool: ThreadPoolExecutor, *, wait_s: float = WAIT_S) -> None:
        self._network = network
        self._pool = pool
        self._wait_s = wait_s
        self._places = asyncio.Semaphore(network.slots)
        self._free = list(range(network.slots))
        self._waiting: list[_Waiting] = []
        self._steps: asyncio.Task[None] | None = None

    @property
    def free_slots(self) -> int:
        """Streams that could join."""
        return len(self._free)

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[Stream]:
        """Hold a place in the batch. Raises Busy if none is free in time.

        The place is free again at once: a step that still runs for this stream ends before the next
        stream's first, which begins its row anew.
        """
        try:
            async with asyncio.timeout(self._wait_s):
                await self._places.acquire()
        except TimeoutError as error:
            raise Busy(
                f"all {self._network.slots} streams of the recogniser are taken: try again later"
            ) from error
        # The lowest: the first rows are read without a copy.
        row = heapq.heappop(self._free)
        try:
            yield Stream(row)
        finally:
            heapq.heappush(self._free, row)
            self._places.release()

    async def step(self, stream: Stream, samples: Samples) -> StepResult:
        """Recognise one frame of a stream. Cancelled, it leaves the batch. Raises EngineFailed."""
        result: asyncio.Future[StepResult] = asyncio.get_running_loop().create_future()
        self._waiting.append((Frame(stream, samples), result))
        if self._steps is None or self._steps.done():
            self._steps = asyncio.create_task(self._run(), name="kyutai steps")
        return await result

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch = [(frame, result) for frame, result in self._waiting if not result.done()]
            self._waiting.clear()
            if not batch:
                continue
            frames = [frame for frame, _ in batch]
            try:
                results = await loop.run_in_executor(self._pool, self._network.step, frames)
            except RuntimeError:
                log.exception("a step of the recogniser failed for %d streams", len(batch))
                for _, result in batch:
                    if not result.done():
                        result.set_exception(EngineFailed("the recogniser failed", logged=True))
                continue
            for (_, result), found in zip(batch, results, strict=True):
                if not result.done():
                    result.set_result(found)
