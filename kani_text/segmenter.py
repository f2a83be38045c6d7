"""Cuts text, as it comes, into segments that engines speak one by one.

However the text was cut on its way here, the same segments come out: each decision looks at a prefix of the
text that no further text can change (``kani_text.boundaries`` sees to that). Only a segment that is opened
before its end is known depends on how much text there was at that moment.
"""

import re
import unicodedata
from dataclasses import dataclass

from kani_text.boundaries import (
    BreakKind,
    forced_cut,
    phrase_breaks,
    unspaced_end,
    weight,
    weight_up_to,
    word_count,
)
from kani_text.markup import MASK
from kani_text.ssml import PLAIN_STYLE, Style
from kani_text.types import Boundary, Emphasis
from kani_text.writing import CLOSERS_AFTER_WORDS, SENTENCE_MARKS, UNSPACED_SENTENCE_MARKS

LOOKAHEAD_WEIGHT = 16
"""Weight of the text after the longest possible segment that settles every break inside it: more than the
longest conjunction and a dash with its space."""

MIN_WORDS_TO_OPEN = 2
"""Words of a segment when it is opened: a single word may turn out to be all of it ("Sí."), which engines
pronounce badly, and each word more makes the first sound one word later."""

OPEN_PHRASE_SHARE = 0.6
"""Share of ``max_weight`` beyond which an open segment ends at the next phrase break: text that was given
cannot be taken back, so it has to end at a good place that comes while there is still room."""

OPEN_SPACE_SHARE = 0.8
"""Share beyond which it ends at any space, in case no phrase break comes."""

MAX_CHARACTERS = 1000
"""Characters of a segment: white space and masks weigh nothing, but all of it is searched each time."""

BOUNDARIES = {
    BreakKind.PARAGRAPH: Boundary.PARAGRAPH,
    BreakKind.SENTENCE: Boundary.SENTENCE,
    BreakKind.CLAUSE: Boundary.CLAUSE,
}


@dataclass(frozen=True, slots=True)
class SegmentPolicy:
    """Lengths of segments, in weights: a letter weighs 1, a digit or a wide character 4."""

    min_first_weight: int = 8
    """A lighter first sentence is joined with the next, and so is one of a single word: engines pronounce a
    word without any other badly."""
    min_weight: int = 40
    """Any later sentence that is lighter is joined with the next."""
    max_weight: int = 200
    """No segment is more: without any phrase break before it, it is cut at a space."""
    early_phrase: bool = False
    """True if the first segment may be a phrase inside the first sentence."""
    max_growth: float = 0.0
    """A later segment is cut at the phrase break at which it weighs at most this many times what was cut
    before it, so that it is ready before that was played (0: no such bound)."""

    def for_speed(self, speed: float) -> "SegmentPolicy":
        """The policy with segments that last as long at a ``speed`` below 1 as these at speed 1."""
        if speed >= 1:
            return self
        max_weight = max(int(self.max_weight * speed), self.min_first_weight)
        return SegmentPolicy(
            self.min_first_weight,
            min(self.min_weight, max_weight),
            max_weight,
            self.early_phrase,
            self.max_growth,
        )


WHOLE_SENTENCES = SegmentPolicy()
"""For an engine with first audio that comes early however long the segment is."""

EARLY_PHRASE = SegmentPolicy(early_phrase=True, max_growth=2.0)
"""For an engine that gives a segment's audio only when all of it is done: even at a third of real time
a segment twice as long as the audio before it is ready in time."""

MIN_GROWN_WEIGHT = 30
"""A segment may weigh this much however little came before it."""

MIN_CUT_WEIGHT = 12
"""A phrase break after less text is no place to cut, even where there is no better one."""


@dataclass(frozen=True, slots=True)
class TextSegment:
    """A part of the text that was fed, from its character ``start`` on, white space and all."""

    start: int
    text: str
    boundary: Boundary | None = None
    """The end of the segment; None while it is open: then ``text``, which ends at the end of a word or at a
    break, certainly belongs to it, and ``Growth`` follows."""
    language: str | None = None
    """Language of the foreign passage that it belongs to; None is the text's own."""
    style: Style = PLAIN_STYLE
    """Voice, language and prosody that an SSML document gives it."""
    emphases: tuple[Emphasis, ...] = ()
    """Emphasized parts of the text, which may reach beyond it."""

    @property
    def end(self) -> int:
        """The place in the text after it."""
        return self.start + len(self.text)


@dataclass(frozen=True, slots=True)
class Growth:
    """The characters that the open segment goes on with."""

    text: str
    boundary: Boundary | None
    """The end of the segment after them; None while it stays open."""


_COMPLETE_WORD = re.compile(r"\s*\S+(?=\s)")

_Candidate = tuple[int, BreakKind, int]
"""A place to cut, the kind of its break, and the weight before it."""


@dataclass(eq=False)
class Segmenter:
    """Text in pieces goes in, segments come out; together they are the text again."""

    policy: SegmentPolicy
    unspaced: bool = False
    """True if the text is of Han characters and kana, so that a segment may grow by each."""
    language: str = ""  # its primary subtag
    _text: str = ""
    _offset: int = 0
    _passed_weight: int = 0
    _first: bool = True
    _given: int | None = None
    """Characters that the open segment has so far; None while none is open."""
    _end: BreakKind = BreakKind.SENTENCE

    @property
    def pending(self) -> bool:
        """True if there is text that belongs to no segment yet, or a segment is open."""
        return bool(self._text.strip()) or self._given is not None

    def feed(self, text: str) -> list[TextSegment | Growth]:
        """Add ``text``; returns what is certain by now, the open segment's growth first."""
        self._text += text
        return self._segments(complete=False)

    def flush(self, *, more_to_come: bool = False) -> list[TextSegment | Growth]:
        """Return everything so far as if the text ended here; this closes the open segment.

        more_to_come: a segment that ends inside a sentence ends like a clause.
        """
        last = self._text.rstrip(CLOSERS_AFTER_WORDS + MASK + " \t\n\u00a0\u202f")[-1:]
        ends = last in SENTENCE_MARKS + UNSPACED_SENTENCE_MARKS
        self._end = BreakKind.SENTENCE if ends or not more_to_come else BreakKind.CLAUSE
        return self._segments(complete=True)

    def open(self) -> TextSegment | None:
        """Begin the next segment with the words that are certain so far.

        None if they are too few, or while another segment is open. A segment that ends with them is complete.
        """
        if self._given is not None:
            return None
        end, kind = self._certain(complete=False)
        start, text = self._offset, self._text[:end]
        spaced = (any(map(str.isalnum, word)) for word in text.split())
        words = word_count(text) if self.unspaced else sum(spaced)
        if words < MIN_WORDS_TO_OPEN:
            return None
        if kind is not None:
            return self._pass(end, kind)
        self._given = end
        return TextSegment(start, text)

    def _grow(self, given: int, complete: bool) -> Growth | None:
        """Growth of the open segment after its first ``given`` characters; None if none is certain."""
        end, kind = self._certain(complete)
        text = self._text[given:end]
        if kind is None:
            self._given = end
            return Growth(text, None) if text else None
        self._given = None
        return Growth(text, self._pass(end, kind).boundary)

    def _certain(self, complete: bool) -> tuple[int, BreakKind | None]:
        """The length of an open segment that is certain, and the break that ends it there, if one does.

        More text never makes it shorter.
        """
        policy, text = self.policy, self._text
        weighed = at = words = 0
        kind = BreakKind.UNSAFE
        for found in phrase_breaks(text, 0, complete, self.language):
            more = weighed + weight(text[at : found.at])
            if more > policy.max_weight:
                return self._overflow(at, kind, weighed)
            words += self._words(text[at : found.at])
            weighed, at, kind = more, found.at, found.kind
            if self._ends_open(kind, weighed, words):
                return at, kind
        given = self._given or 0
        if len(text) > max(MAX_CHARACTERS, given):
            return max(MAX_CHARACTERS, given), BreakKind.UNSAFE
        word = _COMPLETE_WORD.match(text, at)
        if word is not None and not complete and weighed + weight(word.group()) <= policy.max_weight:
            # A word that ends in a letter needs no look at what follows; one that ends in a mark
            # waits for it, because the mark may end the segment.
            plain = unicodedata.category(word.group()[-1])[0] in "LNM"
            return (word.end() if plain else self._unspaced_end(at, weighed)), None
        if weighed + weight_up_to(text, at, policy.max_weight + 1 - weighed) > policy.max_weight:
            return self._overflow(at, kind, weighed)
        return (len(text), self._end) if complete else (self._unspaced_end(at, weighed), None)

    def _overflow(self, at: int, kind: BreakKind, weighed: int) -> tuple[int, BreakKind]:
        """The end of an open segment that gets too long: the last break, or the last character it may have.

        weighed: before the break ``at``.
        """
        if self._given is not None and self._given > at:
            return self._unspaced_end(at, weighed), BreakKind.UNSAFE
        return at, kind

    def _unspaced_end(self, at: int, weighed: int) -> int:
        """The last place between two characters that is certain after ``at``; ``at`` with spaces."""
        return unspaced_end(self._text, at, self.policy.max_weight - weighed) if self.unspaced else at

    def _words(self, text: str) -> int:
        """Words between two breaks."""
        return max(1, word_count(text)) if self.unspaced else 1

    def _wanted_weight(self) -> int:
        """The weight beyond which a segment is cut at any phrase break."""
        policy = self.policy
        if not policy.max_growth or self._first:
            return policy.max_weight
        return min(policy.max_weight, max(MIN_GROWN_WEIGHT, int(policy.max_growth * self._passed_weight)))

    def _ends(self, kind: BreakKind, weighed: int, words: int, wanted: int) -> bool:
        """True if a segment ends at a break of ``kind`` with the weight ``weighed`` before it."""
        if self._ends_thought(kind, weighed, words) or (weighed > wanted and kind >= BreakKind.CONJUNCTION):
            return True
        early = self._first and self.policy.early_phrase and kind is BreakKind.CLAUSE
        return early and self._long_enough(weighed, words)

    def _ends_thought(self, kind: BreakKind, weighed: int, words: int) -> bool:
        """True at a paragraph's end, and at the end of a sentence that is long enough."""
        return kind is BreakKind.PARAGRAPH or (
            kind is BreakKind.SENTENCE and self._long_enough(weighed, words)
        )

    def _ends_open(self, kind: BreakKind, weighed: int, words: int) -> bool:
        """True if an open segment ends at a break of ``kind`` with the weight ``weighed`` before it."""
        max_weight = self.policy.max_weight
        if self._ends_thought(kind, weighed, words):
            return True
        if weighed > OPEN_PHRASE_SHARE * max_weight and kind >= BreakKind.CONJUNCTION:
            return True
        return weighed > OPEN_SPACE_SHARE * max_weight and kind is not BreakKind.UNSAFE

    def _long_enough(self, weighed: int, words: int) -> bool:
        """True if text of this weight and number of words may be a segment by itself."""
        if self._first:
            return weighed >= self.policy.min_first_weight and words > 1
        return weighed >= self.policy.min_weight

    def _pass(self, end: int, kind: BreakKind) -> TextSegment:
        """Take the text up to ``end`` as a segment."""
        text, start = self._text[:end], self._offset
        self._passed_weight += weight(text)
        self._first = False
        self._offset += end
        self._text = self._text[end:]
        return TextSegment(start, text, BOUNDARIES.get(kind, Boundary.WORD))

    def _segments(self, complete: bool) -> list[TextSegment | Growth]:
        found: list[TextSegment | Growth] = []
        if self._given is not None and (growth := self._grow(self._given, complete)) is not None:
            found.append(growth)
        while self._given is None and self._text and (decision := self._decide(complete)) is not None:
            found.append(self._pass(*decision))
        return found

    def _decide(self, complete: bool) -> tuple[int, BreakKind] | None:
        """The end of the next segment and the break there; None if more text could change them."""
        policy, text = self.policy, self._text
        wanted = self._wanted_weight()
        weighed = at = words = 0
        phrases: list[_Candidate] = []
        spaces: list[_Candidate] = []
        for found in phrase_breaks(text, 0, complete, self.language):
            weighed += weight(text[at : found.at])
            words += self._words(text[at : found.at])
            at = found.at
            if weighed > policy.max_weight or (weighed > wanted and phrases):
                break
            if self._ends(found.kind, weighed, words, wanted):
                return found.at, found.kind
            if found.kind < BreakKind.CONJUNCTION:
                spaces.append((found.at, found.kind, weighed))
            elif weighed >= MIN_CUT_WEIGHT:
                phrases.append((found.at, found.kind, weighed))
        total = weighed + weight_up_to(text, at, policy.max_weight + LOOKAHEAD_WEIGHT + 1 - weighed)
        margin = 0 if complete else LOOKAHEAD_WEIGHT
        if phrases and total > wanted + margin:
            return _deepest(phrases, wanted)
        if total > policy.max_weight + margin:
            cut = forced_cut(text, policy.max_weight), BreakKind.UNSAFE
            return _deepest(spaces, policy.max_weight) if spaces else cut
        if len(text) > MAX_CHARACTERS:
            return MAX_CHARACTERS, BreakKind.UNSAFE
        return (len(text), self._end) if complete else None


def _deepest(candidates: list[_Candidate], max_weight: int) -> tuple[int, BreakKind]:
    """The deepest break that isn't too early in the segment, else the deepest; the last of its kind."""
    late = [candidate for candidate in candidates if 3 * candidate[2] >= max_weight]
    at, kind, _ = max(late or candidates, key=lambda candidate: (candidate[1], candidate[0]))
    return at, kind
