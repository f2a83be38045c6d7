"""Bounds how much of a connection's input is parsed in one turn of the event loop.

A socket hands over up to 8 MiB a turn (libuv: 32 reads of 256 KiB), which may hold a million WebSocket frames
or HTTP chunks. Each takes some 10 µs to parse: all of them at once would stop every other client for seconds.
"""

from __future__ import annotations

import asyncio
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


class InputTurns:
    """Counts frames or chunks of one connection: ``ITEMS_PER_TURN`` for each turn of the event loop.

    go_on: called in the next turn after one in which an item had to wait.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, go_on: Callable[[], None]) -> None:
        self._loop = loop
        self._go_on: Callable[[], None] | None = go_on
        self._next_turn: asyncio.Handle | None = None
        self._left = ITEMS_PER_TURN
        self.waiting = False
        """True if an item waits for the next turn."""

    def take(self) -> bool:
        """Count an item; return False if it has to wait for the next turn."""
        if self._next_turn is None:
            self._next_turn = self._loop.call_soon(self._begin)
        self.waiting = self._left == 0
        if not self.waiting:
            self._left -= 1
        return not self.waiting

    def close(self) -> None:
        """End the count, and break its reference cycle with the connection."""
        self._go_on = None
        if self._next_turn is not None:
            self._next_turn.cancel()

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


class RequestReader(h11.Connection):
    """h11's parser, which returns an event only if ``turns`` has room for it."""

    def __init__(self, turns: InputTurns) -> None:
        super().__init__(h11.SERVER)
        self._turns = turns
        self.rest = 0
        """Pieces of a body parsed since the answer to it was complete."""

    @override
    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        if not self._turns.take():
            return h11.NEED_DATA
        event = super().next_event()
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
