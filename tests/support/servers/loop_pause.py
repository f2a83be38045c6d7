"""How long the event loop of a server process left others waiting, and what memory the process took.

The time is the processor time of all its threads, as the loop may wait for one of them; a busy machine adds
nothing to it. Linux only.
"""

from __future__ import annotations

import asyncio
import http.client
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

EVERY_S = 0.02
GONE_S = 45.0
"""Seconds without an answer after which the loop is taken to stand still."""


@dataclass
class Pauses:
    longest_s: float = 0.0
    """Most processor time that the process took while one request waited for its answer."""

    grown_mib: float = 0.0
    """Most memory that the process held above that at the beginning."""


def _processor_time(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> float:
    """Return the MiB of memory that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


@asynccontextmanager
async def pauses(port: int, pid: int) -> AsyncIterator[Pauses]:
    """Ask for /livez again and again while the body runs. Raises OSError without an answer in ``GONE_S``."""
    seen, over = Pauses(), threading.Event()
    held = resident(pid)

    def ask() -> None:
        connection = http.client.HTTPConnection("localhost", port, timeout=GONE_S)
        while not over.wait(EVERY_S):
            begun = _processor_time(pid)
            connection.request("GET", "/livez")
            connection.getresponse().read()
            seen.longest_s = max(seen.longest_s, _processor_time(pid) - begun)
            seen.grown_mib = max(seen.grown_mib, resident(pid) - held)
        connection.close()

    asking = asyncio.create_task(asyncio.to_thread(ask))
    try:
        yield seen
    finally:
        over.set()
        await asking
