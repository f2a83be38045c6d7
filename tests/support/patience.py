"""Timeouts of tests: minutes, so that nothing depends on the speed of a machine.

Clients' own limits are for users who would ask again; a test that reaches one says nothing about the server.
"""

from __future__ import annotations

import httpx
import websockets.asyncio.client
import websockets.sync.client

WITHIN_S = 300.0
"""A guard against what never comes; no test passes or fails by how long something took."""


def have_clients_wait() -> None:
    """Give the clients that tests open without a limit of their own the guard in place of the library's."""
    for function in (
        *(httpx.Client.__init__, httpx.AsyncClient.__init__),
        *(httpx.request, httpx.get, httpx.post, httpx.put, httpx.delete),
    ):
        function.__kwdefaults__["timeout"] = httpx.Timeout(WITHIN_S)
    for connect in (websockets.asyncio.client.connect.__init__, websockets.sync.client.connect):
        connect.__kwdefaults__["open_timeout"] = WITHIN_S
