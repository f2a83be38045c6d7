"""Clients that do not read what they are sent, and what is made for them."""

from __future__ import annotations

import asyncio
import re
import socket

import httpx


async def small_socket(port: int) -> socket.socket:
    """A connected socket that keeps next to nothing of what its owner doesn't read."""
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    small.setblocking(False)
    await asyncio.get_running_loop().sock_connect(small, ("127.0.0.1", port))
    return small


async def settled_speech_s(client: httpx.AsyncClient) -> float:
    """Seconds of speech that a server has made by the time it makes no more."""

    async def spoken_s() -> float:
        scraped = (await client.get("/metrics")).text
        found = re.search(r"^kani_speech_seconds_total\{[^}]*\} (\S+)", scraped, re.M)
        return float(found[1]) if found else 0.0

    made_s, before_s = await spoken_s(), -1.0
    while not made_s or made_s != before_s:
        await asyncio.sleep(0.3)
        before_s, made_s = made_s, await spoken_s()
    return made_s
