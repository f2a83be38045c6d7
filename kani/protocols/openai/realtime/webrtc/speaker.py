"""The audio track of a call: what the answers say, at the pace at which it is heard."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, Packet
from av.audio.codeccontext import AudioCodecContext
from typing_extensions import override

from kani.core.audio import ffmpeg
from kani.core.audio.checked import in_range
from kani.core.audio.playback import Playback
from kani.core.types import Samples

RATE = 24_000
"""Hertz of the track."""

RTP_RATE = 48_000
"""Hertz of Opus' clock in RTP, and of what is decoded of the caller's track."""

BIT_RATE = 48_000
FRAME_S = 0.02
FRAME = round(FRAME_S * RATE)
"""Samples of a packet."""

MAX_AHEAD_S = 30.0
"""Seconds of audio that wait to be played; the synthesis of more waits."""

LATE_S = 0.2
"""Delay from which on the track does not catch up: that would only fill the listener's buffer."""


class Utterance(Playback):
    """Playback of one answer: an estimate that each frame on the track corrects."""

    def __init__(self, drained: Callable[[], None], cleared: Callable[[], None]) -> None:
        """drained: called once all was played; cleared: called if the rest will not be."""
        super().__init__()
        self.drained, self.cleared = drained, cleared
        self.played_s = 0.0
        self._added_s = 0.0

    @override
    def add(self, seconds: float) -> None:
        super().add(seconds)
        self._added_s += seconds

    def play(self, samples: int) -> None:
        self.played_s += samples / RATE
        self.ends_at = self._clock() + self._added_s - self.played_s


class Speaker(MediaStreamTrack):  # type: ignore[misc, unused-ignore]
    """Plays utterances one after the other, and silence between them.

    resting: True while a voice over the answer is judged, with silence instead of it.
    """

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self.resting = False
        self._queue: deque[tuple[Utterance, Samples | None]] = deque()  # None ends an utterance
        self._queued = 0  # samples
        self._begun: dict[Utterance, None] = {}  # those that are not drained or cleared
        self._room = asyncio.Event()
        self._due = -np.inf
        self._sent = 0  # frames
        # By itself aiortc would encode each frame in a thread, and wait for it: late on a busy machine.
        ffmpeg.disable_threads()
        self._encoder = AudioCodecContext.create("libopus", "w")
        self._encoder.sample_rate, self._encoder.layout, self._encoder.format = RATE, "mono", "flt"
        self._encoder.bit_rate, self._encoder.options = BIT_RATE, {"application": "voip"}

    async def wait_for_room(self) -> None:
        """Wait while ``MAX_AHEAD_S`` are queued."""
        while self._queued > MAX_AHEAD_S * RATE:
            self._room.clear()
            await self._room.wait()

    def put(self, utterance: Utterance, samples: Samples) -> None:
        self._queue.append((utterance, samples))
        self._queued += len(samples)
        self._begun[utterance] = None

    def finish(self, utterance: Utterance) -> None:
        """Have ``drained`` called once what was put is played."""
        self._queue.append((utterance, None))

    def clear(self) -> None:
        """End all utterances, also one whose next samples are still being made."""
        cleared, self._begun = self._begun, {}
        self._queue.clear()
        self._queued = 0
        self._room.set()
        for utterance in cleared:
            utterance.cleared()

    async def recv(self) -> Packet[Any]:
        """Return the next packet when it is due. Raises MediaStreamError once the track has ended."""
        now = time.monotonic()
        self._due = self._due + FRAME_S if now - self._due < LATE_S else now
        await asyncio.sleep(self._due - now)
        if self.readyState != "live":
            raise MediaStreamError
        # A resampler may overshoot.
        frame = AudioFrame.from_ndarray(in_range(self._next())[None], "flt", "mono")
        frame.sample_rate = RATE
        (packet,) = self._encoder.encode(frame)
        packet.time_base, packet.pts = Fraction(1, RTP_RATE), round(self._sent * FRAME_S * RTP_RATE)
        self._sent += 1
        return packet

    def _next(self) -> Samples:
        frame, filled = np.zeros(FRAME, np.float32), 0
        if self.resting and self._queue:
            self._queue[0][0].play(0)
        while self._queue and filled < FRAME and not self.resting:
            utterance, samples = self._queue.popleft()
            if samples is None:
                self._begun.pop(utterance, None)
                utterance.drained()
                continue
            piece, rest = samples[: FRAME - filled], samples[FRAME - filled :]
            frame[filled : filled + len(piece)] = piece
            filled += len(piece)
            utterance.play(len(piece))
            if len(rest):
                self._queue.appendleft((utterance, rest))
        self._queued -= filled
        self._room.set()
        return frame
