"""Order of the sessions of one connection, where one supersedes another."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count

from speech.playback import Playback

LEAD_S = 1.0
"""Seconds of audio that a session is to be ahead of its playback before one that gives way to it goes on, and
that one which gives way may be ahead of its own."""

TEXT_PENDING_S = 1.0
"""For how long after a piece of its text a session counts as one that is about to be made."""


class SessionPriorities:
    """The sessions of one connection; those that give way are made behind those that came later."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ranks = count()
        self._changed = asyncio.Event()
        self.members: set[SessionPriority] = set()
        """Those of the sessions that are not over."""

    def add(self) -> SessionPriority:
        """The standing of one more session, which gives way to none."""
        standing = SessionPriority(self, self._clock)
        self.members.add(standing)
        return standing

    def next_rank(self) -> int:
        """A rank above all that were given before."""
        return next(self._ranks)

    def notify(self) -> None:
        """Have those that wait look again."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait_for_change(self, timeout_s: float) -> None:
        """Return once something has changed, or after ``timeout_s`` seconds (∞: no limit)."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s if math.isfinite(timeout_s) else None):
                await self._changed.wait()


class SessionPriority:
    """One session among those of its connection.

    It does not give way until ``give_way``. From then on it is made only while all that came later, and have
    text, are ahead of their playback or have nothing to be made; and never faster than it is played.
    """

    def __init__(self, among: SessionPriorities, clock: Callable[[], float]) -> None:
        self._among = among
        self._clock = clock
        self._rank = math.inf
        self._playback = Playback(clock)
        self._text_at: float | None = None
        self._working = False

    def text_received(self) -> None:
        """Some of its text has come, or is to be said now."""
        self._text_at = self._clock()
        self._among.notify()

    def audio_made(self, seconds: float) -> None:
        """So much more of its audio was made."""
        self._playback.add(seconds)
        self._among.notify()

    @contextmanager
    def working(self, working: bool = True) -> Iterator[None]:
        """Mark it as being synthesised, or waiting for its engine, while the body runs."""
        before, self._working = self._working, working
        self._among.notify()
        try:
            yield
        finally:
            self._working = before
            self._among.notify()

    def lower(self) -> None:
        """Give way to all that do not, and to those that begin to after this one."""
        self._rank = self._among.next_rank()
        self._among.notify()

    def restore(self) -> None:
        """Give way no more: another waits for its end."""
        self._rank = math.inf
        self._among.notify()

    def leave(self) -> None:
        """The session is over."""
        self._among.members.discard(self)
        self._among.notify()

    @property
    def superseded(self) -> bool:
        """True if there is a session to give way to."""
        return any(self._before())

    @property
    def must_wait(self) -> bool:
        """True if it has to give way now."""
        return self._wait_s() > 0

    async def wait_for_turn(self) -> None:
        """Return once it does not have to give way now."""
        while (wait_s := self._wait_s()) > 0:
            await self._among.wait_for_change(wait_s)

    def _before(self) -> Iterator[SessionPriority]:
        """Those with text that it gives way to."""
        return (
            other for other in self._among.members if other._rank > self._rank and other._text_at is not None
        )

    def _wait_s(self) -> float:
        """Seconds for which it has to give way if nothing changes, at most 0 where it does not."""
        pressing = [other._pressing_s() for other in self._before()]
        return max(self._playback.remaining_s - LEAD_S, *pressing) if pressing else 0.0

    def _pressing_s(self) -> float:
        """Seconds for which others have to give way to it if nothing changes."""
        if self._text_at is None or self._playback.remaining_s >= LEAD_S:
            return 0.0
        return math.inf if self._working else self._text_at + TEXT_PENDING_S - self._clock()
