"""Bounds how much of a connection's input is parsed in one turn of the event loop, and of the loop's time.

A socket hands over up to 8 MiB a turn (libuv: 32 reads of 256 KiB), which may hold a million WebSocket frames
or HTTP chunks. Each takes some 10 µs to parse: all of them at once would stop every other client for seconds.
"""

import asyncio
import time
from collections.abc import Callable, Generator

import h11
from typing_extensions import override
from uvicorn.protocols.http.flow_control import FlowControl
from websockets.streams import StreamReader

ITEMS_PER_TURN = 64
"""Frames or chunks of one connection: about 1 ms. Clients in real time send one or two a turn."""

MAX_DROPPED_BYTES = 16 * 2**20
"""Input that is dropped after the last output of a connection. Closing with unread input resets a connection,
and its client might never read that output; one that goes on sending is cut off in the end."""

SHORTEST_REST_S = 0.002
LONGEST_REST_S = 0.01
"""Bounds of a rest. Timers of the event loop count milliseconds; a longer rest would delay a client that has
waited for the server itself."""


class Rests:
    """Rests of a connection after much of its input has come, each as long as it was served before.

    Others have half of the loop's time, however many such connections there are. Threads need it most: a loop
    that is never idle releases the interpreter's lock only for a moment each turn, which a thread that waits
    for the lock rarely catches, and an engine takes the lock a dozen times for one chunk of speech.
    """

    def __init__(self) -> None:
        self._served_from = time.perf_counter()
        self._owed_s = 0.0

    def begin(self) -> None:
        """Begin to serve input that had to be waited for."""
        self._served_from = time.perf_counter()

    def due(self) -> float:
        """Return how long to rest before further input is served, in seconds; 0 if no rest is due yet."""
        now = time.perf_counter()
        # Waits for a turn count, so that the share is one of all such connections together.
        self._owed_s += now - self._served_from
        rest_s = min(self._owed_s, LONGEST_REST_S) if self._owed_s >= SHORTEST_REST_S else 0.0
        if rest_s:
            self._owed_s = 0.0
        self._served_from = now + rest_s
        return rest_s


class InputTurns:
    """Counts frames or chunks of one connection: ``ITEMS_PER_TURN`` for each turn of the event loop.

    go_on: called after a turn that left an item waiting, in the next turn or when a rest is over.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, go_on: Callable[[], None]) -> None:
        self._loop = loop
        self._go_on: Callable[[], None] | None = go_on
        self._next_turn: asyncio.Handle | None = None
        self._rests = Rests()
        self._left = ITEMS_PER_TURN
        self.waiting = False
        """True if an item waits for a later turn."""

    def take(self) -> bool:
        """Count an item; return False if it has to wait."""
        if self._next_turn is None:
            self._rests.begin()
            self._next_turn = self._loop.call_soon(self._end)
        self.waiting = self._left == 0
        if not self.waiting:
            self._left -= 1
        return not self.waiting

    def close(self) -> None:
        """End the count, and break its reference cycle with the connection."""
        self._go_on = None
        if self._next_turn is not None:
            self._next_turn.cancel()

    def _end(self) -> None:
        if self.waiting and (rest_s := self._rests.due()):
            self._next_turn = self._loop.call_later(rest_s, self._begin)
        else:
            self._begin()

    def _begin(self) -> None:
        self._next_turn = None
        self._left = ITEMS_PER_TURN
        if self.waiting and self._go_on is not None:
            self._go_on()


class FrameReader(StreamReader):
    """Input of websockets' parser, which starts a frame only if ``may_parse()`` returns True."""

    def __init__(self, may_parse: Callable[[], bool]) -> None:
        super().__init__()
        self._may_parse = may_parse

    @override
    def at_eof(self) -> Generator[None, None, bool]:
        # The parser calls this before each frame.
        while not (yield from super().at_eof()):
            if self._may_parse():
                return False
            yield
        return True


BOTH_LENGTHS = {b"content-length", b"transfer-encoding"}
"""A request with both may end elsewhere for a proxy, which then sees another next request (RFC 9112, 6.1)."""


class RequestReader(h11.Connection):
    """h11's parser, which returns an event only if ``turns`` has room for it, and no ``BOTH_LENGTHS``.

    passes_on: called with a request and what is read after its head; if it returns True, others answer it.
    """

    def __init__(self, turns: InputTurns, passes_on: Callable[[h11.Request, bytes], bool]) -> None:
        super().__init__(h11.SERVER)
        self._turns = turns
        self._passes_on = passes_on
        self.rest = 0
        """Pieces of a body parsed since the answer to it was complete."""

    @override
    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        if not self._turns.take():
            return h11.NEED_DATA
        event = super().next_event()
        if isinstance(event, h11.Request):
            if {name for name, _ in event.headers} >= BOTH_LENGTHS:
                raise h11.RemoteProtocolError("Content-Length and Transfer-Encoding in one request")
            if self._passes_on(event, self.trailing_data[0]):
                return h11.NEED_DATA
        if self.our_state is not h11.DONE:
            self.rest = 0
        elif isinstance(event, h11.Data):
            self.rest += 1
        return event


class InputFlow(FlowControl):
    """uvicorn's flow control, which also pauses reading while input that has come is held back."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__(transport)
        self._transport = transport
        self._held = False

    def hold(self, held: bool) -> None:
        """Set whether input is held back."""
        if held:
            self._transport.pause_reading()
        elif self._held and not self.read_paused:
            self._transport.resume_reading()
        self._held = held

    @override
    def resume_reading(self) -> None:
        if self._held:
            self.read_paused = False
        else:
            super().resume_reading()
