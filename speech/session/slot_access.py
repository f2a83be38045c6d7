"""Access of one session to the engines' slots, in turn with other sessions and by its own priority."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from speech.session.context import SessionContext
from speech.session.playout_buffer import WaitTimeout
from speech.session.report import SessionReport
from speech.session.slots import QueueTicket, Slot
from speech.voices.catalogue import ResolvedVoice


class SlotAccess:
    """Acquires and suspends slots for one session."""

    def __init__(
        self, context: SessionContext, report: SessionReport, timeout: WaitTimeout, ticket: QueueTicket
    ) -> None:
        """ticket: follows the first wait; timeout: stands still while higher priorities go first."""
        self._admission = context.admission
        self._priority = context.priority
        self._low_latency = context.low_latency
        self._report = report
        self._timeout = timeout
        self._ticket = ticket

    def slot(self, voice: ResolvedVoice) -> Slot:
        """Return a slot of the voice's engine, not yet acquired."""
        slots = self._admission.slots(voice.engine.info.name)
        return slots.slot(None if self._ticket.closed else self._ticket, self._lead_s)

    def _lead_s(self) -> float:
        """Seconds of audio left to play; none for a client that waits for the whole of it."""
        return self._priority.ahead_s if self._low_latency else 0.0

    @asynccontextmanager
    async def held(self, slot: Slot, engine: str) -> AsyncGenerator[None, None]:
        """Hold ``slot``, which is one of ``engine``'s, while the body runs."""
        with self._report.span.child("wait", {"speech.engine": engine}) as waiting:
            await self.wait_for_turn()
            with self._priority.working():
                async with slot:
                    self._report.slot_acquired(engine, slot.waited_s)
                    while self._priority.must_wait:
                        async with self.suspended(slot):
                            await self.wait_for_turn()
                    waiting.end()
                    yield

    @asynccontextmanager
    async def suspended(self, slot: Slot) -> AsyncGenerator[None, None]:
        """Lend ``slot`` to other sessions while the body runs, which must not use the engine."""
        async with slot.suspended():
            with self._priority.working(False):
                yield

    async def wait_for_turn(self) -> None:
        """Wait while sessions of the same connection with a higher priority go first."""
        with self._timeout.suspended():
            await self._priority.wait_for_turn()
