"""Answers in real time, for clients that play audio as it comes."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress

import numpy as np
from typing_extensions import override

from kani.core.audio.playback import Playback
from kani.core.types import Samples

MAX_AHEAD_S = 30.0
"""Seconds of audio that wait to be played; the synthesis of more waits."""

LATE_S = 0.2
"""Delay from which on a stream does not catch up: that would only fill the listener's buffer."""

FRAME_S = 0.04
"""Seconds of a frame of ``PacedAudio.frames``."""

AHEAD_S = 0.08
"""Seconds that sound comes early: they bridge a late packet, and are heard after an interruption."""


class Utterance(Playback):
    """Playback of one answer: an estimate that each frame corrects."""

    def __init__(self, sample_rate: int) -> None:
        """sample_rate: hertz."""
        super().__init__()
        self.played_s = 0.0
        self._rate = sample_rate
        self._added_s = 0.0

    @override
    def add(self, seconds: float) -> None:
        super().add(seconds)
        self._added_s += seconds

    def play(self, samples: int) -> None:
        self.played_s += samples / self._rate
        self.ends_at = self._clock() + self._added_s - self.played_s


class PacedAudio:
    """Utterances one after the other, and silence between them.

    position_s: seconds that were taken; resting: True while a voice over the answer is judged, with silence
    instead of it.
    """

    def __init__(self, sample_rate: int) -> None:
        """sample_rate: hertz."""
        self.sample_rate = sample_rate
        self.position_s = 0.0
        self.resting = False
        self._queue: deque[tuple[Utterance, Samples | Callable[[float], None]]] = deque()
        self._queued = 0  # samples
        # Those that are not drained or cleared, with the functions to call then. An utterance that held its
        # own would be in a cycle with its answer, which would stay in memory.
        self._begun: dict[Utterance, tuple[Callable[[], None], Callable[[], None]]] = {}
        self._room = asyncio.Event()
        self._grown = asyncio.Event()

    async def wait_for_room(self) -> None:
        """Wait while ``MAX_AHEAD_S`` are queued."""
        while self._queued > MAX_AHEAD_S * self.sample_rate:
            self._room.clear()
            await self._room.wait()

    def begin(self, utterance: Utterance, drained: Callable[[], None], cleared: Callable[[], None]) -> None:
        """Begin an utterance; drained: called once all was played; cleared: if the rest will not be."""
        self._begun[utterance] = drained, cleared

    def put(self, utterance: Utterance, samples: Samples) -> None:
        self._queue.append((utterance, samples))
        self._queued += len(samples)
        self._grown.set()

    def tell(self, utterance: Utterance, reached: Callable[[float], None]) -> None:
        """Have ``reached`` called as what was put is taken; it gets the place of its end, in seconds."""
        self._queue.append((utterance, reached))

    def finish(self, utterance: Utterance) -> None:
        """Have ``drained`` called once what was put is played."""
        # ``clear`` drops this as well: one of the two functions is called, once.
        self.tell(utterance, lambda _: self._begun.pop(utterance)[0]())

    def clear(self) -> None:
        """End all utterances, including one that is still being made."""
        cleared, self._begun = self._begun, {}
        self._queue.clear()
        self._queued = 0
        self._room.set()
        for _drained, tell_cleared in cleared.values():
            tell_cleared()

    def forget(self) -> None:
        """Drop all utterances without a word to their answers, which the queue would keep in memory."""
        self._begun.clear()
        self._queue.clear()

    def take(self, count: int) -> Samples:
        """Return the next frame, of ``count`` samples."""
        frame, filled = np.zeros(count, np.float32), 0
        if self.resting and self._queue:
            self._queue[0][0].play(0)
        while self._queue and filled < count and not self.resting:
            utterance, next_ = self._queue.popleft()
            if callable(next_):
                next_(self.position_s + filled / self.sample_rate)
                continue
            piece, rest = next_[: count - filled], next_[count - filled :]
            frame[filled : filled + len(piece)] = piece
            filled += len(piece)
            utterance.play(len(piece))
            if len(rest):
                self._queue.appendleft((utterance, rest))
        self._queued -= filled
        self.position_s += count / self.sample_rate
        self._room.set()
        return frame

    async def frames(self) -> AsyncGenerator[Samples, None]:
        """Yield frames of ``FRAME_S`` when they are due, without an end; sound ``AHEAD_S`` before."""
        due = time.monotonic()
        while True:
            sounds = self._queue and not self.resting
            wait_s = due - time.monotonic() - (AHEAD_S if sounds else 0.0)
            if wait_s > 0:
                self._grown.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._grown.wait()
                continue
            now = time.monotonic()
            due = FRAME_S + (due if now - due < LATE_S else now)
            yield self.take(round(FRAME_S * self.sample_rate))
