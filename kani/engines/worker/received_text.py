"""A segment's growing text at the worker: what the server has sent of it so far."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from kani.core.types import Boundary
from kani.engines.remote.messages import Written
from kani_text.incremental_text import IncrementalText
from kani_text.normalizer import VERBATIM, SpokenText
from kani_text.segmenter import TextSegment


class ReceivedText(IncrementalText):
    """The spoken form that the server has made; the written form stays there."""

    def __init__(
        self,
        written: Written,
        yield_slot: Callable[[], AbstractAsyncContextManager[None]],
        ask: Callable[[int, float | None], None],
    ) -> None:
        """ask: asks the server for more text than a number of characters, with a time limit in seconds."""
        super().__init__(TextSegment(0, written.text), yield_slot, VERBATIM)
        self._ask = ask
        self._resumed = asyncio.Event()
        self._received = _spoken(written)
        self.boundary: Boundary | None = written.boundary

    @property
    def spoken(self) -> SpokenText:
        """See ``IncrementalText.spoken``; the origins are positions in the spoken form itself."""
        return self._received

    def receive(self, written: Written) -> None:
        self.written, self.boundary = written.text, written.boundary
        self._received = _spoken(written)

    def resume(self) -> None:
        """Let the engine go on: the text has grown or ended, or the time is over."""
        self._resumed.set()

    async def wait_for_more(self, known: int, timeout_s: float | None = None) -> None:
        """See ``IncrementalText.wait_for_more``.

        The server waits: there the text is, and its slot is lent meanwhile.
        """
        if self.boundary is not None or len(self.text) > known:
            return
        self._resumed.clear()
        self._ask(known, timeout_s)
        async with self._yield_slot():
            await self._resumed.wait()


def _spoken(written: Written) -> SpokenText:
    length = len(written.text)
    positions = tuple(range(length + 1))
    return SpokenText(written.text, positions[:-1], positions[1:], written.pronunciations)
