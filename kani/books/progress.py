"""Tells how far a book is, and how long the rest takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

_LINE_EVERY_S = 30.0
_WIDTH = 78


class Progress:
    """Writes progress to a terminal in place, elsewhere as a line for each chapter and each half minute."""

    def __init__(
        self, total: int, done: int, output: TextIO, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """total, done: characters of the book, and of what an earlier run has spoken."""
        self._total, self._done, self._output, self._clock = total, done, output, clock
        self._at_first, self._began = done, clock()
        self._shown_at, self._shown_as = float("-inf"), ""

    def add(self, characters: int) -> None:
        """Count characters that were spoken."""
        self._done += characters

    def show(self, place: str) -> None:
        """Show where the book is. place: such as the chapter."""
        text = f"{place} · {100 * self._done // max(self._total, 1)} %{self._left()}"
        if self._output.isatty():
            self._output.write(f"\r{text[:_WIDTH]:{_WIDTH}}")
        elif place != self._shown_as or self._clock() - self._shown_at >= _LINE_EVERY_S:
            self._output.write(f"{text}\n")
            self._shown_at, self._shown_as = self._clock(), place
        self._output.flush()

    def close(self) -> None:
        """End the terminal's line."""
        if self._output.isatty():
            self._output.write("\n")

    def _left(self) -> str:
        """Return the time left, by what this run has spoken so far."""
        spoken = self._done - self._at_first
        if not spoken:
            return ""
        seconds = (self._clock() - self._began) * (self._total - self._done) / spoken
        return f" · {duration(seconds)} left"


def duration(seconds: float) -> str:
    """Return a length of time in words, rounded."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
