"""Limits on the TCP connections of a running server: their number, and the wait for their input.

All of this happens before a key can be checked, so a connection must cost little and end by itself.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto

from kani.core.shared_numbers import LiveNumbers

PROGRESS_BYTES = 64 * 1024
"""Least progress of a body or a long message within ``ReadTimeouts.progress_s``."""


class Awaited(Enum):
    """Input that the client has yet to send."""

    ANYTHING = auto()  # between two requests; uvicorn has a timeout for it
    HEAD = auto()  # of a request
    BODY = auto()
    MESSAGE = auto()  # the rest of a long WebSocket message
    REQUEST = auto()  # the next one of a client without HTTP; its protocol has a timeout for it
    NOTHING = auto()


EVICTION_ORDER = (Awaited.ANYTHING, Awaited.HEAD, Awaited.REQUEST, Awaited.BODY)
"""Connections that are closed to make room for a new one, by the input they have not sent."""

RELIEF = 8
"""Connections fewer than there were when the process had no file left, for files that it opens itself."""

CLOSE_REASONS = ("head", "body", "message", "goodbye", "crowded", "full")
"""Reasons to close a connection: a timeout of its head, body or message; output unread after its close; to
make room for a new one ("crowded"); no room for itself ("full")."""


@dataclass(frozen=True, slots=True)
class ReadTimeouts:
    """Time limits on a client, in seconds."""

    head_s: float = 10.0  # for the head of a request, TLS handshake included
    progress_s: float = 20.0  # for each ``PROGRESS_BYTES`` of a body or long message, or its rest
    close_s: float = 10.0  # for reading what was sent before the connection was closed
    check_interval_s: float = 1.0


class TcpConnection:
    """One connection, from ``TcpTable.admit`` to its end."""

    __slots__ = (
        *("_close", "_closing_since", "_probe", "_received", "_since", "_table", "_transport", "awaited"),
    )

    def __init__(self, table: TcpTable, close: Callable[[], None]) -> None:
        self._table = table
        self._close: Callable[[], None] | None = close
        self._transport: asyncio.Transport | None = None
        self._closing_since: float | None = None
        self._received = 0
        self._since = table.now()
        self._probe: Callable[[], None] | None = None
        self.awaited = Awaited.HEAD

    def attach(
        self,
        transport: asyncio.Transport,
        close: Callable[[], None],
        probe: Callable[[], None] | None = None,
    ) -> None:
        """Set the transport, and the function that closes the connection when its client is too slow.

        probe: sends a client something that it ignores, where one that has ended its side has left.
        """
        self._transport = transport
        self._close = close
        self._probe = probe

    @property
    def left(self) -> bool:
        """True if the client has left, and the transport does not know it because reading is paused.

        The end of a client's side comes after its unread input, but what is sent to it is answered at once.
        """
        transport = self._transport
        if self._probe is None or transport is None or transport.is_closing() or transport.is_reading():
            return False
        if _has_ended(transport.get_extra_info("socket").fileno()):
            return True
        self._probe()
        return False

    def expect(self, awaited: Awaited) -> None:
        """Set the awaited input; its timeout starts now, unless it was awaited already."""
        if awaited is not self.awaited:
            self._table.move(self, awaited)
            self.awaited = awaited
            self._restart(self._table.now())

    def received(self, size: int) -> None:
        """Count ``size`` bytes of input."""
        self._received += size

    def closed(self) -> None:
        """Forget the connection after its end, and break its reference cycle with the transport."""
        self._table.remove(self)
        self._transport = self._close = self._probe = None

    def close(self) -> None:
        """Close the connection at once."""
        if self._close is not None:
            self._close()

    def timeout_reason(self, now: float, timeouts: ReadTimeouts) -> str | None:
        """Return why the connection has timed out, one of ``CLOSE_REASONS``; None if it has not."""
        if self._transport is not None and self._transport.is_closing():
            if self._closing_since is None:
                self._closing_since = now
            return "goodbye" if now - self._closing_since >= timeouts.close_s else None
        if self.awaited in (Awaited.ANYTHING, Awaited.REQUEST, Awaited.NOTHING):
            return None
        if self.awaited is Awaited.HEAD:
            return "head" if now - self._since >= timeouts.head_s else None
        if self._transport is not None and not self._transport.is_reading():
            # The server itself has paused reading: the application has not consumed earlier input.
            self._restart(now)
        elif now - self._since >= timeouts.progress_s:
            if self._received < PROGRESS_BYTES:
                return "body" if self.awaited is Awaited.BODY else "message"
            self._restart(now)
        return None

    def abort(self) -> None:
        """Close the connection without waiting for its client to read what was sent."""
        if self._transport is not None:
            self._transport.abort()

    def _restart(self, now: float) -> None:
        self._since = now
        self._received = 0


def _has_ended(file: int) -> bool:
    """Return True if the other side of a socket has ended."""
    if file < 0 or not hasattr(select, "POLLRDHUP"):  # of Linux
        return False
    look = select.poll()
    look.register(file, select.POLLRDHUP)
    return bool(look.poll(0))


class TcpTable:
    """Every TCP connection of one server.

    limit: connections open at once; on_close: called with one of ``CLOSE_REASONS`` for each that this table
    closes.
    """

    def __init__(
        self, limit: int, on_close: Callable[[str], None], timeouts: ReadTimeouts | None = None
    ) -> None:
        self._limit = self._most = limit
        self._on_close = on_close
        self._timeouts = timeouts or ReadTimeouts()
        # Each in the order that the waits began.
        self._open: dict[Awaited, dict[TcpConnection, None]] = {awaited: {} for awaited in Awaited}
        self._count = LiveNumbers("TCP connections")
        self.accepts = asyncio.Event()
        """Set unless other processes of this server accept connections until this one can serve them."""
        self.accepts.set()

    def __len__(self) -> int:
        return sum(map(len, self._open.values()))

    def _tell(self) -> None:
        if self.accepts.is_set():
            self._count.say(len(self))

    @property
    def has_most(self) -> bool:
        """True if another process of this server has fewer connections."""
        self._tell()
        return any(count < len(self) for count in self._count.others)

    def now(self) -> float:
        """Return the event loop's time (seconds)."""
        return asyncio.get_running_loop().time()

    def admit(self, close: Callable[[], None]) -> TcpConnection | None:
        """Return a new connection, which ``close`` closes; None if there is no room for it.

        At the limit one is closed: that with the longest wait for another request, without such that for a
        request's head, or for a body if every head is complete.
        """
        if len(self) >= self._limit and not self._evict():
            self._on_close("full")
            return None
        connection = TcpConnection(self, close)
        self._open[connection.awaited][connection] = None
        self._tell()
        return connection

    def relieve(self) -> bool:
        """Make room as the process has no file left; return False if there is no connection to be closed.

        The limit is lower from now on, and rises by one a second.
        """
        self._limit = max(min(self._limit, len(self) - RELIEF), 1)
        relieved = False
        while len(self) > self._limit and self._evict():
            relieved = True
        return relieved

    def _evict(self) -> bool:
        """Close the connection with the longest wait for its input; return False if none has one."""
        oldest = next((each for awaited in EVICTION_ORDER for each in self._open[awaited]), None)
        if oldest is None:
            return False
        self._on_close("crowded")
        self.remove(oldest)
        oldest.close()
        return True

    def move(self, connection: TcpConnection, awaited: Awaited) -> None:
        """Count a connection under another awaited input."""
        if self._open[connection.awaited].pop(connection, connection) is None:
            self._open[awaited][connection] = None

    def remove(self, connection: TcpConnection) -> None:
        self._open[connection.awaited].pop(connection, None)
        self._tell()

    @contextmanager
    def enforce_timeouts(self) -> Iterator[None]:
        """Close the connections of clients that are too slow while the body runs."""
        loop = asyncio.get_running_loop()
        timer: asyncio.TimerHandle
        self._tell()

        def check() -> None:
            nonlocal timer
            self._check(loop.time())
            timer = loop.call_later(self._timeouts.check_interval_s, check)

        timer = loop.call_later(self._timeouts.check_interval_s, check)
        try:
            yield
        finally:
            timer.cancel()

    def _check(self, now: float) -> None:
        self._limit = min(self._limit + 1, self._most)
        self._tell()
        for connection in [each for waiting in self._open.values() for each in waiting]:
            if connection.left:
                connection.abort()
                continue
            reason = connection.timeout_reason(now, self._timeouts)
            if reason is None:
                continue
            self._on_close(reason)
            if reason == "goodbye":
                self.remove(connection)
                connection.abort()
            else:
                connection.close()
