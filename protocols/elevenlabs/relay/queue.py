"""Utterances of the relay, spoken one after another."""

from __future__ import annotations

import asyncio
from collections import deque

from protocols.elevenlabs.relay.messages import BadMessage
from protocols.elevenlabs.relay.settings import RelayState
from protocols.elevenlabs.relay.utterance import Utterance
from speech import request_ids

MAX_QUEUED = 16
"""Utterances behind the one that is being spoken."""


class UtteranceQueue:
    """A queue of utterances. floor: held by whoever speaks, where others speak to the same client."""

    def __init__(self, state: RelayState, floor: asyncio.Lock) -> None:
        self._state = state
        self._floor = floor
        self._waiting: deque[Utterance] = deque()
        self._added = asyncio.Event()
        self._utterance: Utterance | None = None
        self._speaking: asyncio.Task[None] | None = None
        self._count = 0

    def add(self, utterance: Utterance) -> None:
        """Speak it behind the others. Raises BadMessage where too many wait."""
        if len(self._waiting) >= MAX_QUEUED:
            raise BadMessage(f"too many texts are waiting (at most {MAX_QUEUED})")
        self._waiting.append(utterance)
        self._added.set()

    def stop(self) -> None:
        """Say nothing more of what was added so far: from now on nothing of it is sent."""
        for utterance in self._waiting:
            utterance.discard()
        self._waiting.clear()
        if self._utterance is not None and self._speaking is not None:
            self._utterance.discard()
            self._speaking.cancel()

    async def run(self) -> None:
        """Speak until it is cancelled, or a client that is spoken to has gone."""
        while True:
            self._added.clear()
            while self._waiting:
                async with self._floor:
                    # Those that waited may have been stopped meanwhile.
                    if self._waiting:
                        await self._speak(self._waiting.popleft())
            await self._added.wait()

    async def _speak(self, utterance: Utterance) -> None:
        """Speak one; in a task of its own, so that it alone can be stopped."""
        self._count += 1
        self._state.active_utterances += 1
        with request_ids.bind(f"{request_ids.current()}-{self._count}"):
            task = asyncio.create_task(utterance.synthesize(), name="relay utterance")
        self._utterance, self._speaking = utterance, task
        try:
            await asyncio.wait([task])
        finally:
            self._utterance = self._speaking = None
            self._state.active_utterances -= 1
            task.cancel()
            await asyncio.wait([task])
            # It is asked in any case, or asyncio would log an error that nobody looked at.
            error = None if task.cancelled() else task.exception()
        if error is not None:
            raise error
