"""Access of one session to the engines' slots, in turn with other sessions and by its own priority."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import replace

from kani.core.playback import Playback
from kani.core.session.context import SessionContext
from kani.core.session.playout_buffer import WaitTimeout
from kani.core.session.priority import SessionPriority
from kani.core.session.report import SessionReport
from kani.core.session.slots import QueueTicket, Slot
from kani.core.voices.catalogue import ResolvedVoice


class SlotAccess:
    """Acquires and suspends slots for one session."""

    def __init__(
        self,
        context: SessionContext,
        report: SessionReport,
        timeout: WaitTimeout,
        priority: SessionPriority | None,
    ) -> None:
        """timeout: stands still while higher priorities go first; priority: None where there are none."""
        playback = Playback() if priority is None else priority.playback
        self.ticket = QueueTicket()  # follows the first wait for a slot
        self.audio_made = playback.add if priority is None else priority.audio_made
        """To be called with the seconds of all audio that is made."""
        self._admission = context.admission
        self._playback = playback
        self._priority = priority
        self._low_latency = context.low_latency
        self._report = report
        self._timeout = timeout
        self._light: dict[str, bool] = {}
        """True if the light network speaks each voice that has one: once chosen, a session keeps it."""
        self._kept: Slot | None = None  # the slot of the segment before, still held

    @property
    def ahead_s(self) -> float:
        """Seconds of audio that are left to play."""
        return self._playback.ahead_s

    @property
    def must_wait(self) -> bool:
        """True if the session must not be synthesized now, as others go first."""
        return self._priority is not None and self._priority.must_wait

    def text_received(self) -> None:
        """Note that text has come, or is to be spoken now."""
        if self._priority is not None:
            self._priority.text_received()

    def choose_network(self, voice: ResolvedVoice) -> ResolvedVoice:
        """Return ``voice`` with the network that speaks it in this session (``EngineInfo.light``)."""
        info = voice.engine.info
        if info.light is None or not info.light.speak(voice.voice, voice.language):
            return voice
        slots = self._admission.slots(info.name)
        # Where fewer slots were chosen, that many segments are wanted at once, and no more.
        full = slots.are_streams and not slots.has_free_place
        light = self._light.setdefault(voice.voice, info.light.always or full)
        return replace(voice, light=light)

    def slot(self, voice: ResolvedVoice) -> Slot:
        """Return the slot that was kept, or one of the voice's engine that is not yet acquired."""
        slots = self._admission.slots(voice.engine.info.name, light=voice.light)
        if self._kept is not None and self._kept.queue is slots:
            return self._kept
        self.release()
        return Slot(slots, None if self.ticket.closed else self.ticket, self._lead_s)

    def release(self) -> None:
        """Release the slot that was kept, if any: the session has nothing to synthesize now."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.release()

    def _lead_s(self) -> float:
        """Seconds of audio left to play; none for a client that waits for the whole of it."""
        return self._playback.ahead_s if self._low_latency else 0.0

    @asynccontextmanager
    async def held(self, slot: Slot, engine: str, *, keep: bool = False) -> AsyncGenerator[None, None]:
        """Hold ``slot``, which is one of ``engine``'s, while the body runs.

        keep: where slots are streams, keep it after the body for the next segment, until ``release``.
        """
        with self._report.span.child("wait", {"speech.engine": engine}) as waiting:
            kept, self._kept = self._kept is slot, None
            if not kept:
                await self.wait_for_turn()
            with self._working():
                async with AsyncExitStack() as stack:
                    if kept:
                        slot.hold_again()
                        stack.push_async_exit(slot)
                    else:
                        await stack.enter_async_context(slot)
                    self._report.slot_acquired(engine, slot.waited_s)
                    while self.must_wait:
                        async with self.suspended(slot):
                            await self.wait_for_turn()
                    waiting.end()
                    yield
                    if keep and self._low_latency and slot.queue.are_streams:
                        self._kept = slot
                        stack.pop_all()

    @asynccontextmanager
    async def suspended(self, slot: Slot) -> AsyncGenerator[None, None]:
        """Lend ``slot`` to other sessions while the body runs, which must not use the engine."""
        async with slot.suspended():
            with self._working(False):
                yield

    async def wait_for_turn(self) -> None:
        """Wait while sessions of the same connection with a higher priority go first."""
        if self._priority is not None:
            with self._timeout.suspended():
                await self._priority.wait_for_turn()

    def _working(self, working: bool = True) -> AbstractContextManager[None]:
        return nullcontext() if self._priority is None else self._priority.working(working)
