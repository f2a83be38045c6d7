"""Division of an utterance into decoding windows."""

from __future__ import annotations

from collections.abc import Iterator

FIRST_WINDOW_FRAMES = 10
"""Frames of the first window: 0.25 s."""

# Each window is decoded while the one before it plays, on a machine with a real-time factor of up to 0.25
# (measured). Larger windows would delay the steps of other streams.
_SIZES = (FIRST_WINDOW_FRAMES, 14, 28, 56, 64)


def windows(begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Cut frames [begin, end) into growing windows; the last is not smaller than the first."""
    sizes = iter(_SIZES)
    while begin < end:
        size = next(sizes, _SIZES[-1])
        stop = end if end - begin < size + FIRST_WINDOW_FRAMES else begin + size
        yield begin, stop
        begin = stop
