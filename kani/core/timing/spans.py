"""Converts the words timed by an engine into spans that tile the client's text, and times SSML's marks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from kani.core.types import Span, TimedMark
from kani_text.ssml import Mark


def _within(start_s: float, end_s: float, marks: Iterable[float]) -> tuple[float, ...]:
    """Adjust a span's ``character_starts`` to begin with it, never fall, and stay within its end."""
    adjusted: list[float] = []
    for mark in marks:
        adjusted.append(min(max(mark, adjusted[-1]), end_s) if adjusted else start_s)
    return tuple(adjusted)


def spread(count: int, edges: Sequence[float]) -> tuple[float, ...]:
    """Start times of a word's ``count`` characters, spread evenly over its phonemes.

    edges: start of each phoneme, and the end of the last one; in seconds, never falling.
    """
    # Without numpy: for the few characters of a word its calls take ten times as long.
    step = (len(edges) - 1) / max(count, 1)
    places = [(int(at * step), at * step) for at in range(count)]
    return tuple(edges[at] + (edges[at + 1] - edges[at]) * (place - at) for at, place in places)


@dataclass(eq=False)
class SpanTiler:
    """Converts word spans into spans that cover every character once, in order.

    Text between two words (spaces, punctuation, text that was dropped or not spoken) becomes a span of its
    own, from the end of the one to the start of the other. Two words for the same characters ("21":
    "veintiuno" in two pieces) are merged. Times tile too: each span starts when the previous one ends. Words
    may come late or overlap a little; their times are adjusted so that none runs backwards. Spoken text
    between two words belongs to the written text between them, or to the second word where there is none.
    """

    _spoken_between: str = ""
    _cursor: int = 0
    _time_s: float = 0.0
    _pending: Span | None = None

    @property
    def end(self) -> int:
        """End of the characters in the spans so far."""
        return self._cursor

    def add_word(self, span: Span, spoken_between: str = "") -> list[Span]:
        """Add the next word, in characters of the client's text; returns the spans that are final now.

        spoken_between: spoken form of what lies between the previous word and this one.
        """
        pending = self._pending
        if pending is not None and span.start < pending.end:
            self._pending = Span(
                pending.start,
                max(pending.end, span.end),
                pending.start_s,
                max(pending.end_s, span.end_s),
                spoken_form=(pending.spoken_form or "") + spoken_between + (span.spoken_form or ""),
            )
            return []
        done = self.flush() if pending is not None else []
        self._spoken_between += spoken_between
        start = max(span.start, self._cursor)
        if span.end > start:
            starts = span.character_starts[start - span.start :]
            self._pending = Span(start, span.end, span.start_s, span.end_s, starts, span.spoken_form)
        else:
            self._spoken_between += span.spoken_form or ""
        return done

    def flush(self) -> list[Span]:
        """Return the last word added; nothing will be merged into it any more."""
        pending, self._pending = self._pending, None
        if pending is None:
            return []
        spoken_between, self._spoken_between = self._spoken_between, ""
        done, said = [], pending.spoken_form or ""
        start_s = max(pending.start_s, self._time_s)
        if pending.start > self._cursor:
            done.append(Span(self._cursor, pending.start, self._time_s, start_s, spoken_form=spoken_between))
        else:
            start_s, said = self._time_s, spoken_between + said
        end_s = max(pending.end_s, start_s)
        starts = _within(start_s, end_s, pending.character_starts)
        done.append(Span(pending.start, pending.end, start_s, end_s, starts, said))
        self._cursor, self._time_s = pending.end, end_s
        return done

    def add_spoken(self, said: str) -> list[Span]:
        """Add spoken text after the last word; nothing will be merged into that word any more."""
        done = self.flush()
        self._spoken_between += said
        return done

    def add_pause(self, at: int, start_s: float, end_s: float) -> list[Span]:
        """Add a requested pause before character ``at``, as a span without characters."""
        done = self.finish(at, start_s)
        # Silence after a word without text after it belongs to the pause.
        start_s = self._time_s
        self._time_s = max(start_s, end_s)
        return [*done, Span(at, at, start_s, self._time_s, spoken_form="")]

    def finish(self, length: int, end_s: float) -> list[Span]:
        """Return the remaining spans of a text of ``length`` characters and ``end_s`` seconds."""
        done = self.flush()
        spoken_between, self._spoken_between = self._spoken_between, ""
        if length > self._cursor:
            end_s = max(end_s, self._time_s)
            done.append(Span(self._cursor, length, self._time_s, end_s, spoken_form=spoken_between))
            self._cursor, self._time_s = length, end_s
        return done


def span_rows(spans: Iterable[Span]) -> list[list[float]]:
    """Rows for a protocol: ``[[start, end, start_s, end_s], …]``, times to a tenth of a millisecond."""
    return [[span.start, span.end, round(span.start_s, 4), round(span.end_s, 4)] for span in spans]


@dataclass(eq=False)
class MarkTimer:
    """Finds the time of each mark in the spans of the text, which come in order."""

    _marks: Sequence[Mark]  # in order; may be appended to
    timed: list[TimedMark] = field(default_factory=list)  # the marks that were reached

    def add(self, spans: Iterable[Span]) -> None:
        for span in spans:
            while (mark := self._next) is not None and _reaches(span, mark.at):
                self.timed.append(TimedMark(mark.name, mark.at, _time_s(span, mark.at)))

    def finish(self, end_s: float) -> None:
        """End the audio, at which the marks after the last word are."""
        while (mark := self._next) is not None:
            self.timed.append(TimedMark(mark.name, mark.at, end_s))

    @property
    def _next(self) -> Mark | None:
        done = len(self.timed)
        return self._marks[done] if done < len(self._marks) else None


def _reaches(span: Span, at: int) -> bool:
    return span.end > at or (span.start == span.end >= at)


def _time_s(span: Span, at: int) -> float:
    into = at - span.start
    if into <= 0:
        return span.start_s
    if span.character_starts:
        return span.character_starts[into]
    return span.start_s + (span.end_s - span.start_s) * into / (span.end - span.start)


def mark_rows(marks: Iterable[TimedMark]) -> list[dict[str, str | int | float]]:
    """Rows for a protocol, times to a tenth of a millisecond."""
    return [{"name": mark.name, "position": mark.at, "time": round(mark.time_s, 4)} for mark in marks]
