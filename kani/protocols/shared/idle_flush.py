"""A timer that speaks an unfinished text when its client pauses."""

import asyncio
from collections.abc import Callable


class IdleFlush:
    """Calls a function ``after_s`` seconds after the last ``restart``.

    Cancel it when the session ends. A timer that has fired or was cancelled keeps no reference to the
    function, so that it is part of no reference cycle.
    """

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._timer: asyncio.TimerHandle | None = None

    @property
    def pending(self) -> bool:
        """True while the call is still to come."""
        return self._timer is not None

    def restart(self, flush: Callable[[], None]) -> None:
        """Call ``flush`` after the full time, instead of any call that is pending."""
        self.cancel()
        self._timer = asyncio.get_running_loop().call_later(self._after_s, self._fire, flush)

    def cancel(self) -> None:
        """Drop the pending call, if any."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self, flush: Callable[[], None]) -> None:
        self._timer = None
        flush()
