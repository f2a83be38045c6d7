"""A microphone, a loudspeaker and captions for LiveKit's agents, without a room.

Imported inside the tests that need it: LiveKit's framework takes seconds to import.
"""

import asyncio
import time

import numpy as np
import numpy.typing as npt
from livekit import rtc
from livekit.agents.types import TimedString
from livekit.agents.voice import io

from kani.core.types import Samples

RATE = 24_000
FRAME = 480
"""Samples of a microphone's frame: 20 ms."""


def frames(samples: Samples, rate: int = RATE, channels: int = 1) -> list[rtc.AudioFrame]:
    pcm = np.repeat((samples * 32767).astype("<i2"), channels)
    step = rate // 50 * channels
    pieces = [pcm[start : start + step] for start in range(0, len(pcm), step)]
    return [rtc.AudioFrame(piece.tobytes(), rate, channels, len(piece) // channels) for piece in pieces]


class Microphone(io.AudioInput):
    """An input that is spoken into by ``speak``."""

    def __init__(self) -> None:
        super().__init__(label="microphone")
        self._frames: asyncio.Queue[rtc.AudioFrame] = asyncio.Queue()

    async def __anext__(self) -> rtc.AudioFrame:
        return await self._frames.get()

    async def speak(self, samples: Samples) -> None:
        """Speak in real time."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        for number, frame in enumerate(frames(samples)):
            await asyncio.sleep(started + number * FRAME / RATE - loop.time())
            self._frames.put_nowait(frame)


class Loudspeaker(io.AudioOutput):
    """Records its audio. A segment is played at once, or in real time."""

    def __init__(self, real_time: bool = False) -> None:
        super().__init__(
            label="loudspeaker", capabilities=io.AudioOutputCapabilities(pause=False), sample_rate=RATE
        )
        self.played: list[npt.NDArray[np.int16]] = []
        self.interrupted_at_s: float | None = None
        self._real_time = real_time
        self._segment_s = 0.0
        self._began = 0.0
        self._ending: asyncio.TimerHandle | None = None

    @property
    def samples(self) -> Samples:
        return np.concatenate(self.played).astype(np.float32) / 32768

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        if not self._segment_s:
            self._began = time.time()
            self.on_playback_started(created_at=self._began)
        self.played.append(np.frombuffer(frame.data, np.int16))
        self._segment_s += frame.duration

    def flush(self) -> None:
        super().flush()
        if self._segment_s:
            left_s = self._began + self._segment_s - time.time() if self._real_time else 0.0
            self._ending = asyncio.get_running_loop().call_later(max(0.0, left_s), self._end)

    def clear_buffer(self) -> None:
        if self._segment_s:
            self.interrupted_at_s = time.time() - self._began
            self._end()

    def _end(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
        interrupted, length_s = self.interrupted_at_s is not None, self._segment_s
        self._segment_s = 0.0
        self.on_playback_finished(
            playback_position=self.interrupted_at_s if interrupted else length_s, interrupted=interrupted
        )


class Captions(io.TextOutput):
    """Records its text."""

    def __init__(self) -> None:
        super().__init__(label="captions", next_in_chain=None)
        self.shown: list[str | TimedString] = []

    async def capture_text(self, text: str) -> None:
        self.shown.append(text)

    def flush(self) -> None:
        """The transcript that was shown is complete."""
