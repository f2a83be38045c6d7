"""A segment's text as an engine sees it, also while it is still being written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress

from speech.normalizer import normalize
from speech.segmenter import Cut, OpenCut
from speech.types import Boundary


class WrittenText:
    """What is to be said of a segment so far; text is only ever added to it.

    ``spoken`` is that text with its origins. One engine reads, and waits in ``more``; the session
    calls ``update``.
    """

    def __init__(self, cut: Cut | OpenCut, rest: Callable[[], AbstractAsyncContextManager[None]]) -> None:
        """cut: the segment as it was written; rest: lends the engine's place while it is entered."""
        self._cut = cut
        self._rest = rest
        self._written = len(cut.text)
        self._changed = asyncio.Event()
        self.spoken = normalize(cut.text, cut.start)
        self.boundary: Boundary | None = cut.boundary
        """What ends the segment; None while it goes on. Set once, together with the last text."""

    @property
    def text(self) -> str:
        """What is to be said so far, up to the end of a word or the marks behind it."""
        return self.spoken.text

    def update(self) -> None:
        """Take over what was added to the cut.

        This is the one place that decides how much of the written text is said for good: all of
        it, because it ends where a word does, and ``normalize`` looks at no more than one
        character and its combining marks. A normaliser that looks at several words has to keep
        back here what those to come may change.
        """
        if len(self._cut.text) > self._written:
            self._written = len(self._cut.text)
            self.spoken = normalize(self._cut.text, self._cut.start)
        self.boundary = self._cut.boundary
        self._changed.set()

    async def more(self, known: int, timeout_s: float | None = None) -> None:
        """Return once ``text`` is longer than ``known``, the boundary is known, or time is over.

        Returns at once if it is so already; else the engine's place is lent to others while it
        waits, and taken again, in turn, before it returns (``timeout_s`` seconds do not count
        that). Only while the engine's generator runs. Cancelling it is cancelling the segment:
        the place is not taken again.
        """
        if self._is_more(known):
            return
        async with self._rest():
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    while not self._is_more(known):
                        self._changed.clear()
                        await self._changed.wait()

    def _is_more(self, known: int) -> bool:
        return self.boundary is not None or len(self.text) > known
