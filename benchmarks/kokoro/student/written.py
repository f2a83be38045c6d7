"""Text that is fed word by word, as a language model writes it, or at once, into a session of the core."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass

import numpy as np

from benchmarks.playback_client import stalls
from kani.core.service import SpeechService
from kani.core.types import Samples, SpeechRequest
from kani.engines.kokoro.network.onnx_model import SAMPLE_RATE

WORD_S = 0.1
HEARD_AFTER = 5
"""The word from which on the first audio is waited for."""


@dataclass(frozen=True, slots=True, eq=False)
class Take:
    """One synthesis of a text: arrivals in seconds since the awaited word (or the text) was fed."""

    chunks: tuple[Samples, ...]
    arrivals: tuple[float, ...]

    @property
    def samples(self) -> Samples:
        """All of the audio."""
        return np.concatenate(self.chunks)

    @property
    def stalled_s(self) -> float:
        """Total time that playback ran dry."""
        return sum(stalls(self.arrivals, [len(chunk) / SAMPLE_RATE for chunk in self.chunks]))


async def take(service: SpeechService, language: str, text: str, *, whole: bool) -> Take:
    """Feed ``text``, at once or a word each ``WORD_S``, and collect the output."""
    chunks: list[Samples] = []
    arrivals: list[float] = []
    async with service.open(SpeechRequest(language=language), protocol="benchmark") as session:
        since = begun = time.perf_counter()

        async def write() -> None:
            nonlocal since
            for number, piece in enumerate([text] if whole else re.findall(r"\S+\s*", text), 1):
                await asyncio.sleep(begun + (number - 1) * WORD_S - time.perf_counter())
                session.feed(piece)
                if number == HEARD_AFTER:
                    since = time.perf_counter()
            session.finish()

        async def read() -> None:
            async for chunk in session:
                if len(chunk.samples):
                    chunks.append(chunk.samples)
                    arrivals.append(time.perf_counter())

        await asyncio.gather(read(), write())
    return Take(tuple(chunks), tuple(arrival - since for arrival in arrivals))
