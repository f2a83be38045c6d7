"""Priorities of the sessions of one connection, where one may supersede another."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count

from kani.core.audio.playback import Playback

LEAD_S = 1.0
"""A lower-priority session runs only while all higher ones with text have this many seconds of audio
buffered, and buffers no more than this itself."""

TEXT_PENDING_S = 1.0
"""Seconds after a piece of its text for which a session counts as about to be synthesized."""


class SessionPriorities:
    """The priorities of one connection's sessions."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.ranks = count()  # of the sessions that are lowered
        self._changed: asyncio.Event | None = None  # awaited by sessions that look again
        self.members: set[SessionPriority] = set()  # priorities of the sessions that are open

    def add(self) -> SessionPriority:
        """Return the priority of a new session, which is the highest."""
        priority = SessionPriority(self, self._clock)
        self.members.add(priority)
        return priority

    def notify(self) -> None:
        """Wake the waiting sessions, which look again."""
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    async def wait_for_change(self, timeout_s: float) -> None:
        """Return after the next ``notify``, or after ``timeout_s`` seconds (∞: no limit)."""
        changed = self._changed = self._changed or asyncio.Event()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s if math.isfinite(timeout_s) else None):
                await changed.wait()


class SessionPriority:
    """The priority of one session among those of its connection.

    It is the highest until ``lower``. From then on the session is synthesized only while each session of a
    higher priority that has text is ahead of its playback or has nothing to synthesize, and never faster than
    its own audio is played.
    """

    def __init__(self, group: SessionPriorities, clock: Callable[[], float]) -> None:
        self.playback = Playback(clock)  # playback of the session's audio
        self._group = group
        self._clock = clock
        self._rank = math.inf
        self._text_at: float | None = None
        self._working = False

    def text_received(self) -> None:
        """Note that text has come, or is to be spoken now."""
        self._text_at = self._clock()
        self._group.notify()

    def audio_made(self, seconds: float) -> None:
        self.playback.add(seconds)
        self._group.notify()

    @contextmanager
    def working(self, working: bool = True) -> Iterator[None]:
        """Mark the session as being synthesized, or waiting for a slot, while the body runs."""
        before, self._working = self._working, working
        self._group.notify()
        try:
            yield
        finally:
            self._working = before
            self._group.notify()

    def lower(self) -> None:
        """Rank below all that were not lowered, and those that are lowered later.

        The session is still spoken to its end, while those are ahead of their playback or have no text.
        """
        self._rank = next(self._group.ranks)
        self._group.notify()

    def restore(self) -> None:
        """Rank with those that were not lowered: another session waits for the end of this one."""
        self._rank = math.inf
        self._group.notify()

    def leave(self) -> None:
        self._group.members.discard(self)
        self._group.notify()

    @property
    def superseded(self) -> bool:
        """True if a session of a higher priority has text."""
        return any(self._higher())

    @property
    def must_wait(self) -> bool:
        """True if the session must not be synthesized now."""
        return self._wait_s() > 0

    async def wait_for_turn(self) -> None:
        while (wait_s := self._wait_s()) > 0:
            await self._group.wait_for_change(wait_s)

    def _higher(self) -> Iterator[SessionPriority]:
        """Sessions of a higher priority that have text."""
        return (
            other for other in self._group.members if other._rank > self._rank and other._text_at is not None
        )

    def _wait_s(self) -> float:
        """Seconds to wait if nothing changes; 0 or less if there is nothing to wait for."""
        if self._rank == math.inf:
            return 0.0  # it is of the highest
        urgent = [other._urgent_s() for other in self._higher()]
        return max(self.playback.remaining_s - LEAD_S, *urgent) if urgent else 0.0

    def _urgent_s(self) -> float:
        """Seconds for which lower priorities have to wait for this session if nothing changes."""
        if self._text_at is None or self.playback.remaining_s >= LEAD_S:
            return 0.0
        return math.inf if self._working else self._text_at + TEXT_PENDING_S - self._clock()
