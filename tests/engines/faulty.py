"""An engine that breaks its contract in a way that the text names, or says what is odd and right."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from kani.core.types import Segment, Span, SpeechChunk
from tests.support.tone import ToneEngine

RATE = 24_000
SECOND = (0.1 * np.sin(np.arange(RATE) / 20)).astype(np.float32)
EMPTY = SECOND[:0]
Speech = Callable[[], Iterator[SpeechChunk]]
NAN, INF = float("nan"), float("inf")
WORD = Span(0, 3, 0.0, 0.1)


def _with(value: float) -> Iterator[SpeechChunk]:
    """Good audio, and audio with one value among it."""
    bad = SECOND.copy()
    bad[100] = value
    return iter([_chunk(SECOND), _chunk(bad)])


def _chunk(samples: Any = SECOND, rate: int = RATE, start_s: float = 0.0, *spans: Span) -> SpeechChunk:
    return SpeechChunk(samples, rate, start_s, spans)


def _of(*chunks: SpeechChunk) -> Iterator[SpeechChunk]:
    return iter(chunks)


FAULTS: dict[str, tuple[Speech, str]] = {
    "nan": (lambda: _with(NAN), "samples that are not finite"),
    "infinite": (lambda: _with(INF), "samples that are not finite"),
    "minus": (lambda: _with(-INF), "samples that are not finite"),
    "loud": (lambda: _with(1e10), "samples beyond 16 times full scale"),
    "louder": (lambda: _with(3e38), "samples beyond 16 times full scale"),
    "deep": (lambda: _with(-1e10), "samples beyond 16 times full scale"),
    "unscaled": (lambda: _of(_chunk(SECOND * 32768)), "samples beyond 16 times full scale"),
    "double": (lambda: _of(_chunk(SECOND.astype(np.float64))), "samples that are no mono float32"),
    "stereo": (lambda: _of(_chunk(SECOND.reshape(2, -1))), "samples that are no mono float32"),
    "integers": (lambda: _of(_chunk((SECOND * 9).astype(np.int16))), "samples that are no mono float32"),
    "listed": (lambda: _of(_chunk([0.0])), "samples that are no mono float32"),
    "half": (lambda: _of(_chunk(rate=RATE // 2)), "audio of 12000 Hz instead of its 24000 Hz"),
    "changing": (lambda: _of(_chunk(), _chunk(rate=48_000)), "audio of 48000 Hz instead of its 24000 Hz"),
    "early": (lambda: _of(_chunk(start_s=NAN)), "a time that is not finite"),
    "late": (lambda: _of(_chunk(SECOND, RATE, 0.0, replace(WORD, end_s=INF))), "a time that is not finite"),
    "beyond": (lambda: _of(_chunk(SECOND, RATE, 0.0, replace(WORD, end=999))), "words that are not in its"),
    "before": (lambda: _of(_chunk(SECOND, RATE, 0.0, replace(WORD, start=-1))), "words that are not in its"),
    "many": (lambda: itertools.repeat(_chunk(EMPTY, RATE, 0.0, WORD)), "more words than its text has"),
    "nothing": (lambda: itertools.repeat(_chunk(EMPTY)), "more than 1,000 chunks without audio in a row"),
}
"""Speech by the text that has it spoken, and what is said of it: none of the engines waits for anything."""

SOUND: dict[str, Speech] = {
    "faint": lambda: _of(_chunk(np.full(RATE, 1e-40, np.float32))),
    "over": lambda: _of(_chunk(SECOND * 40)),
    "dust": lambda: (_chunk(SECOND[at : at + 1]) for at in range(RATE)),
    "gaps": lambda: (_chunk(piece) for at in range(0, RATE, 240) for piece in (EMPTY, SECOND[at : at + 240])),
    "endless": lambda: itertools.repeat(_chunk(SECOND[:1])),
    "long": lambda: _of(_chunk(np.tile(SECOND, 1000))),
}
"""Speech that is odd and right: denormals, an overshoot, a sample at a time, more than is asked for."""


class FaultyEngine(ToneEngine):
    """Speaks what a text of one word is the name of, at ``RATE``; other texts as tones."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self.info = replace(self.info, sample_rate=RATE, max_concurrency=4)

    async def synthesize(self, segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        name = segment.text.strip(" .")
        speech = SOUND.get(name) or (FAULTS[name][0] if name in FAULTS else None)
        if speech is None:
            async for chunk in super().synthesize(segment):
                yield chunk
            return
        self.under_way += 1
        try:
            for chunk in speech():
                yield chunk
        finally:
            self.under_way -= 1
            await asyncio.sleep(0)
