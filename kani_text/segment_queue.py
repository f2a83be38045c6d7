"""A session's text as a queue of segments and pauses, filled while text comes."""

import asyncio
import re
from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from itertools import chain, islice

from kani_text.incremental_text import IncrementalText
from kani_text.markup import MASK, Break, without_markup
from kani_text.normalizer import NormalizerOptions, speakable
from kani_text.segment_pipeline import Part, Pause, SegmentPipeline
from kani_text.segmenter import Growth, TextSegment
from kani_text.ssml import Mark, PhraseEnd, SsmlDocument, SsmlGate, Style
from kani_text.types import Replacement

_PARTS_AHEAD = 4
"""Segments and pauses that are made before they are asked for."""

_PRECEDING = 32
"""Characters of the segment before that the normalizer sees as context of the next."""

_PIECES_AT_ONCE = 4
_PIECE = re.compile(".{1,250}", re.DOTALL)
"""Characters that go through the pipeline in one go: one to two milliseconds, or four where the script
changes at every word. All of a long text would block the event loop."""

_STYLES = 16
"""Styles that are listed, at most; one that comes again is listed once."""

_LANGUAGE_SAMPLE = 500
"""Characters that a language is detected by."""


@dataclass(frozen=True, slots=True)
class _Flush:
    """Ends the segment here; more_to_come: the text goes on after it."""

    more_to_come: bool


@dataclass(frozen=True, slots=True)
class _PlainText:
    """Text of an SSML document, its tags masked."""

    text: str


_Pending = str | _PlainText | Style | Pause | _Flush


class SegmentQueue:
    """Text goes in at any time; segments and pauses come out once ``start`` was called.

    Text waits until then, because the policy depends on the engine, and the engine on the text's language.
    Afterwards it goes through a ``SegmentPipeline``, a bounded amount at a time. An SSML document waits until
    it is complete; ``feed`` and ``finish`` raise InvalidRequest where it is not valid.
    """

    def __init__(self, *, ssml: bool | None = None) -> None:
        """ssml: as ``SsmlGate`` has it."""
        self.length = 0
        """Characters that were fed."""
        self.finished = False
        """True if no more text will come."""
        self.flushed = False
        """True if the text so far is to be spoken without waiting for more."""
        self.marks: list[Mark] = []
        """Marks of the documents so far, in order."""
        self.unused: list[str] = []
        """Names of what has no effect in them."""
        self.styles: list[Style] = []
        """The different styles with a voice or a language in them."""
        self._gate = SsmlGate(ssml)
        self._replacements: dict[int, Replacement] = {}
        self._had_phonemes = False
        self._draining = False
        self._open_segments = False
        self._pipeline: SegmentPipeline | None = None
        self._pending: deque[_Pending] = deque()
        self._parts: deque[TextSegment | Pause] = deque()
        self._current: IncrementalText | None = None
        self._wake = asyncio.Event()

    @property
    def started(self) -> bool:
        """True if ``start`` was called."""
        return self._pipeline is not None

    @property
    def language_sample(self) -> str:
        """The first characters before ``start``, without markup, to detect the language by."""
        parts = (_text(part) for part in self._pending)
        text = "".join(islice(chain.from_iterable(parts), _LANGUAGE_SAMPLE))
        return without_markup(text).replace(MASK, "")

    @property
    def starved(self) -> bool:
        """True if all that is certain so far was taken, and more may come."""
        return not (self._parts or self.finished or self._processable)

    @property
    def empty(self) -> bool:
        """True if nothing that was fed is left."""
        held_back = self._pipeline is not None and self._pipeline.pending
        return not (self._pending or self._parts or held_back)

    async def has_speech_left(self) -> bool:
        """Return True if a word or a pause is among what is left. Only after ``start`` and ``finish``."""
        searched = 0
        while True:
            found = islice(self._parts, searched, None)
            if any(isinstance(part, Pause) or speakable(part.text) for part in found):
                return True
            if not self._processable:
                return False
            searched = len(self._parts)
            self._process(searched + _PARTS_AHEAD)
            # A long text without anything to speak must not block the event loop.
            await asyncio.sleep(0)

    def feed(self, text: str) -> None:
        """Add ``text``."""
        self.length += len(text)
        self.flushed = False
        self._append(self._gate.feed(text))
        self._process()

    def pause(self, seconds: float) -> None:
        """Add a pause; it ends the segment before it."""
        self._append(self._gate.release())
        self._pending.append(Pause(self.length, seconds))
        self._process()

    def flush(self) -> None:
        """End the segment here, even inside a sentence; an SSML document that is not complete goes on."""
        self._append(self._gate.release())
        if not self._gate.holding:
            self._flush()

    def _flush(self) -> None:
        self.flushed = True
        if self._pending or self.started:
            self._pending.append(_Flush(not self.finished))
        self._process()

    def finish(self) -> None:
        """End the text."""
        self.finished = True
        self._append(self._gate.finish())
        self._flush()

    @property
    def has_phonemes(self) -> bool:
        """True if a document or the markup so far gives IPA."""
        return self._had_phonemes or any(each.ipa is not None for each in self._replacements.values())

    def drain(self) -> None:
        """Have ``next`` return None once the text so far was taken, whether or not more comes."""
        self._draining = True
        if self.started:
            self._pending.append(_Flush(more_to_come=False))
            self._process()
        self._wake.set()

    def start(self, pipeline: SegmentPipeline, *, open_segments: bool) -> None:
        """Segment by ``pipeline``; open_segments: whether a segment may be given before its end is known."""
        pipeline.replacements |= self._replacements
        self._replacements = pipeline.replacements
        self._pipeline = pipeline
        self._open_segments = open_segments
        self._process()

    def require_complete_segments(self) -> None:
        """Give segments from now on only once their end is known."""
        self._open_segments = False

    async def next(self, waits: Callable[[], None] = lambda: None) -> TextSegment | Pause | None:
        """Wait for the next part: a complete one, else an open segment; None after the last.

        waits: called before each wait for more text.

        An open segment has to go to ``begin_segment`` before anything is awaited: its growth goes there.
        """
        while not self._parts:
            if self._processable:
                self._process()
                if not self._parts:
                    # A long text without anything to speak must not block the event loop.
                    await asyncio.sleep(0)
                continue
            if self.finished or (self._draining and self.empty):
                return None
            if self._open_segments and self._pipeline is not None and (opened := self._pipeline.open()):
                return opened
            waits()
            await self.wait_for_more()
        return self._parts.popleft()

    def begin_segment(
        self,
        segment: TextSegment,
        yield_slot: Callable[[], AbstractAsyncContextManager[None]],
        options: NormalizerOptions,
    ) -> IncrementalText:
        """The text of a segment that ``next`` gave; an open one grows with what is fed until it ends.

        yield_slot: lends the engine's slot while it is entered.
        """
        for at in [at for at in self._replacements if at < segment.start]:
            self._had_phonemes |= self._replacements.pop(at).ipa is not None
        options = replace(options, replacements=self._replacements)
        preceding = self._current.written[-_PRECEDING:] if self._current is not None else ""
        self._current = IncrementalText(segment, yield_slot, options, preceding)
        return self._current

    async def wait_for_more(self) -> None:
        """Return once something was added."""
        self._wake.clear()
        await self._wake.wait()

    @property
    def _processable(self) -> bool:
        return self._pipeline is not None and len(self._pending) > 0

    def _append(self, fed: str | SsmlDocument) -> None:
        """Add text, or the parts of a document, to what is pending."""
        if isinstance(fed, str):
            self._pending.extend(_PIECE.findall(fed))
            return
        self.require_complete_segments()
        self.marks += fed.marks
        self.unused += [name for name in fed.unused if name not in self.unused]
        self._pending.append(_Flush(more_to_come=True))
        at = self.length - sum(len(part) for part in fed.parts if isinstance(part, str))
        for part in fed.parts:
            match part:
                case str():
                    self._pending.extend(map(_PlainText, _PIECE.findall(part)))
                    at += len(part)
                case Break(seconds):
                    self._pending.append(Pause(at, seconds))
                case Replacement():
                    self._replacements[at] = replace(part, end=at + part.end)
                case Style():
                    self._pending.append(part)
                    if (part.voice or part.language) and part not in self.styles[-_STYLES:]:
                        self.styles.append(part)
                case PhraseEnd():
                    self._pending.append(_Flush(more_to_come=True))

    def _process(self, parts: int = _PARTS_AHEAD) -> None:
        """Send pending text through the pipeline until ``parts`` wait: all of a long text takes a while.

        An open segment gets all of it, because ``next`` is not called before it ends.
        """
        growing = self._current is not None and self._current.boundary is None
        left = len(self._pending) if growing else _PIECES_AT_ONCE
        while self._pipeline is not None and self._pending and len(self._parts) < parts and left > 0:
            left -= 1
            self._add(_run(self._pipeline, self._pending.popleft()))
        self._wake.set()

    def _add(self, parts: list[Part]) -> None:
        """Queue segments and pauses; give what the open segment grows by to its text."""
        for part in parts:
            if not isinstance(part, Growth):
                self._parts.append(part)
                continue
            assert self._current is not None
            self._current.extend(part.text)
            if part.boundary is not None:
                self._current.close(part.boundary)


def _text(part: _Pending) -> str:
    """The text of a pending part; "" where it has none."""
    return part if isinstance(part, str) else part.text if isinstance(part, _PlainText) else ""


def _run(pipeline: SegmentPipeline, piece: _Pending) -> list[Part]:
    match piece:
        case Pause():
            return [*pipeline.flush(more_to_come=True), piece]
        case _Flush(more_to_come):
            return pipeline.flush(more_to_come=more_to_come)
        case _PlainText(text):
            return pipeline.feed_plain(text)
        case Style():
            return pipeline.use_style(piece)
        case str():
            return pipeline.feed(piece)
