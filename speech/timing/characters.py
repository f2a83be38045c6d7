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
        """Starts since ``origin_ms``, or 0 for what began before it, and durations; in whole milliseconds.

        Edges are rounded, not durations: each start is the one before it and its duration, and nothing
        adds up over a long text.
        """
        edges = [max(round(edge * 1000) - origin_ms, 0) for edge in self.edges_s]
        return edges[:-1], [end - start for start, end in pairwise(edges)]

    def __add__(self, other: TimedCharacters) -> TimedCharacters:
        """These and the ones that follow them."""
        if not (self.text and other.text):
            return self if self.text else other
        return TimedCharacters(self.text + other.text, (*self.edges_s[:-1], *other.edges_s))


NO_CHARACTERS = TimedCharacters("", ())


@dataclass(frozen=True, slots=True)
class TimedForms:
    """Characters that were written, and those that were said for them: "veintiuno" for "21".

    Of characters that are not said (the marks of Markdown, an emoji) nothing is in ``said``.
    """

    written: TimedCharacters = NO_CHARACTERS
    spoken: TimedCharacters = NO_CHARACTERS

    def __add__(self, other: TimedForms) -> TimedForms:
        """This and what follows it."""
        return TimedForms(self.written + other.written, self.spoken + other.spoken)


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
        self._end_s = 0.0

    @property
    def text(self) -> str:
        """All that was fed."""
        return self._text

    def feed(self, text: str) -> None:
        """Add what was fed to the session."""
        self._text += text

    def align(self, spans: Iterable[Span]) -> TimedCharacters:
        """The characters of a chunk's spans; spans come in order, as sessions yield them."""
        told = _tiled(self._end_s, ((self._text[span.start : span.end], span) for span in spans))
        self._end_s = told.edges_s[-1] if told.text else self._end_s
        return told


class FormsClock:
    """A ``CharacterClock`` that tells also what was said, which tiles by itself.

    The time of characters that are not said belongs to what is said before them, or else behind them, as
    silence does.
    """

    def __init__(self) -> None:
        self._written = CharacterClock()
        self._said_end_s = 0.0

    def feed(self, text: str) -> None:
        """Add what was fed to the session."""
        self._written.feed(text)

    def align(self, spans: Sequence[Span]) -> TimedForms:
        """The characters of a chunk's spans; spans come in order, as sessions yield them."""
        text = self._written.text
        said = _tiled(
            self._said_end_s,
            (
                (text[span.start : span.end] if span.spoken_form is None else span.spoken_form, span)
                for span in spans
            ),
        )
        self._said_end_s = said.edges_s[-1] if said.text else self._said_end_s
        return TimedForms(self._written.align(spans), said)


def _tiled(begin_s: float, told: Iterable[tuple[str, Span]]) -> TimedCharacters:
    """What is told of spans that follow each other; the first character begins at ``begin_s``."""
    pieces: list[str] = []
    edges = [begin_s]
    for characters, span in told:
        if not characters:
            if pieces:
                edges[-1] = max(edges[-1], span.end_s)
            continue
        pieces.append(characters)
        known = (*(span.character_starts or (span.start_s,)), span.end_s)
        # The first character begins where the one before it ended.
        edges += [max(start, edges[-1]) for start in spread(len(characters), known)[1:]]
        edges.append(max(span.end_s, edges[-1]))
    return TimedCharacters("".join(pieces), tuple(edges)) if pieces else NO_CHARACTERS
