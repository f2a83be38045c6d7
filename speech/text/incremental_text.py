"""A segment's text as an engine sees it, also while it is still being written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress

from speech.text.normalizer import NormalizerOptions, SpokenText, normalize
from speech.text.segmenter import OpenTextSegment, TextSegment
from speech.types import Boundary


class IncrementalText:
    """What is to be said of a segment so far; text is only ever added to it.

    ``spoken`` is that text with its origins. One engine reads, and waits in ``more``; the session
    calls ``update``.
    """

    def __init__(
        self,
        cut: TextSegment | OpenTextSegment,
        rest: Callable[[], AbstractAsyncContextManager[None]],
        reading: NormalizerOptions,
        before: str = "",
    ) -> None:
        """cut: the segment as it was written; rest: lends the engine's place while it is entered;
        reading: how it is read; before: some of what is written before it.
        """
        self._cut = cut
        self._rest = rest
        self._reading = reading
        self._before = before
        self._written = len(cut.text)
        self._changed = asyncio.Event()
        self.spoken = self._read()
        self.boundary: Boundary | None = cut.boundary
        """What ends the segment; None while it goes on. Set once, together with the last text."""

    @property
    def text(self) -> str:
        """What is to be said so far, up to the end of a word or the marks behind it."""
        return self.spoken.text

    def update(self) -> None:
        """Take over what was added to the cut.

        Of a text that goes on only so much is said as what is still to come cannot change: in "19:30 de"
        the time waits for what follows it (``normalize``).
        """
        ended = self._cut.boundary is not None and self.boundary is None
        if len(self._cut.text) > self._written or ended:
            self._written = len(self._cut.text)
            self.spoken = self._read()
        self.boundary = self._cut.boundary
        self._changed.set()

    def _read(self) -> SpokenText:
        cut = self._cut
        complete = cut.boundary is not None
        return normalize(cut.text, cut.start, self._reading, complete=complete, preceding=self._before)

    async def wait_for_more(self, known: int, timeout_s: float | None = None) -> None:
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
