"""What there is to say of a segment, all there or still being written."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from speech.text.incremental_text import IncrementalText
from speech.types import Boundary, Segment


class SegmentText:
    """A segment's text while it is sent, perhaps more than once; leave by ``async with``.

    One task waits for more of it, for as long as that takes, while audio comes: so what was said already is
    heard meanwhile, and the place belongs to others.
    """

    def __init__(self, segment: Segment, written: IncrementalText | None = None) -> None:
        """written: where it is still being written; else ``segment`` holds all of it."""
        self._segment = segment
        self.incremental_text = written
        self._growing: asyncio.Task[None] | None = None

    @property
    def text(self) -> str:
        """All so far."""
        return self._segment.text if self.incremental_text is None else self.incremental_text.text

    @property
    def boundary(self) -> Boundary | None:
        """What ends it; None while it goes on."""
        return self._segment.boundary if self.incremental_text is None else self.incremental_text.boundary

    @property
    def complete(self) -> bool:
        """Whether no more will come."""
        return self.boundary is not None

    def growth(self, timeout_s: float) -> asyncio.Task[None] | None:
        """Ends once there is more, or no more to come, or ``timeout_s`` seconds after it began; None where
        all is there."""
        if self.incremental_text is None or self.complete:
            return None
        if self._growing is None or self._growing.done():
            more = self.incremental_text.wait_for_more(len(self.text), timeout_s)
            self._growing = asyncio.create_task(more, name="ElevenLabs waits for text")
        return self._growing

    async def regain_slot(self) -> None:
        """Return once nobody waits for text, so that the place is held again."""
        if self._growing is not None:
            await self._growing

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._growing is not None and not self._growing.done():
            self._growing.cancel()
            await asyncio.wait([self._growing])
