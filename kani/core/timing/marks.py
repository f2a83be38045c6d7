"""Times of the marks of an SSML document."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kani.core.types import Span, TimedMark
from kani.text.ssml import Mark


class MarkTimer:
    """Finds the time of each mark in the spans of the text, which come in order."""

    def __init__(self, marks: Sequence[Mark]) -> None:
        """marks: in order; may be appended to."""
        self.timed: list[TimedMark] = []  # the marks that were reached
        self._marks = marks

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
