"""What a session has to say, part by part: its text as it comes, cut where one breathes, and its rests."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from itertools import chain, islice

from speech.text.foreign_passages import LanguageRun, ScriptSplitter
from speech.text.incremental_text import IncrementalText
from speech.text.markup import MASK, Break, MarkupMasker
from speech.text.normalizer import NormalizerOptions, speakable
from speech.text.segmenter import OpenTextSegment, Segmenter, SegmentPolicy, TextSegment

_PARTS_AHEAD = 4
_REMEMBERED = 32
"""Characters of what was said before that the next segment's text is read by."""

_PIECES_AT_ONCE = 4
_CUT_AT_ONCE = 500
"""Characters that are cut in one go: one to two milliseconds."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Silence of so many seconds before the character ``at`` of the text."""

    at: int
    seconds: float


@dataclass(frozen=True, slots=True)
class _Flush:
    """What is before it is to be said without what is behind it."""

    more_to_come: bool


class SegmentQueue:
    """Text goes in as it comes; parts come out once it has ``begun``, which needs to know who speaks.

    On its way its markup is masked and its pauses become rests (``speech.text.markup``), passages in another
    script are told from the rest (``speech.text.foreign_passages``), and it is cut
    (``speech.text.segmenter``). ``length`` is how many characters were fed, ``finished`` whether no more will
    come, ``flushed`` whether what is there is to be said without waiting for more.
    """

    def __init__(self, *, announce_code: bool = True) -> None:
        """announce_code: whether a block of code is announced, or passed over."""
        self.length = 0
        self.finished = False
        self.flushed = False
        self._draining = False
        self._held_back: deque[str | Pause | _Flush] = deque()
        self._announce_code = announce_code
        self._markup = MarkupMasker(announce_code=announce_code)
        self._passages: ScriptSplitter | None = None
        self._language: str | None = None
        self._segmenter: Segmenter | None = None
        self._opens = False
        self._passed = 0
        self._said: TextSegment | OpenTextSegment | None = None
        self._parts: deque[TextSegment | Pause] = deque()
        self._written: IncrementalText | None = None
        self._wake = asyncio.Event()

    @property
    def started(self) -> bool:
        """Whether ``begin`` was called."""
        return self._segmenter is not None

    @property
    def language_sample(self) -> str:
        """The text so far, before ``begin``, without its markup: enough to tell its language."""
        parts = (part for part in self._held_back if isinstance(part, str))
        text = "".join(islice(chain.from_iterable(parts), _CUT_AT_ONCE))
        markup = MarkupMasker(announce_code=False)
        plain = [*markup.feed(text), *markup.flush()]
        return "".join(part for part in plain if isinstance(part, str)).replace(MASK, "")

    @property
    def starved(self) -> bool:
        """Whether all that can be said so far was taken, and more may come."""
        return not (self._parts or self.finished or self._cuttable)

    @property
    def empty(self) -> bool:
        """Whether nothing that was fed is left, and more may come."""
        pending = self._segmenter is not None and self._segmenter.pending
        return not (self._held_back or self._parts or pending)

    def has_speech_left(self) -> bool:
        """Whether any of what is left has a word or a rest in it, given that it is known how it is cut."""
        while True:
            if any(isinstance(part, Pause) or speakable(part.text) for part in self._parts):
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

    def pause(self, seconds: float) -> None:
        """Add a silence behind what was fed."""
        self._held_back.append(Pause(self.length, seconds))
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
        """More is not waited for once all that is there was said, as if the text ended there."""
        self._draining = True
        if self.started:
            self._held_back.append(_Flush(more_to_come=False))
            self._cut()
        self._wake.set()

    def start(
        self, policy: SegmentPolicy, language: str, spoken_languages: Collection[str], *, open_segments: bool
    ) -> None:
        """Cut by ``policy``; opens: whether a segment may be said before its end is known.

        language: the text's own (BCP 47); known: those that passages may be in.
        """
        self._segmenter = Segmenter(policy)
        self._passages = ScriptSplitter(language, spoken_languages)
        self._opens = open_segments
        self._cut()

    def require_complete_segments(self) -> None:
        """Give segments from now on only once their end is known."""
        self._opens = False

    async def next(self) -> TextSegment | OpenTextSegment | Pause | None:
        """The next part: one that is certain, else an open segment; None behind the last."""
        while not self._parts:
            if self._cuttable:
                self._cut()
                if not self._parts:
                    # Much text of which nothing is said shall not keep everybody waiting.
                    await asyncio.sleep(0)
                continue
            if self.finished or (self._draining and self.empty):
                return None
            if self._language is None and self._opens and (opened := self._open()):
                return opened
            await self.wait_for_more()
        return self._parts.popleft()

    def begin_segment(
        self,
        cut: TextSegment | OpenTextSegment,
        rest: Callable[[], AbstractAsyncContextManager[None]],
        reading: NormalizerOptions,
    ) -> IncrementalText:
        """The text of a part, which grows with what is fed until its end is known.

        rest: lends the engine's place while it is entered; reading: how it is read.
        """
        before = self._said.text[-_REMEMBERED:] if self._said is not None else ""
        self._written = IncrementalText(cut, rest, reading, before)
        self._said = cut
        return self._written

    async def wait_for_more(self) -> None:
        """Return once something was added."""
        self._wake.clear()
        await self._wake.wait()

    @property
    def _cuttable(self) -> bool:
        """Whether there is something that was not looked at yet, and could be."""
        return self._segmenter is not None and len(self._held_back) > 0

    @property
    def _grows(self) -> bool:
        """Whether a segment is open, and so what is fed belongs to it first."""
        return self._written is not None and self._written.boundary is None

    def _open(self) -> OpenTextSegment | None:
        return self._segmenter.open() if self._segmenter is not None else None

    def _cut(self, parts: int = _PARTS_AHEAD) -> None:
        """Cut some of what was fed, until so many parts wait: all of a long text takes a while.

        A segment that is open gets all of it, because nobody asks for the next part before it ends.
        """
        segmenter, passages = self._segmenter, self._passages
        left = len(self._held_back) if self._grows else _PIECES_AT_ONCE
        if segmenter is not None and passages is not None:
            while self._held_back and len(self._parts) < parts and left > 0:
                left -= 1
                match self._held_back.popleft():
                    case Pause() as rest:
                        self._say_so_far(segmenter, passages, more_to_come=True)
                        self._parts.append(rest)
                    case _Flush(more_to_come):
                        self._say_so_far(segmenter, passages, more_to_come=more_to_come)
                    case str(text):
                        self._take(segmenter, passages, self._markup.feed(text))
            if self._written is not None:
                self._written.update()
        self._wake.set()

    def _take(self, segmenter: Segmenter, passages: ScriptSplitter, plain: list[str | Break]) -> None:
        """Cut text without its markup, and rest where it asks for it."""
        for piece in plain:
            if isinstance(piece, Break):
                self._cut_parts(segmenter, passages.flush())
                self._add(segmenter.flush(more_to_come=True))
                self._parts.append(Pause(self._passed, piece.seconds))
            else:
                self._passed += len(piece)
                self._cut_parts(segmenter, passages.feed(piece))

    def _say_so_far(self, segmenter: Segmenter, passages: ScriptSplitter, *, more_to_come: bool) -> None:
        """Cut what is there as if it ended here."""
        self._take(segmenter, passages, self._markup.flush())
        self._cut_parts(segmenter, passages.flush())
        self._add(segmenter.flush(more_to_come=more_to_come))

    def _cut_parts(self, segmenter: Segmenter, parts: list[LanguageRun]) -> None:
        for part in parts:
            if part.language != self._language:
                self._add(segmenter.flush(more_to_come=True))
                self._language = part.language
            self._add(segmenter.feed(part.text))

    def _add(self, cuts: list[TextSegment]) -> None:
        """Add cuts, which are all of the passage at hand."""
        self._parts.extend(replace(cut, language=self._language) if self._language else cut for cut in cuts)
