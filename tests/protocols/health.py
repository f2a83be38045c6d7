"""Counters of a server's ``/health``."""

from __future__ import annotations

import asyncio

import httpx

from tests.support.app_server import AppServer
from tests.support.patience import WITHIN_S


async def counters(server: AppServer) -> dict[str, int]:
    async with httpx.AsyncClient() as client:
        found: dict[str, int] = (await client.get(f"{server.http_url}/health")).json()["counters"]
        return found


async def wait_for_idle(server: AppServer) -> None:
    """Return once no session is open: one ends a moment after its client has left."""
    async with asyncio.timeout(WITHIN_S):
        while (now := await counters(server))["sessions"] or now["speaking"] or now["waiting"]:
            await asyncio.sleep(0.02)
