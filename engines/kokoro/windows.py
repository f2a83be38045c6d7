"""Where an utterance is cut into windows."""

from __future__ import annotations

from collections.abc import Iterator

FIRST_WINDOW_FRAMES = 10
"""Frames of the first window: 0.25 s."""

# Each is ready while the one before it is heard, on a machine that takes up to a quarter of a second
# for a second of audio (measured); and none keeps other streams waiting for longer than it must.
_SIZES = (FIRST_WINDOW_FRAMES, 14, 28, 56, 64)


def windows(begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Cut frames [begin, end) into windows that grow; the last is not smaller than the first."""
    sizes = iter(_SIZES)
    while begin < end:
        size = next(sizes, _SIZES[-1])
        stop = end if end - begin < size + FIRST_WINDOW_FRAMES else begin + size
        yield begin, stop
        begin = stop
