"""Measures that work takes time linear in its input."""

import gc
import time
from collections.abc import Callable


def seconds(work: Callable[[str], object], text: str) -> float:
    """Processor time of this thread: neither other processes nor threads of earlier tests are in it."""
    began = time.thread_time()
    work(text)
    return time.thread_time() - began


def is_linear(work: Callable[[str], object], unit: str, length: int = 400) -> bool:
    """Ten times the text takes ten times as long; work that looks back each time takes a hundred times.

    unit: repeated up to ``length`` characters, and ten times that.
    """
    short, long = (unit * length)[:length], (unit * length * 10)[: length * 10]
    work(unit)
    gc.disable()
    try:
        # Whatever else disturbs a measurement makes it longer: the shortest of several counts.
        quick, slow = min(seconds(work, short) for _ in range(3)), seconds(work, long)
        for _ in range(4):
            if slow > 30 * quick:
                slow = min(slow, seconds(work, long))
        return slow <= 30 * quick
    finally:
        gc.enable()
