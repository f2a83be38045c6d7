"""Memory budget of requests that have not been read to their end, shared by all clients."""

from kani.core.session.budget import Budget

FREE_BYTES = 64 * 1024
"""Bytes of each request that are not counted. uvicorn buffers as much before anything is read, and a text to
speak is shorter: large uploads cannot crowd out requests for speech."""

LIMIT_BYTES = 32 * 2**20
"""Limit on the counted bytes of all requests together: two of the largest bodies. Fragmentation may cost as
much again, which Python's allocator does not return to the system."""

KEYLESS_BYTES = LIMIT_BYTES // 4
"""Limit on the counted bytes of all clients of ports without keys. They have a budget of their own, so that
they cannot use up that of clients with a key."""

UNAUTHENTICATED = "unauthenticated"
"""Entry of a WebSocket's ``scope["state"]`` while its client has yet to send its key: it has no share of the
budget."""


def upload_budget(limit: int = LIMIT_BYTES) -> Budget:
    """Return a budget of unfinished HTTP bodies, and of WebSocket messages until the application is done with
    them. A single one may exceed it, up to the limit of its own kind.
    """
    full = "too much is being sent to this server at once"
    return Budget(limit, full, small=limit // 64, free=FREE_BYTES, one_may_exceed=True)
