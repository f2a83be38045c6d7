"""The text of a segment, complete or still being written."""

import asyncio
from typing import Self

from kani.core.types import Boundary, Segment
from kani.runtime.cancelling import end_tasks
from kani_text.incremental_text import IncrementalText


class SegmentText:
    """A segment's text while it is sent, perhaps more than once; an asynchronous context manager.

    A task of its own waits for more text, while audio is received: so what was spoken already is played
    meanwhile, and the engine's slot is lent to others.
    """

    def __init__(self, segment: Segment, incremental_text: IncrementalText | None = None) -> None:
        """incremental_text: a text that is still being written; None where ``segment`` holds all of it."""
        self._segment = segment
        self.incremental_text = incremental_text
        self._growth: asyncio.Task[None] | None = None

    @property
    def text(self) -> str:
        return self._segment.text if self.incremental_text is None else self.incremental_text.text

    @property
    def boundary(self) -> Boundary | None:
        """End of the segment; None while it goes on."""
        return self._segment.boundary if self.incremental_text is None else self.incremental_text.boundary

    @property
    def complete(self) -> bool:
        return self.boundary is not None

    def growth(self, timeout_s: float) -> asyncio.Task[None] | None:
        """Return a task that ends with more text, its end, or ``timeout_s`` seconds; None if it is complete.

        The task that runs already is returned again.
        """
        if self.incremental_text is None or self.complete:
            return None
        if self._growth is None or self._growth.done():
            more = self.incremental_text.wait_for_more(len(self.text), timeout_s)
            self._growth = asyncio.create_task(more, name="upstream waits for text")
        return self._growth

    async def regain_slot(self) -> None:
        """Return once no task waits for text, and the engine's slot is held again."""
        if self._growth is not None:
            await self._growth

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await end_tasks(self._growth)
