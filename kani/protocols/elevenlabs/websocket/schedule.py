"""Synthesis of text without a sentence end: ``chunk_length_schedule`` and ``try_trigger_generation``.

ElevenLabs' service buffers text until the schedule's next entry is reached, and then synthesizes it. Here
synthesis begins as soon as further text cannot change the first words, so the schedule is only an upper
bound: text of that length is spoken although its sentence is incomplete. While more text keeps coming, a
sentence is not broken for it.
"""

from __future__ import annotations

from collections.abc import Sequence

from kani.core.request import Range

ENTRY_RANGE = Range(50, 500)
"""Characters of a schedule's entry."""

DEFAULT_LENGTHS = (120, 160, 250, 290)

FLUSH_AFTER_S = 0.5
"""Time without further text before a reached schedule is applied."""


class ChunkLengthSchedule:
    """Characters that may wait for the end of their sentence, one entry for each generation.

    The last entry is repeated.
    """

    def __init__(self) -> None:
        self.lengths: Sequence[float] = DEFAULT_LENGTHS
        self._generations = 0
        self._triggered = False

    def trigger(self) -> None:
        """Lower the current entry to the smallest allowed one (``try_trigger_generation``)."""
        self._triggered = True

    def is_reached(self, pending: int) -> bool:
        """Return whether ``pending`` characters reach the current entry."""
        length = self.lengths[min(self._generations, len(self.lengths) - 1)]
        return pending >= (min(length, ENTRY_RANGE.low) if self._triggered else length)

    def advance(self) -> None:
        """Move to the next entry, after the pending text was flushed."""
        self._generations += 1
        self._triggered = False
