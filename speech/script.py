"""What a session has to say, part by part: its text as it comes, cut where one breathes, and its rests."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from speech.normalizer import normalize, speakable
from speech.segmenter import Cut, OpenCut, Policy, Segmenter
from speech.writing import WrittenText

_PARTS_AHEAD = 4
_CUT_AT_ONCE = 500
"""Characters that are cut in one go: one to two milliseconds."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Silence of so many seconds before the character ``at`` of the text."""

    at: int
    seconds: float


@dataclass(frozen=True, slots=True)
class _Flush:
    """What is before it is to be said without what is behind it."""

    more_to_come: bool


class Script:
    """Text goes in as it comes; parts come out once it has ``begun``, which needs to know who speaks.

    ``length`` is how many characters were fed, ``finished`` whether no more will come, ``flushed``
    whether what is there is to be said without waiting for more.
    """

    def __init__(self) -> None:
        self.length = 0
        self.finished = False
        self.flushed = False
        self._draining = False
        self._held_back: deque[str | Rest | _Flush] = deque()
        self._segmenter: Segmenter | None = None
        self._opens = False
        self._parts: deque[Cut | Rest] = deque()
        self._written: WrittenText | None = None
        self._wake = asyncio.Event()

    @property
    def begun(self) -> bool:
        """Whether ``begin`` was called."""
        return self._segmenter is not None

    @property
    def undecided(self) -> str:
        """The text so far, before ``begin``."""
        return "".join(part for part in self._held_back if isinstance(part, str))

    @property
    def dry(self) -> bool:
        """Whether all that can be said so far was taken, and more may come."""
        return not (self._parts or self.finished or self._cuttable)

    @property
    def spent(self) -> bool:
        """Whether nothing that was fed is left, and more may come."""
        pending = self._segmenter is not None and self._segmenter.pending
        return not (self._held_back or self._parts or pending)

    def anything_to_say(self) -> bool:
        """Whether any of what is left has a word in it, given that it is known how it is cut."""
        while True:
            if any(isinstance(part, Cut) and speakable(normalize(part.text).text) for part in self._parts):
                return True
            if not self._cuttable:
                return False
            self._cut(len(self._parts) + _PARTS_AHEAD)

    def feed(self, text: str) -> None:
        """Add ``text``."""
        self.length += len(text)
        self.flushed = False
        self._held_back.extend(text[at : at + _CUT_AT_ONCE] for at in range(0, len(text), _CUT_AT_ONCE))
        self._cut()

    def rest(self, seconds: float) -> None:
        """Add a silence behind what was fed."""
        self._held_back.append(Rest(self.length, seconds))
        self._cut()

    def flush(self) -> None:
        """What was fed is to be said without what may still come."""
        self.flushed = True
        if self._held_back or self._segmenter is not None:
            self._held_back.append(_Flush(not self.finished))
        self._cut()

    def finish(self) -> None:
        """No more will come."""
        self.finished = True
        self.flush()

    def drain(self) -> None:
        """More is not waited for once all that is there was said."""
        self._draining = True
        self._wake.set()

    def begin(self, policy: Policy, *, opens: bool) -> None:
        """Cut by ``policy``; opens: whether a segment may be said before its end is known."""
        self._segmenter = Segmenter(policy)
        self._opens = opens
        self._cut()

    async def next(self) -> Cut | OpenCut | Rest | None:
        """The next part: one that is certain, else an open segment; None behind the last."""
        while not self._parts:
            if self._cuttable:
                self._cut()
                continue
            if self.finished or (self._draining and self.spent):
                return None
            if self._opens and self._segmenter is not None and (opened := self._segmenter.open()):
                return opened
            await self.more()
        return self._parts.popleft()

    def say(self, cut: Cut | OpenCut, rest: Callable[[], AbstractAsyncContextManager[None]]) -> WrittenText:
        """The text of a part, which grows with what is fed until its end is known.

        rest: lends the engine's place while it is entered.
        """
        self._written = WrittenText(cut, rest)
        return self._written

    async def more(self) -> None:
        """Return once something was added."""
        self._wake.clear()
        await self._wake.wait()

    @property
    def _cuttable(self) -> bool:
        """Whether there is something that was not looked at yet, and could be."""
        return self._segmenter is not None and len(self._held_back) > 0

    def _cut(self, parts: int = _PARTS_AHEAD) -> None:
        """Cut some of what was fed, until so many parts wait: all of a long text takes a while."""
        segmenter = self._segmenter
        if segmenter is not None:
            while self._held_back and len(self._parts) < parts:
                match self._held_back.popleft():
                    case Rest() as rest:
                        self._parts.extend(segmenter.flush(more_to_come=True))
                        self._parts.append(rest)
                    case _Flush(more_to_come):
                        self._parts.extend(segmenter.flush(more_to_come=more_to_come))
                    case str(text):
                        self._parts.extend(segmenter.feed(text))
            if self._written is not None:
                self._written.update()
        self._wake.set()
