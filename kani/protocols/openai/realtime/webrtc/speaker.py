"""The audio of a call: what the answers say, at the pace at which it is heard, and what the caller says."""

from __future__ import annotations

import asyncio
import time
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
from kani.core.audio.pcm import from_pcm16
from kani.core.audio.resampling import LowDelayResampler
from kani.core.conversation.paced import LATE_S, PacedAudio
from kani.core.types import Samples
from kani.protocols.openai.realtime.answers.paced import Side, Track

RATE = 24_000
"""Hertz of the track."""

RTP_RATE = 48_000
"""Hertz of Opus' clock in RTP, and of what is decoded of the caller's track."""

BIT_RATE = 48_000
FRAME_S = 0.02
FRAME = round(FRAME_S * RATE)
"""Samples of a packet."""

SETTLED = 50
"""Silent packets in a row after which the last one is sent again: a caller who waits costs no encoding."""


class Speaker(MediaStreamTrack, Track):  # type: ignore[misc, unused-ignore]
    """The answers as a track; messages of the caller's are 16-bit samples at ``RTP_RATE`` hertz."""

    kind = "audio"

    def __init__(self, reflect: Callable[[Side, Samples], None]) -> None:
        """reflect: called with audio of either side as it passes."""
        PacedAudio.__init__(self, RATE)
        MediaStreamTrack.__init__(self)
        self._reflect = reflect
        self._due = -np.inf
        self._sent = self._silent = 0  # frames; those without sound in a row
        self._encoded = b""  # the last one
        self._hears_at = 0  # hertz
        # By itself aiortc would encode each frame in a thread, and wait for it: late on a busy machine.
        ffmpeg.disable_threads()
        self._encoder = AudioCodecContext.create("libopus", "w")
        self._encoder.sample_rate, self._encoder.layout, self._encoder.format = RATE, "mono", "flt"
        self._encoder.bit_rate, self._encoder.options = BIT_RATE, {"application": "voip"}

    @override
    def hear(self, message: bytes, sample_rate: int) -> Samples:
        if sample_rate != self._hears_at:
            self._hears_at, self._resampler = sample_rate, LowDelayResampler(RTP_RATE, sample_rate)
        samples = self._resampler.feed(from_pcm16(message))
        self._reflect("input", samples)
        return samples

    async def recv(self) -> Packet[Any]:
        """Return the next packet when it is due. Raises MediaStreamError once the track has ended."""
        now = time.monotonic()
        self._due = self._due + FRAME_S if now - self._due < LATE_S else now
        await asyncio.sleep(self._due - now)
        if self.readyState != "live":
            raise MediaStreamError
        samples = self.take(FRAME)
        self._reflect("output", samples)
        self._silent = 0 if samples.any() else self._silent + 1
        if self._silent < SETTLED:
            # A resampler may overshoot.
            frame = AudioFrame.from_ndarray(in_range(samples)[None], "flt", "mono")
            frame.sample_rate = RATE
            self._encoded = b"".join(map(bytes, self._encoder.encode(frame)))
        packet = Packet(self._encoded)
        packet.time_base, packet.pts = Fraction(1, RTP_RATE), round(self._sent * FRAME_S * RTP_RATE)
        self._sent += 1
        return packet
