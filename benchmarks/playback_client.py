"""A client that records when audio arrives, and computes how its playback would have gone."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.sentences import LANGUAGE_NAMES
from kani.core.types import Samples

SAMPLE_RATE = 22_050
WAV_HEADER_BYTES = 44
AUDIBLE_SHARE = 0.02
"""Amplitude from which on a sound is audible, relative to the peak of the speech."""


class Refused(Exception):
    """The server answered with an error; ``str()`` is its message."""


@dataclass(frozen=True, slots=True)
class ReceivedSpeech:
    """One answer. Times are seconds since the request was sent."""

    arrivals: tuple[float, ...]  # of each piece of audio
    chunks: tuple[Samples, ...]  # the pieces, at ``SAMPLE_RATE``
    done_s: float  # arrival of the last message

    @property
    def samples(self) -> Samples:
        """The pieces joined."""
        return np.concatenate(self.chunks)

    @property
    def duration_s(self) -> float:
        """Length of the audio in seconds."""
        return sum(self.durations)

    @property
    def durations(self) -> list[float]:
        """Lengths of the pieces in seconds."""
        return [len(chunk) / SAMPLE_RATE for chunk in self.chunks]

    @property
    def first_audio_s(self) -> float:
        """Arrival of the first piece."""
        return self.arrivals[0]

    @property
    def first_audible_s(self) -> float:
        """Time of the first audible sound, where each piece is played as soon as possible."""
        return first_audible_s(self.samples, SAMPLE_RATE, self.arrivals, self.durations)


def connected(url: str) -> connect:
    """Connect without a limit of message size, compression or pings."""
    return connect(url, max_size=None, compression=None, ping_interval=None)


async def request_speech(
    websocket: ClientConnection, language: str, text: str, *, streamed: bool = True, **asked: float
) -> ReceivedSpeech:
    """Request ``text`` and receive its speech; asked: further fields of the config. Raises Refused."""
    kind = "tts_stream_request" if streamed else "tts_request"
    config = {"language": LANGUAGE_NAMES[language], **asked}
    request = json.dumps({"type": kind, "data": {"text": text, "config": config}})
    arrivals, chunks = [], []
    sent = time.perf_counter()
    await websocket.send(request)
    while True:
        message = await websocket.recv()
        arrived_s = time.perf_counter() - sent
        kind, samples = parse(message)
        if samples is not None and len(samples):
            arrivals.append(arrived_s)
            chunks.append(samples)
        if kind != "tts_stream_chunk":
            return ReceivedSpeech(tuple(arrivals), tuple(chunks), arrived_s)


def parse(message: str | bytes) -> tuple[str, Samples | None]:
    """Return a message's type, and its samples if it holds audio. Raises Refused."""
    parsed = json.loads(message)
    kind, data = parsed["type"], parsed["data"]
    if data["status"] == "error":
        raise Refused(data["message"])
    if "audio" not in data:
        return kind, None
    pcm = base64.b64decode(data["audio"])
    if kind == "tts_response":
        pcm = pcm[WAV_HEADER_BYTES:]
    return kind, np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(32768)


def playback_starts(arrivals: Sequence[float], durations: Sequence[float]) -> list[float]:
    """Return when each piece starts to play: at its arrival, or when the piece before it has ended."""
    starts: list[float] = []
    free = float("-inf")
    for arrival, duration in zip(arrivals, durations, strict=True):
        starts.append(max(arrival, free))
        free = starts[-1] + duration
    return starts


def stalls(arrivals: Sequence[float], durations: Sequence[float]) -> list[float]:
    """Return the seconds that playback stalls before each piece but the first; 0 without a stall."""
    starts = playback_starts(arrivals, durations)
    ends = [start + duration for start, duration in zip(starts, durations, strict=True)]
    return [start - end for start, end in zip(starts[1:], ends, strict=False)]


def leading_silence(samples: Samples) -> int:
    """Count the samples before the first above ``HEARD`` of the peak; all, if there is no sound."""
    size = np.abs(samples)
    audible = np.flatnonzero(size > AUDIBLE_SHARE * size.max(initial=0.0))
    return int(audible[0]) if len(audible) else len(samples)


def first_audible_s(
    samples: Samples, sample_rate: int, arrivals: Sequence[float], durations: Sequence[float]
) -> float:
    """Return when the first sound of ``samples`` is audible, played in pieces as they arrive."""
    silence_s = leading_silence(samples) / sample_rate
    for start, duration in zip(playback_starts(arrivals, durations), durations, strict=True):
        if silence_s < duration:
            return start + silence_s
        silence_s -= duration
    return float("inf")
