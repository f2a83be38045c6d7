"""A client of Kyutai's protocol that records when each message arrives."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from urllib.parse import urlencode

import msgspec
import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.playback_client import stalls
from kani.core.types import Samples

KEY = {"kyutai-api-key": "public_token"}
SAMPLE_RATE = 24_000
FRAME_S = 0.08
WORD_S = 0.1
"""Seconds between two words of a language model."""


@dataclass(frozen=True, slots=True, eq=False)
class SpeechResult:
    """The speech of one text. Times are seconds of ``time.perf_counter``."""

    sent_at: tuple[float, ...]  # of each word, and last of the Eos
    received_at: tuple[float, ...]  # of each frame
    samples: Samples
    words: tuple[tuple[str, float, float], ...]  # each with its times in the audio

    @property
    def stalled_s(self) -> float:
        """Seconds of stalled playback in all."""
        return sum(stalls(self.received_at, [FRAME_S] * len(self.received_at)))


def connect_speech(url: str, **query: str) -> connect:
    """Return a connection for speech, in messages."""
    parameters = urlencode({"format": "PcmMessagePack", **query})
    return connect(
        f"{url}api/tts_streaming?{parameters}", additional_headers=KEY, max_size=None, compression=None
    )


async def speak(url: str, text: str, *, word_s: float | None = WORD_S, **query: str) -> SpeechResult:
    """Have ``text`` spoken, sent a word each ``word_s`` seconds, or whole if that is None."""
    async with connect_speech(url, **query) as websocket:
        await websocket.recv()
        fed: list[float] = []
        write = asyncio.create_task(
            _write(websocket, [text] if word_s is None else text.split(), word_s, fed)
        )
        arrivals: list[float] = []
        pcm: list[list[float]] = []
        words: list[tuple[str, float, float]] = []
        async for packed in websocket:
            message = msgspec.msgpack.decode(packed)
            if message["type"] == "Audio":
                arrivals.append(time.perf_counter())
                pcm.append(message["pcm"])
            elif message["type"] == "Text" and message["text"]:
                words.append((message["text"], message["start_s"], message["stop_s"]))
        await write
    return SpeechResult(tuple(fed), tuple(arrivals), np.array(pcm, np.float32).reshape(-1), tuple(words))


async def _write(
    websocket: ClientConnection, words: list[str], word_s: float | None, fed: list[float]
) -> None:
    begun = time.perf_counter()
    for number, word in enumerate(words):
        await asyncio.sleep(begun + number * (word_s or 0.0) - time.perf_counter())
        fed.append(time.perf_counter())
        await websocket.send(msgspec.msgpack.encode({"type": "Text", "text": word}))
    fed.append(time.perf_counter())
    await websocket.send(msgspec.msgpack.encode({"type": "Eos"}))
