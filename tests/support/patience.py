"""How long tests wait: for what must happen, and defaults of the clients that they open.

The clients read certificates once. Their own limits are for users who would ask again: a test that reaches
one says nothing about the server.
"""

import asyncio
import time
from collections.abc import Callable

import httpx2
import websockets.asyncio.client
import websockets.sync.client

WITHIN_S = 300.0
"""A guard against what never comes; no test passes or fails by how long something took."""


async def happens(what: Callable[[], object]) -> None:
    """Wait until it is true, for what no event tells."""
    async with asyncio.timeout(WITHIN_S):
        while not what():
            await asyncio.sleep(0.005)


def until(condition: Callable[[], object]) -> None:
    """The same where no event loop runs, as for what another process does."""
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def have_clients_wait() -> None:
    """Give the clients that tests open without a limit of their own the guard instead of the library's.

    httpx2 reads all authorities' certificates for each client, which takes longer than most requests: clients
    without a choice of their own share what is read here.
    """
    certificates = httpx2.create_ssl_context()
    for function in (
        *(httpx2.Client.__init__, httpx2.AsyncClient.__init__),
        *(httpx2.request, httpx2.get, httpx2.post, httpx2.put, httpx2.patch, httpx2.delete),
    ):
        function.__kwdefaults__.update(timeout=httpx2.Timeout(WITHIN_S), verify=certificates)
    for connect in (websockets.asyncio.client.connect.__init__, websockets.sync.client.connect):
        connect.__kwdefaults__.update(open_timeout=WITHIN_S, ping_timeout=WITHIN_S)
