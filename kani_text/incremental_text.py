"""The spoken form of one segment, also while its written form still grows."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace

from kani_text.normalizer import NormalizerOptions, SpokenText, normalize
from kani_text.segmenter import TextSegment
from kani_text.types import Boundary, Emphasis


class IncrementalText:
    """A segment's text, which only ever grows: further text never changes what ``text`` was before.

    The session calls ``extend`` and ``close``; one engine reads, and waits in ``wait_for_more``.
    """

    def __init__(
        self,
        segment: TextSegment,
        yield_slot: Callable[[], AbstractAsyncContextManager[None]],
        options: NormalizerOptions,
        preceding: str = "",
    ) -> None:
        """yield_slot: lends the engine's slot while it is entered. preceding: the end of the text before."""
        self.written = segment.text
        """The written form so far."""
        self.boundary: Boundary | None = segment.boundary
        """The end of the segment; None while more may come."""
        self.style = segment.style
        """Voice, language and prosody that an SSML document gives it."""
        self._emphases = segment.emphases
        self.changed: Callable[[], None] | None = None
        """Called after each change, for an engine that sends the text on; it must not wait."""
        self._start = segment.start
        self._yield_slot = yield_slot
        self._options = options
        self._preceding = preceding
        self._grown = asyncio.Event()
        self._spoken: SpokenText | None = None

    @property
    def spoken(self) -> SpokenText:
        """The spoken form so far, with its origins in the session's text.

        While the segment is open, words are left out that further text could still change: in "19:30 de" the
        time waits for what follows it (``normalize``).
        """
        if self._spoken is None:
            complete = self.boundary is not None
            self._spoken = normalize(
                self.written, self._start, self._options, complete=complete, preceding=self._preceding
            )
        return self._spoken

    @property
    def text(self) -> str:
        """The spoken form's characters so far, up to the end of a word or the marks after it."""
        return self.spoken.text

    @property
    def emphases(self) -> tuple[Emphasis, ...]:
        """Emphasized parts of ``text``."""
        found = ((one, *self.spoken.spoken_for(one.start, one.end)) for one in self._emphases)
        return tuple(replace(one, start=start, end=end) for one, start, end in found if start < end)

    def extend(self, text: str) -> None:
        """Add ``text`` to the written form; it ends where a word does."""
        self.written += text
        self._change()

    def close(self, boundary: Boundary) -> None:
        """End the segment: nothing is added to it any more."""
        self.boundary = boundary
        self._change()

    def _change(self) -> None:
        self._spoken = None
        self._grown.set()
        if self.changed is not None:
            self.changed()

    async def wait_for_more(self, known: int, timeout_s: float | None = None) -> None:
        """Return once ``text`` is longer than ``known``, the segment has ended, or ``timeout_s`` is over.

        Unless it returns at once, the engine's slot is lent to other sessions meanwhile and acquired again,
        in turn, before it returns (``timeout_s`` does not count that). Only while the engine's generator
        runs. Cancelling it cancels the segment: the slot is not acquired again.
        """
        if self._has_more(known):
            return
        async with self._yield_slot():
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    while not self._has_more(known):
                        self._grown.clear()
                        await self._grown.wait()

    def _has_more(self, known: int) -> bool:
        return self.boundary is not None or len(self.text) > known
