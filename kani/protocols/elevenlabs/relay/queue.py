"""The relay's queue of utterances, spoken one after another."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from kani.core import request_ids
from kani.protocols.elevenlabs.relay.utterance import Utterance
from kani.protocols.shared.errors import BadMessage

MAX_QUEUED = 16
"""Utterances that wait for the end of the one being spoken."""


@dataclass(slots=True)
class RelayState:
    """Counts of connections and of utterances being spoken."""

    clients: int = 0
    agents: int = 0
    active_utterances: int = 0

    def health_fields(self) -> dict[str, int | bool]:
        return {
            "flutter_clients": self.clients,
            "agent_connected": self.agents > 0,
            "is_streaming": self.active_utterances > 0,
        }


class UtteranceQueue:
    """A queue of utterances. turn: lock of a client that several queues send to, held during an utterance."""

    def __init__(self, state: RelayState, turn: asyncio.Lock) -> None:
        self._state = state
        self._turn = turn
        self._queued: deque[Utterance] = deque()
        self._added = asyncio.Event()
        self._current: Utterance | None = None
        self._task: asyncio.Task[None] | None = None
        self._count = 0

    def add(self, utterance: Utterance) -> None:
        """Queue an utterance. Raises BadMessage if the queue is full."""
        if len(self._queued) >= MAX_QUEUED:
            raise BadMessage(f"too many texts are waiting (at most {MAX_QUEUED})")
        self._queued.append(utterance)
        self._added.set()

    def stop(self) -> None:
        """Discard all utterances, the current one too: nothing more of them is sent."""
        for utterance in self._queued:
            utterance.discard()
        self._queued.clear()
        if self._current is not None and self._task is not None:
            self._current.discard()
            self._task.cancel()

    async def run(self) -> None:
        """Speak the queue until cancelled. Raises WebSocketDisconnect when a client has gone."""
        while True:
            self._added.clear()
            while self._queued:
                async with self._turn:
                    # ``stop`` may have emptied the queue while the lock was awaited.
                    if self._queued:
                        await self._speak(self._queued.popleft())
            await self._added.wait()

    async def _speak(self, utterance: Utterance) -> None:
        """Speak one utterance, in a task of its own, so that ``stop`` cancels nothing else."""
        self._count += 1
        self._state.active_utterances += 1
        with request_ids.bind(f"{request_ids.current()}-{self._count}"):
            task = asyncio.create_task(utterance.synthesize(), name="relay utterance")
        self._current, self._task = utterance, task
        try:
            await asyncio.wait([task])
        finally:
            self._current = self._task = None
            self._state.active_utterances -= 1
            task.cancel()
            await asyncio.wait([task])
            # Retrieved in any case: asyncio logs exceptions that are never retrieved.
            error = None if task.cancelled() else task.exception()
        if error is not None:
            raise error
