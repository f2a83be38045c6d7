"""The programs of ``examples`` in a process of their own."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.conftest import ROOT
from tests.support.patience import WITHIN_S


async def run_example(name: str, *arguments: str | Path) -> str:
    """Run an example; what it printed, on both of its outputs."""
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, str(ROOT / "examples" / name), *map(str, arguments)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await asyncio.wait_for(running.communicate(), WITHIN_S)
    assert b"Traceback" not in printed, printed.decode()
    return printed.decode()
