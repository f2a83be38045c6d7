"""Stepping the event loop in tests."""

from __future__ import annotations

import asyncio


async def settle() -> None:
    """Let every task run as far as it can."""
    for _ in range(30):
        await asyncio.sleep(0)
