"""When text without an end is spoken all the same: ``chunk_length_schedule``, ``try_trigger_generation``.

The service gathers text until the schedule's next entry is reached, and then makes audio of it. Here speech
begins as soon as words stand that nothing can change, so the schedule is only what it promises at the latest:
so much text is spoken although its sentence is not complete. As long as more text keeps coming, a sentence is
not broken for it.
"""

from __future__ import annotations

from collections.abc import Sequence

from speech.request import Range

ENTRY_RANGE = Range(50, 500)
"""Characters of a schedule's entry."""

DEFAULT_LENGTHS = (120, 160, 250, 290)

FLUSH_AFTER_S = 0.5
"""How long text is waited for once there is as much as the schedule wants."""


class ChunkLengthSchedule:
    """How many characters may wait for the end of their sentence; the last entry counts again and again."""

    def __init__(self) -> None:
        self.lengths: Sequence[float] = DEFAULT_LENGTHS
        self._generations = 0
        self._triggered = False

    def trigger(self) -> None:
        """What there is may be spoken from the least entry on (``try_trigger_generation``)."""
        self._triggered = True

    def is_reached(self, waiting: int) -> bool:
        """Whether so many characters are enough."""
        length = self.lengths[min(self._generations, len(self.lengths) - 1)]
        return waiting >= (min(length, ENTRY_RANGE.low) if self._triggered else length)

    def advance(self) -> None:
        """What waited is spoken: the next entry counts."""
        self._generations += 1
        self._triggered = False
