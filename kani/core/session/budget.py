"""Memory and disk that all clients together may hold, whatever each of them may."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field

from kani.core.errors import Busy
from kani.core.shared_numbers import Number

MIB = 2**20
RESERVE_PART = 4
"""A quarter of a budget's limit is kept for small shares beyond it, so that clients that hold much keep out
none that needs little."""


@dataclass(eq=False)
class Budget:
    """Bytes, held by shares. Not thread-safe: use it only on the event loop."""

    limit: int  # and a quarter more for small shares
    full: str  # sentence for clients when it is
    _: KW_ONLY
    small: int = MIB  # bytes of a small share, at most
    free: int = 0  # bytes of each share that are not counted
    one_may_exceed: bool = False
    """True if a share may exceed the limit while no other holds anything: it has a limit of its own kind."""
    used: int = 0
    """Bytes that all shares of this process hold, without the free ones."""

    def __post_init__(self) -> None:
        self.shared = Number(f"{self.full} {self.limit}")

    def open(self, instead: str = "") -> Share:
        """Return a share without bytes; instead: what a client can do where it is full."""
        return Share(self, instead)

    @contextmanager
    def share(self, instead: str = "") -> Iterator[Share]:
        """Open a share; all of it is given back at the end of the context."""
        share = self.open(instead)
        try:
            yield share
        finally:
            share.resize(0)


class Share:
    """Bytes of a budget that one request or one connection holds: ``size``, without the free ones."""

    __slots__ = ("_budget", "instead", "size")

    def __init__(self, budget: Budget, instead: str = "") -> None:
        self._budget = budget
        self.instead = instead
        self.size = 0

    def fits(self, size: int) -> bool:
        """Return True if the budget has room for ``size`` bytes, instead of those that are held."""
        budget, counted = self._budget, max(0, size - self._budget.free)
        others = budget.used - self.size + sum(budget.shared.others)
        if counted <= budget.small:
            return not counted or others + counted <= budget.limit + budget.limit // RESERVE_PART
        return others + counted <= budget.limit or (budget.one_may_exceed and not others)

    def hold(self, size: int) -> None:
        """Hold ``size`` bytes, the free ones included, whether there is room or not."""
        counted = max(0, size - self._budget.free)
        self._budget.used += counted - self.size
        self._budget.shared.own = self._budget.used
        self.size = counted

    def resize(self, size: int) -> None:
        """Hold ``size`` bytes, the free ones included. Raises Busy where they are more, and have no room."""
        if size - self._budget.free > self.size and not self.fits(size):
            raise self.refusal()
        self.hold(size)

    def refusal(self) -> Busy:
        """Return the error of a share that has no room."""
        return Busy(f"{self._budget.full}: {f'{self.instead}, or ' if self.instead else ''}try again later")

    def grow(self, size: int) -> None:
        """Hold ``size`` bytes more; only where none are free. Raises Busy."""
        self.resize(self.size + size)


@dataclass(frozen=True, slots=True)
class Budgets:
    """Budgets of a service: each bounds what the clients of all protocols hold together."""

    recognition: Budget = field(
        default_factory=lambda: Budget(32 * MIB, "too much audio waits to be recognised", one_may_exceed=True)
    )
    """Audio that waits for the recogniser."""
    requests: Budget = field(default_factory=lambda: Budget(64 * MIB, "too many long requests are waiting"))
    """Messages with requests that wait for those before them."""
    conversations: Budget = field(
        default_factory=lambda: Budget(64 * MIB, "too much text is being kept", small=MIB // 64)
    )
    """Text and pictures of conversations, in characters."""
    whole_answers: Budget = field(
        default_factory=lambda: Budget(512 * MIB, "too much speech waits to be sent whole")
    )
    """Audio of answers that are sent in one piece."""
    references: Budget = field(
        default_factory=lambda: Budget(256 * MIB, "too many recordings are waiting to be imitated")
    )
    """Recordings of voices: those that were named, and those that wait to be embedded."""
    recordings: Budget = field(
        default_factory=lambda: Budget(
            1024 * MIB, "too many recordings are being transcribed at once", small=25 * MIB
        )
    )
    """Disk for recordings that are being received or transcribed; long ones keep out none of some minutes."""
    alignments: Budget = field(
        default_factory=lambda: Budget(
            256 * MIB, "too many recordings are being aligned at once", small=4 * MIB, one_may_exceed=True
        )
    )
    """Features of recordings and texts that are being aligned."""
