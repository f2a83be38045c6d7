"""Counters of a server's ``/health``."""

import asyncio

from tests.support.patience import WITHIN_S
from tests.support.servers.app_server import AppServer


async def counters(server: AppServer) -> dict[str, int]:
    found: dict[str, int] = (await server.get("/health")).json()["counters"]
    return found


async def wait_for_idle(server: AppServer) -> None:
    """Return once no session is open: one ends a moment after its client has left."""
    async with asyncio.timeout(WITHIN_S):
        while (now := await counters(server))["sessions"] or now["speaking"] or now["waiting"]:
            await asyncio.sleep(0.02)
