"""Cuts text, as it comes, into segments that are spoken in one breath.

However the text was cut on its way here, the same segments come out: each decision looks at a
prefix of the text that no further text can change (``speech.text.boundaries`` sees to that). Only where a
segment is opened before its end is known does it depend on what was there at that moment.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from speech.text.boundaries import (
    CLOSERS,
    SENTENCE_MARKS,
    UNSPACED_MARKS,
    BreakKind,
    is_grapheme_start,
    phrase_breaks,
)
from speech.text.markup import CODE_BLOCK, MASK
from speech.types import Boundary

LOOKAHEAD_WEIGHT = 16
"""How much text behind the longest possible segment settles every break inside it: more than the
longest conjunction and a dash with its space."""

MIN_WORDS_TO_OPEN = 2
"""A segment is opened with no fewer: a word alone may turn out to be all of it ("Sí."), which
engines pronounce badly, and each more is one word later for the first sound."""

OPEN_PHRASE_SHARE = 0.6
"""The share of the longest weight beyond which an open segment ends at the next breath: what was
given cannot be taken back, so it has to end at a good place that comes while there is still room."""

OPEN_SPACE_SHARE = 0.8
"""The share beyond which it ends at any space, for fear that no breath comes."""

MAX_CHARACTERS = 1000
"""Of a segment: white space and masked markup weigh nothing, but all of a segment is looked at each time."""

_BOUNDARIES = {
    BreakKind.PARAGRAPH: Boundary.PARAGRAPH,
    BreakKind.SENTENCE: Boundary.SENTENCE,
    BreakKind.CLAUSE: Boundary.CLAUSE,
}


@dataclass(frozen=True, slots=True)
class SegmentPolicy:
    """How long segments are, in weights: a letter weighs 1, a digit or a wide character 4.

    shortest_first, shortest: a sentence shorter than this is spoken together with the next one; the
    first also if it is a single word, which engines pronounce badly without any other.
    longest: no segment is heavier. early_phrase: the first segment may be a phrase inside the
    first sentence. growth: a later segment is cut at the breath at
    which it weighs at most so many times what was cut before it, so that it is ready before that
    was heard (0: no such bound). Without any breath up to ``longest`` it is cut at a space.
    """

    min_first_weight: int = 8
    min_weight: int = 40
    max_weight: int = 200
    early_phrase: bool = False
    max_growth: float = 0.0

    def for_speed(self, speed: float) -> SegmentPolicy:
        """The policy for slow speech, whose segments last as long as at speed 1."""
        if speed >= 1:
            return self
        longest = max(int(self.max_weight * speed), self.min_first_weight)
        return SegmentPolicy(
            self.min_first_weight, min(self.min_weight, longest), longest, self.early_phrase, self.max_growth
        )


WHOLE_SENTENCES = SegmentPolicy()
"""For an engine whose first sound comes early whatever the segment's length."""

EARLY_PHRASE = SegmentPolicy(early_phrase=True, max_growth=2.0)
"""For an engine that gives a segment's audio only when all of it is done: even at a third of real time
a segment twice as long as what was heard before it is ready in time."""

MIN_GROWN_WEIGHT = 30
"""What may follow however little came before it."""

MIN_CUT_WEIGHT = 12
"""A breath before so little text is no place to cut for want of a better one."""


@dataclass(frozen=True, slots=True)
class TextSegment:
    """Characters ``[start, end)`` of the text fed so far, white space and all.

    language: of the passage that it is of, where that is not the text's own.
    """

    start: int
    end: int
    text: str
    boundary: Boundary
    language: str | None = None


@dataclass(slots=True)
class OpenTextSegment:
    """A segment that began at ``start`` and still grows, until ``boundary`` says what ended it.

    ``text`` is what certainly belongs to it so far: it ends at the end of a word or at a break.
    """

    start: int
    text: str
    boundary: Boundary | None
    language: None = None


_MASKS = {MASK: 0, CODE_BLOCK: 15}
_WORD = re.compile(r"\S+")
_COMPLETE_WORD = re.compile(r"\s*\S+(?=\s)")

_Candidate = tuple[int, BreakKind, int]
"""Where one could cut, how deep a breath that is, and the weight before it."""


class Segmenter:
    """Text in pieces goes in, segments come out; together they are the text again."""

    def __init__(self, policy: SegmentPolicy) -> None:
        self._policy = policy
        self._text = ""
        self._offset = 0
        self._spoken_weight = 0
        self._first = True
        self._open: OpenTextSegment | None = None
        self._end = BreakKind.SENTENCE

    @property
    def pending(self) -> bool:
        """Whether there is text that belongs to no segment yet, or to one that is open."""
        return bool(self._text.strip()) or self._open is not None

    def feed(self, text: str) -> list[TextSegment]:
        """Take more text; the segments that are now certain, behind the open one if there is one."""
        self._text += text
        return self._cuts(complete=False)

    def flush(self, *, more_to_come: bool = False) -> list[TextSegment]:
        """Everything taken so far, as if it ended here; an open segment is closed.

        more_to_come: what ends in the middle of a sentence does so like a clause.
        """
        last = self._text.rstrip(CLOSERS + " \t\n\u00a0\u202f")[-1:]
        ends = last in SENTENCE_MARKS + UNSPACED_MARKS
        self._end = BreakKind.SENTENCE if ends or not more_to_come else BreakKind.CLAUSE
        return self._cuts(complete=True)

    def open(self) -> OpenTextSegment | None:
        """Begin the next segment with the words that are certain so far, if they are enough.

        None also while another is open. What is fed from now on is added to it, and it is closed,
        before ``feed`` or ``flush`` returns.
        """
        if self._open is not None:
            return None
        end, kind = self._certain(complete=False)
        words = sum(any(map(str.isalnum, word)) for word in self._text[:end].split())
        if words < MIN_WORDS_TO_OPEN:
            return None
        opened = self._open = OpenTextSegment(self._offset, "", None)
        self._grow(opened, end, kind)
        return opened

    def _grow(self, opened: OpenTextSegment, end: int, kind: BreakKind | None) -> None:
        """Give the open segment its text up to ``end``; close it where ``kind`` ends it."""
        opened.text = self._text[:end]
        if kind is not None:
            opened.boundary = _BOUNDARIES.get(kind, Boundary.WORD)
            self._open = None
            self._pass(end)

    def _certain(self, complete: bool) -> tuple[int, BreakKind | None]:
        """How much of the text belongs to a segment that is open, and the break that ends it there.

        Nothing that is given is ever left out when more text has come.
        """
        policy, text = self._policy, self._text
        heavy = at = 0
        kind = BreakKind.UNSAFE
        for words, found in enumerate(phrase_breaks(text, 0, complete), 1):
            heavier = heavy + weight(text[at : found.at])
            if heavier > policy.max_weight:
                return at, kind
            heavy, at, kind = heavier, found.at, found.kind
            if self._ends_open(kind, heavy, words):
                return at, kind
        given = len(self._open.text) if self._open is not None else 0
        if len(text) > max(MAX_CHARACTERS, given):
            return max(MAX_CHARACTERS, given), BreakKind.UNSAFE
        word = _COMPLETE_WORD.match(text, at)
        if word is not None and not complete and heavy + weight(word.group()) <= policy.max_weight:
            # A word that ends in a letter needs no look at what follows; one that ends in a mark
            # waits for it, because the mark may end the segment.
            plain = unicodedata.category(word.group()[-1])[0] in "LNM"
            return (word.end() if plain else at), None
        if heavy + _weight_up_to(text, at, policy.max_weight + 1 - heavy) > policy.max_weight:
            return at, kind
        return (len(text), self._end) if complete else (at, None)

    def _ends_open(self, kind: BreakKind, heavy: int, words: int) -> bool:
        """Whether an open segment ends at a break of ``kind`` with the weight ``heavy`` before it."""
        longest = self._policy.max_weight
        if kind is BreakKind.PARAGRAPH or (kind is BreakKind.SENTENCE and self._long_enough(heavy, words)):
            return True
        if heavy > OPEN_PHRASE_SHARE * longest and kind >= BreakKind.CONJUNCTION:
            return True
        return heavy > OPEN_SPACE_SHARE * longest and kind is not BreakKind.UNSAFE

    def _long_enough(self, heavy: int, words: int) -> bool:
        """Whether so much text may be a segment by itself."""
        if self._first:
            return heavy >= self._policy.min_first_weight and words > 1
        return heavy >= self._policy.min_weight

    def _pass(self, end: int) -> None:
        """The text up to ``end`` is a segment; go on behind it."""
        self._spoken_weight += weight(self._text[:end])
        self._first = False
        self._offset += end
        self._text = self._text[end:]

    def _cuts(self, complete: bool) -> list[TextSegment]:
        if self._open is not None:
            self._grow(self._open, *self._certain(complete))
            if self._open is not None:
                return []
        cuts = []
        while self._text and (decision := self._decide(complete)) is not None:
            end, kind = decision
            boundary = _BOUNDARIES.get(kind, Boundary.WORD)
            cuts.append(TextSegment(self._offset, self._offset + end, self._text[:end], boundary))
            self._pass(end)
        return cuts

    def _decide(self, complete: bool) -> tuple[int, BreakKind] | None:
        """Where the next segment ends, or None if that isn't certain yet."""
        policy, text = self._policy, self._text
        wanted = self._wanted()
        heavy = at = 0
        breaths: list[_Candidate] = []
        spaces: list[_Candidate] = []
        for words, found in enumerate(phrase_breaks(text, 0, complete), 1):
            heavy += weight(text[at : found.at])
            at = found.at
            if heavy > policy.max_weight or (heavy > wanted and breaths):
                break
            long_enough = self._long_enough(heavy, words)
            if found.kind is BreakKind.PARAGRAPH or (found.kind is BreakKind.SENTENCE and long_enough):
                return found.at, found.kind
            if self._first and policy.early_phrase and found.kind is BreakKind.CLAUSE and long_enough:
                return found.at, found.kind
            if heavy > wanted and found.kind >= BreakKind.CONJUNCTION:
                return found.at, found.kind
            if found.kind < BreakKind.CONJUNCTION:
                spaces.append((found.at, found.kind, heavy))
            elif heavy >= MIN_CUT_WEIGHT:
                breaths.append((found.at, found.kind, heavy))
        total = heavy + _weight_up_to(text, at, policy.max_weight + LOOKAHEAD_WEIGHT + 1 - heavy)
        margin = 0 if complete else LOOKAHEAD_WEIGHT
        if breaths and total > wanted + margin:
            return _deepest(breaths, wanted)
        if total > policy.max_weight + margin:
            return _deepest(spaces, policy.max_weight) if spaces else (self._forced(), BreakKind.UNSAFE)
        if len(text) > MAX_CHARACTERS:
            return MAX_CHARACTERS, BreakKind.UNSAFE
        return (len(text), self._end) if complete else None

    def _wanted(self) -> int:
        """The weight beyond which a segment is cut at any breath."""
        policy = self._policy
        if self._first or not policy.max_growth:
            return policy.max_weight
        return min(policy.max_weight, max(MIN_GROWN_WEIGHT, int(policy.max_growth * self._spoken_weight)))

    def _forced(self) -> int:
        """Where to cut a word that is longer than any segment: between two graphemes."""
        longest = self._policy.max_weight
        heavy = end = 0
        while end < len(self._text):
            heavy += weight(self._text[end])
            if heavy > longest and end > 0:
                break
            end += 1
        at = end
        while at > 1 and at < len(self._text) and not is_grapheme_start(self._text, at):
            at -= 1
        return at if at > 1 else end


def weight(text: str) -> int:
    """About how long a text takes to say, in letters; white space takes no time."""
    return sum(map(_weight, text))


def _weight_up_to(text: str, start: int, enough: int) -> int:
    """The weight of ``text`` from ``start`` on, or at least ``enough`` of it: no more is looked at."""
    heavy = 0
    for word in _WORD.finditer(text, start):
        for character in word.group():
            heavy += _weight(character)
            if heavy >= enough:
                return heavy
    return heavy


def _weight(character: str) -> int:
    if character in _MASKS:
        return _MASKS[character]
    if character.isascii():
        return 4 if character.isdigit() else 0 if character.isspace() else 1
    if character.isspace():
        return 0
    return 4 if character.isdigit() or unicodedata.east_asian_width(character) in "WF" else 1


def _deepest(candidates: list[_Candidate], longest: int) -> tuple[int, BreakKind]:
    """The deepest breath that isn't too early in the segment, else the deepest; the last of a kind."""
    late = [candidate for candidate in candidates if 3 * candidate[2] >= longest]
    at, kind, _ = max(late or candidates, key=lambda candidate: (candidate[1], candidate[0]))
    return at, kind
