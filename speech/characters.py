"""From spans to the time of every single character, as protocols that light up letters tell it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from speech.types import Span


@dataclass(frozen=True, slots=True)
class TimedCharacters:
    """Some characters of a text, and when they are said.

    Character ``i`` is said from ``edges_s[i]`` to ``edges_s[i + 1]``, in seconds of output audio since the
    stream began: there is one edge more than characters, and edges never fall. Without characters there
    is no edge.
    """

    text: str
    edges_s: tuple[float, ...]

    def milliseconds(self, origin_ms: int = 0) -> tuple[list[int], list[int]]:
        """Starts since ``origin_ms``, and durations, in whole milliseconds.

        Edges are rounded, not durations: each start is the one before it and its duration, and nothing
        adds up over a long text.
        """
        edges = [round(edge * 1000) - origin_ms for edge in self.edges_s]
        return edges[:-1], [end - start for start, end in pairwise(edges)]


def spread(count: int, edges: Sequence[float]) -> tuple[float, ...]:
    """When each of a word's ``count`` characters begins, spread evenly over its phonemes.

    edges: when each phoneme begins, and when the last one ends; in seconds, never falling.
    """
    phonemes = np.linspace(0.0, len(edges) - 1, count, endpoint=False)
    return tuple(np.interp(phonemes, range(len(edges)), edges).tolist())


class CharacterClock:
    """Takes a session's text and its spans as they come; tells every character of the text once, in order.

    What it tells tiles: a character ends when the next one starts. Silence that was asked for belongs to
    the character before it, if that is told together with it, else to the one behind it.
    """

    def __init__(self) -> None:
        self._text = ""
        self._taken = 0
        self._end_s = 0.0

    @property
    def text(self) -> str:
        """All that was fed."""
        return self._text

    def feed(self, text: str) -> None:
        """Add what was fed to the session."""
        self._text += text

    def take(self, spans: Iterable[Span]) -> TimedCharacters:
        """The characters of a chunk's spans; spans come in order, as sessions yield them."""
        first, edges = self._taken, [self._end_s]
        for span in spans:
            if span.end == span.start:
                if len(edges) > 1:
                    edges[-1] = max(edges[-1], span.end_s)
                continue
            self._taken = span.end
            starts = (
                span.marks
                or np.linspace(span.start_s, span.end_s, span.end - span.start, endpoint=False).tolist()
            )
            # The first character begins where the one before it ended.
            edges += [max(start, edges[-1]) for start in starts[1:]]
            edges.append(max(span.end_s, edges[-1]))
        if self._taken == first:
            return TimedCharacters("", ())
        self._end_s = edges[-1]
        return TimedCharacters(self._text[first : self._taken], tuple(edges))
