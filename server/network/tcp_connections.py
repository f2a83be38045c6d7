"""The TCP connections of a running server: how many there may be, and how long each may keep it waiting.

Everything here happens before a key can be asked for, so it must cost little and end by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto

PROGRESS_BYTES = 64 * 1024


class Awaited(Enum):
    """Input that the client has yet to send; MESSAGE: the rest of a long WebSocket message."""

    HEAD = auto()
    BODY = auto()
    MESSAGE = auto()
    NOTHING = auto()


EVICTION_ORDER = (Awaited.HEAD, Awaited.BODY)
"""Those that make room for a new connection, where there are too many."""

CLOSE_REASONS = ("head", "body", "message", "goodbye", "crowded", "full")
"""Why a connection is ended here: for what did not come in time; because it did not take what was sent
before it was closed; to make room for a new one; because there was no room for it."""


@dataclass(frozen=True, slots=True)
class ReadTimeouts:
    """Seconds that a client may take.

    head_s: for the head of a request, the TLS handshake included; piece_s: for each further
    ``PROGRESS_BYTES`` of a body or of a long message, or its rest; goodbye_s: for what was sent to it before
    its connection was closed; look_s: how often that is looked at.
    """

    head_s: float = 10.0
    progress_s: float = 20.0
    close_s: float = 10.0
    check_interval_s: float = 1.0


class TcpConnection:
    """One connection, from its ``accept`` to its end; ``TcpTable.opened`` makes it."""

    __slots__ = ("_closing_since", "_end", "_since", "_table", "_took", "_transport", "awaited")

    def __init__(self, table: TcpTable, end: Callable[[], None]) -> None:
        self._table = table
        self._end: Callable[[], None] | None = end
        self._transport: asyncio.Transport | None = None
        self._closing_since: float | None = None
        self._took = 0
        self._since = table.now()
        self.awaited = Awaited.HEAD

    def attach(self, transport: asyncio.Transport, end: Callable[[], None]) -> None:
        """From now on ``transport`` carries it, and ``end`` ends it when the client is too slow."""
        self._transport = transport
        self._end = end

    def expect(self, awaited: Awaited) -> None:
        """Wait for this from now on. The clock runs on where it was waited for already."""
        if awaited is not self.awaited:
            self._table.move(self, awaited)
            self.awaited = awaited
            self._restart(self._table.now())

    def received(self, size: int) -> None:
        """``size`` bytes came."""
        self._took += size

    def closed(self) -> None:
        """It has ended. What it called is let go of, as that holds this connection in turn."""
        self._table.remove(self)
        self._transport = self._end = None

    def close(self) -> None:
        """End it at once."""
        if self._end is not None:
            self._end()

    def timeout_reason(self, now: float, patience: ReadTimeouts) -> str | None:
        """Why it has to end now, if it has to; one of ``CLOSE_REASONS``."""
        if self._transport is not None and self._transport.is_closing():
            if self._closing_since is None:
                self._closing_since = now
            return "goodbye" if now - self._closing_since >= patience.close_s else None
        if self.awaited is Awaited.NOTHING:
            return None
        if self.awaited is Awaited.HEAD:
            return "head" if now - self._since >= patience.head_s else None
        if self._transport is not None and not self._transport.is_reading():
            # The server itself has stopped reading, as the application has not taken what came.
            self._restart(now)
        elif now - self._since >= patience.progress_s:
            if self._took < PROGRESS_BYTES:
                return "body" if self.awaited is Awaited.BODY else "message"
            self._restart(now)
        return None

    def abort(self) -> None:
        """End it without waiting for its client to take what was sent."""
        if self._transport is not None:
            self._transport.abort()

    def _restart(self, now: float) -> None:
        self._since = now
        self._took = 0


class TcpTable:
    """Every TCP connection of one server.

    limit: connections open at once; on_close: called with one of ``CLOSE_REASONS`` for each that this table
    closes.
    """

    def __init__(
        self, limit: int, on_close: Callable[[str], None], timeouts: ReadTimeouts | None = None
    ) -> None:
        self._limit = limit
        self._cut = on_close
        self._patience = timeouts or ReadTimeouts()
        # Each in the order in which they began to wait.
        self._open: dict[Awaited, dict[TcpConnection, None]] = {awaited: {} for awaited in Awaited}

    def __len__(self) -> int:
        return sum(map(len, self._open.values()))

    def now(self) -> float:
        """The time, in seconds."""
        return asyncio.get_running_loop().time()

    def admit(self, end: Callable[[], None]) -> TcpConnection | None:
        """A new connection, which ``end`` ends; None if there is no room for it.

        Where there are ``limit`` already, the one that has kept the server waiting longest for its
        request's head is closed, or for its body where every head is complete.
        """
        if len(self) >= self._limit:
            oldest = next((each for awaited in EVICTION_ORDER for each in self._open[awaited]), None)
            if oldest is None:
                self._cut("full")
                return None
            self._cut("crowded")
            self.remove(oldest)
            oldest.close()
        connection = TcpConnection(self, end)
        self._open[connection.awaited][connection] = None
        return connection

    def move(self, connection: TcpConnection, awaited: Awaited) -> None:
        """Count a connection among those that wait for something else now."""
        if self._open[connection.awaited].pop(connection, connection) is None:
            self._open[awaited][connection] = None

    def remove(self, connection: TcpConnection) -> None:
        """Count a connection no more."""
        self._open[connection.awaited].pop(connection, None)

    @contextmanager
    def enforce_timeouts(self) -> Iterator[None]:
        """While the body runs, end those connections whose clients are too slow."""
        loop = asyncio.get_running_loop()
        timer: asyncio.TimerHandle

        def look() -> None:
            nonlocal timer
            self._look(loop.time())
            timer = loop.call_later(self._patience.check_interval_s, look)

        timer = loop.call_later(self._patience.check_interval_s, look)
        try:
            yield
        finally:
            timer.cancel()

    def _look(self, now: float) -> None:
        for connection in [each for waiting in self._open.values() for each in waiting]:
            reason = connection.timeout_reason(now, self._patience)
            if reason is None:
                continue
            self._cut(reason)
            if reason == "goodbye":
                self.remove(connection)
                connection.abort()
            else:
                connection.close()
