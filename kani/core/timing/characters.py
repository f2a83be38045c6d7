"""Converts spans into the time of every single character, for protocols that highlight letters."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from kani.core.timing.spans import spread
from kani.core.types import Span


@dataclass(frozen=True, slots=True)
class TimedCharacters:
    """Some characters of a text and their times.

    Character ``i`` is spoken from ``edges_s[i]`` to ``edges_s[i + 1]``, in seconds of output audio since the
    stream began: there is one edge more than characters, and edges never fall. Without characters there is no
    edge.
    """

    text: str
    edges_s: tuple[float, ...]

    def milliseconds(self, origin_ms: int = 0) -> tuple[list[int], list[int]]:
        """Starts since ``origin_ms`` (0 for what began before it) and durations, in whole milliseconds.

        Edges are rounded, not durations: each start is the previous start plus its duration, and errors do
        not add up over a long text.
        """
        edges = [max(round(edge * 1000) - origin_ms, 0) for edge in self.edges_s]
        return edges[:-1], [end - start for start, end in pairwise(edges)]

    def __add__(self, other: TimedCharacters) -> TimedCharacters:
        if not (self.text and other.text):
            return self if self.text else other
        return TimedCharacters(self.text + other.text, (*self.edges_s[:-1], *other.edges_s))

    def later(self, seconds: float) -> TimedCharacters:
        return TimedCharacters(self.text, tuple(edge + seconds for edge in self.edges_s))

    def divide(self, at: int) -> tuple[TimedCharacters, TimedCharacters]:
        """Return the first ``at`` characters and the others."""
        first = TimedCharacters(self.text[:at], self.edges_s[: at + 1]) if at else NO_CHARACTERS
        rest = TimedCharacters(self.text[at:], self.edges_s[at:]) if self.text[at:] else NO_CHARACTERS
        return first, rest


NO_CHARACTERS = TimedCharacters("", ())

_SAME_EDGE_S = 1e-6
"""Precision to which edges of the written and the spoken characters are the same."""


@dataclass(frozen=True, slots=True)
class TimedForms:
    """Written characters and the characters spoken for them: "veintiuno" for "21".

    Characters that are not spoken (Markdown's marks, an emoji) have nothing in ``spoken``.
    """

    written: TimedCharacters = NO_CHARACTERS
    spoken: TimedCharacters = NO_CHARACTERS

    def __add__(self, other: TimedForms) -> TimedForms:
        return TimedForms(self.written + other.written, self.spoken + other.spoken)

    def later(self, seconds: float) -> TimedForms:
        return TimedForms(self.written.later(seconds), self.spoken.later(seconds))

    def common_edges(self) -> list[int]:
        """Indices of the written characters' edges, from 1 on, at which no spoken character goes on.

        The end of all is the last.
        """
        spoken = self.spoken.edges_s
        inside = {round(edge / _SAME_EDGE_S) for edge in spoken}
        return [
            at
            for at, edge in enumerate(self.written.edges_s)
            if at
            and (
                at == len(self.written.text)
                or not spoken
                or not spoken[0] < edge < spoken[-1]
                or round(edge / _SAME_EDGE_S) in inside
            )
        ]

    def divide(self, at: int) -> tuple[TimedForms, TimedForms]:
        """Divide at one of ``common_edges``."""
        written = self.written.divide(at)
        if not written[1].text:
            return self, TimedForms()
        edge = self.written.edges_s[at] + _SAME_EDGE_S / 2
        spoken = self.spoken.divide(max(0, bisect_right(self.spoken.edges_s, edge) - 1))
        return TimedForms(written[0], spoken[0]), TimedForms(written[1], spoken[1])


class FormsClock:
    """Times every character of a session's text once, in order, from its text and spans as they come.

    The times tile: a character ends when the next one starts. A requested pause belongs to the character
    before it if that is timed in the same call, else to the one after it. The spoken form tiles by itself:
    the time of characters that are not spoken belongs to the spoken ones before them, else to those after
    them, as with pauses.
    """

    def __init__(self) -> None:
        self.text = ""
        self._ends_s = [0.0, 0.0]  # of the written and the spoken characters so far

    def feed(self, text: str) -> None:
        self.text += text

    def align(self, spans: Iterable[Span]) -> TimedForms:
        """Time the characters of a chunk's spans; spans come in order, as sessions yield them."""
        written = [(self.text[span.start : span.end], span) for span in spans]
        spoken = [(text if span.spoken_form is None else span.spoken_form, span) for text, span in written]
        timed = [_tiled(end_s, form) for end_s, form in zip(self._ends_s, (written, spoken), strict=True)]
        self._ends_s = [
            form.edges_s[-1] if form.text else end_s for form, end_s in zip(timed, self._ends_s, strict=True)
        ]
        return TimedForms(*timed)


def _tiled(begin_s: float, timed: Iterable[tuple[str, Span]]) -> TimedCharacters:
    """Time the characters of consecutive spans; the first character begins at ``begin_s``."""
    pieces: list[str] = []
    edges = [begin_s]
    for characters, span in timed:
        if not characters:
            if pieces:
                edges[-1] = max(edges[-1], span.end_s)
            continue
        pieces.append(characters)
        known = (*(span.character_starts or (span.start_s,)), span.end_s)
        # The first character begins where the previous one ended.
        edges += [max(start, edges[-1]) for start in spread(len(characters), known)[1:]]
        edges.append(max(span.end_s, edges[-1]))
    return TimedCharacters("".join(pieces), tuple(edges)) if pieces else NO_CHARACTERS
