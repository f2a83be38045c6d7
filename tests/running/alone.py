"""Tests that want the machine for themselves, when `pytest -n` runs others beside them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DOOR, ROOM = Path(__file__), Path(__file__).parents[1] / "conftest.py"
"""Two files that every process of a run sees, to lock: it matters only that they are there."""


@contextmanager
def turn(*, alone: bool) -> Iterator[None]:
    """While this lasts no other process of the run is inside, if alone; else none that is there alone."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        yield
        return
    # Not on Windows, where tests run one after another only.
    import fcntl

    with DOOR.open() as door, ROOM.open() as room:
        # A process that waits to be alone holds the entrance: otherwise two others could take turns for ever.
        fcntl.flock(door, fcntl.LOCK_EX)
        fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(door, fcntl.LOCK_UN)
        yield
