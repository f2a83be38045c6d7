"""Cuts text, as it comes, into segments that are spoken in one breath.

However the text was cut on its way here, the same segments come out: each decision looks at a
prefix of the text that no further text can change (``speech.breaks`` sees to that).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from speech.breaks import Kind, breaks, is_grapheme_start
from speech.types import Boundary

MARGIN = 16
"""How much text behind the longest possible segment settles every break inside it: more than the
longest conjunction and a dash with its space."""

_BOUNDARIES = {
    Kind.PARAGRAPH: Boundary.PARAGRAPH,
    Kind.SENTENCE: Boundary.SENTENCE,
    Kind.CLAUSE: Boundary.CLAUSE,
}


@dataclass(frozen=True, slots=True)
class Policy:
    """How long segments are, in weights: a letter weighs 1, a digit or a wide character 4.

    shortest_first, shortest: a sentence shorter than this is spoken together with the next one; the
    first also if it is a single word, which engines pronounce badly without any other.
    longest: no segment is heavier. early_phrase: the first segment may be a phrase inside the
    first sentence. growth: a later segment is cut at the breath at
    which it weighs at most so many times what was cut before it, so that it is ready before that
    was heard (0: no such bound). Without any breath up to ``longest`` it is cut at a space.
    """

    shortest_first: int = 8
    shortest: int = 40
    longest: int = 200
    early_phrase: bool = False
    growth: float = 0.0

    def slowed(self, speed: float) -> Policy:
        """The policy for slow speech, whose segments last as long as at speed 1."""
        if speed >= 1:
            return self
        longest = max(int(self.longest * speed), self.shortest_first)
        return Policy(
            self.shortest_first, min(self.shortest, longest), longest, self.early_phrase, self.growth
        )


WHOLE_SENTENCES = Policy()
"""For an engine whose first sound comes early whatever the segment's length."""

EARLY_PHRASE = Policy(early_phrase=True, growth=2.0)
"""For an engine that gives a segment's audio only when all of it is done: even at a third of real time
a segment twice as long as what was heard before it is ready in time."""

SHORTEST_GROWN = 30
"""What may follow however little came before it."""

SHORTEST_CUT = 12
"""A breath before so little text is no place to cut for want of a better one."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Characters ``[start, end)`` of the text fed so far, white space and all."""

    start: int
    end: int
    text: str
    boundary: Boundary


_WORD = re.compile(r"\S+")

_Candidate = tuple[int, Kind, int]
"""Where one could cut, how deep a breath that is, and the weight before it."""


class Segmenter:
    """Text in pieces goes in, segments come out; together they are the text again."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._text = ""
        self._offset = 0
        self._spoken_weight = 0
        self._first = True

    def feed(self, text: str) -> list[Cut]:
        """Take more text; the segments that are now certain."""
        self._text += text
        return self._cuts(complete=False)

    def flush(self) -> list[Cut]:
        """Everything taken so far, as if it ended here."""
        return self._cuts(complete=True)

    def _cuts(self, complete: bool) -> list[Cut]:
        cuts = []
        start = 0
        while start < len(self._text):
            decision = self._decide(start, complete)
            if decision is None:
                break
            end, kind = decision
            text = self._text[start:end]
            boundary = _BOUNDARIES.get(kind, Boundary.WORD)
            cuts.append(Cut(self._offset + start, self._offset + end, text, boundary))
            self._spoken_weight += weight(text)
            self._first = False
            start = end
        self._offset += start
        self._text = self._text[start:]
        return cuts

    def _decide(self, start: int, complete: bool) -> tuple[int, Kind] | None:
        """Where the segment that begins at ``start`` ends, or None if that isn't certain yet."""
        policy, text = self._policy, self._text
        wanted = self._wanted()
        shortest = policy.shortest_first if self._first else policy.shortest
        heavy = 0
        at = start
        breaths: list[_Candidate] = []
        spaces: list[_Candidate] = []
        for words, found in enumerate(breaks(text, start, complete), 1):
            heavy += weight(text[at : found.at])
            at = found.at
            if heavy > policy.longest or (heavy > wanted and breaths):
                break
            long_enough = heavy >= shortest and not (self._first and words == 1)
            if found.kind is Kind.PARAGRAPH or (found.kind is Kind.SENTENCE and long_enough):
                return found.at, found.kind
            if self._first and policy.early_phrase and found.kind is Kind.CLAUSE and long_enough:
                return found.at, found.kind
            if heavy > wanted and found.kind >= Kind.CONJUNCTION:
                return found.at, found.kind
            if found.kind < Kind.CONJUNCTION:
                spaces.append((found.at, found.kind, heavy))
            elif heavy >= SHORTEST_CUT:
                breaths.append((found.at, found.kind, heavy))
        total = heavy + _weight_up_to(text, at, policy.longest + MARGIN + 1 - heavy)
        margin = 0 if complete else MARGIN
        if breaths and total > wanted + margin:
            return _deepest(breaths, wanted)
        if total > policy.longest + margin:
            return _deepest(spaces, policy.longest) if spaces else (self._forced(start), Kind.TORN)
        return (len(text), Kind.SENTENCE) if complete else None

    def _wanted(self) -> int:
        """The weight beyond which a segment is cut at any breath."""
        policy = self._policy
        if self._first or not policy.growth:
            return policy.longest
        return min(policy.longest, max(SHORTEST_GROWN, int(policy.growth * self._spoken_weight)))

    def _forced(self, start: int) -> int:
        """Where to cut a word that is longer than any segment: between two graphemes."""
        longest = self._policy.longest
        heavy = 0
        end = start
        while end < len(self._text):
            heavy += weight(self._text[end])
            if heavy > longest and end > start:
                break
            end += 1
        at = end
        while at > start + 1 and at < len(self._text) and not is_grapheme_start(self._text, at):
            at -= 1
        return at if at > start + 1 else end


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
    if character.isascii():
        return 4 if character.isdigit() else 0 if character.isspace() else 1
    if character.isspace():
        return 0
    return 4 if character.isdigit() or unicodedata.east_asian_width(character) in "WF" else 1


def _deepest(candidates: list[_Candidate], longest: int) -> tuple[int, Kind]:
    """The deepest breath that isn't too early in the segment, else the deepest; the last of a kind."""
    late = [candidate for candidate in candidates if 3 * candidate[2] >= longest]
    at, kind, _ = max(late or candidates, key=lambda candidate: (candidate[1], candidate[0]))
    return at, kind
