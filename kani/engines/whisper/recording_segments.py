"""Divides the words of a stretch of a recording into segments: sentences, or parts of long ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kani.engines.whisper.passes import TimedWord
from kani.runtime.transcript import columns, ends_segment


def split_segments(words: Sequence[TimedWord]) -> Iterator[Sequence[TimedWord]]:
    """Yield the words of each segment, in order."""
    first, width = 0, 0
    for at, timed in enumerate(words):
        width += columns(timed.word.text) + 1
        last = at + 1 == len(words)
        if last or ends_segment(timed.word.text, words[at + 1].start_s - timed.end_s, width):
            yield words[first : at + 1]
            first, width = at + 1, 0
