"""From the words an engine times to spans that tile the client's text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from speech.types import Span


def with_character_starts(span: Span, marks: Iterable[float]) -> Span:
    """``span`` with ``marks``, bent so that they start with it, never fall, and do not pass its end."""
    bent: list[float] = []
    for mark in marks:
        bent.append(min(max(mark, bent[-1]), span.end_s) if bent else span.start_s)
    return replace(span, character_starts=tuple(bent))


class SpanTiler:
    """Turns word spans into spans that cover every character once, in order.

    What lies between two words (spaces, punctuation, whatever was dropped or not spoken) becomes
    a span of its own that lasts from the end of the one to the start of the other. Two words that
    stand for the same characters ("21": "veintiuno" in two pieces) become one. Times tile too:
    each span starts when the one before it ends. Words may come late or overlap by a little; what
    they say is bent so that nothing runs backwards. What was said between two words goes with what is
    written between them, and where nothing is with the second.
    """

    def __init__(self) -> None:
        self._between = ""
        self._cursor = 0
        self._time_s = 0.0
        self._pending: Span | None = None

    def add_word(self, span: Span, spoken_between: str = "") -> list[Span]:
        """Take the next word, in characters of the client's text; the spans that are now certain.

        between: what was said between the word before and this one.
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
        done = self.flush()
        self._between += spoken_between
        start = max(span.start, self._cursor)
        if span.end > start:
            self._pending = replace(
                span, start=start, character_starts=span.character_starts[start - span.start :]
            )
        else:
            self._between += span.spoken_form or ""
        return done

    def flush(self) -> list[Span]:
        """The last word taken, which nothing will be merged with any more."""
        pending, self._pending = self._pending, None
        if pending is None:
            return []
        between, self._between = self._between, ""
        done = []
        start_s = max(pending.start_s, self._time_s)
        if pending.start > self._cursor:
            done.append(Span(self._cursor, pending.start, self._time_s, start_s, spoken_form=between))
        else:
            start_s = self._time_s
            pending = replace(pending, spoken_form=between + (pending.spoken_form or ""))
        end_s = max(pending.end_s, start_s)
        done.append(
            with_character_starts(replace(pending, start_s=start_s, end_s=end_s), pending.character_starts)
        )
        self._cursor, self._time_s = pending.end, end_s
        return done

    def add_spoken(self, said: str) -> list[Span]:
        """Take what was said behind the last word, with which nothing will be merged any more."""
        done = self.flush()
        self._between += said
        return done

    def add_pause(self, at: int, start_s: float, end_s: float) -> list[Span]:
        """Silence that was asked for before the character ``at``; a span without characters tells it."""
        done = self.finish(at, start_s)
        # What is quiet behind a word that nothing stands behind belongs to the rest.
        start_s = self._time_s
        self._time_s = max(start_s, end_s)
        return [*done, Span(at, at, start_s, self._time_s, spoken_form="")]

    def finish(self, length: int, end_s: float) -> list[Span]:
        """The rest, once the text is known to have ``length`` characters and ``end_s`` seconds."""
        done = self.flush()
        between, self._between = self._between, ""
        if length > self._cursor:
            end_s = max(end_s, self._time_s)
            done.append(Span(self._cursor, length, self._time_s, end_s, spoken_form=between))
            self._cursor, self._time_s = length, end_s
        return done


def span_rows(spans: Iterable[Span]) -> list[list[float]]:
    """As protocols tell them: ``[[start, end, start_s, end_s], …]``, times to a tenth of a millisecond."""
    return [[span.start, span.end, round(span.start_s, 4), round(span.end_s, 4)] for span in spans]
