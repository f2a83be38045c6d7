"""Checks an engine's speech where it enters, so that all that follows can rely on its contract."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import numpy as np

from kani.core.errors import EngineFailed
from kani.core.types import Samples, Span, SpeechChunk

FLOAT32 = np.dtype(np.float32)

MAX_PEAK = 16.0
"""Peak, as a factor of full scale (24 dB above it), beyond which samples are no speech. Decoders and
resamplers overshoot to less than 2, which is clipped; integers that nobody scaled reach thousands."""

MAX_EMPTY_CHUNKS = 1000
"""Chunks in a row without samples and spans, such as of a model's steps before its first sound."""

SHORTEST_S = 0.01
"""Seconds of audio up to which chunks without spans are joined: a session holds back as much anyway."""

EXCESS_S = 1.0
"""Seconds beyond a segment's longest time that are passed on, so that the session knows that it is cut."""

TURN_S = 0.01
"""Seconds after which an engine that never waits leaves a turn to other tasks."""


async def checked_speech(
    speech: AsyncGenerator[SpeechChunk, None],
    engine: str,
    sample_rate: int,
    max_seconds: float,
    characters: Callable[[], int],
) -> AsyncGenerator[SpeechChunk, None]:
    """Yield one segment's speech in [-1, 1]; short chunks are joined, and those that hold nothing left out.

    engine: its name; sample_rate: hertz of its description; max_seconds: of the segment, soon after which
    this ends; characters: number of the text's so far, which spans point into. Closing it closes ``speech``.
    Raises EngineFailed for speech that breaks ``Engine.synthesize``'s contract, and what ``speech`` raises.
    """
    check = _Check(engine, sample_rate, round((max_seconds + EXCESS_S) * sample_rate), characters)
    turn_began = time.perf_counter()
    async with aclosing(speech) as chunks:
        async for chunk in chunks:
            if (ready := check.feed(chunk)) is not None:
                yield ready
            if check.made >= check.longest:
                return
            if time.perf_counter() - turn_began > TURN_S:
                await asyncio.sleep(0)
                turn_began = time.perf_counter()
    if (rest := check.finish()) is not None:
        yield rest


class _Check:
    def __init__(self, engine: str, rate: int, longest: int, characters: Callable[[], int]) -> None:
        """rate: hertz; longest: samples of a segment; characters: see ``checked_speech``."""
        self._engine = engine
        self._rate = rate
        self.longest = longest
        self._characters = characters
        self._shortest = round(SHORTEST_S * rate)
        self._waiting: list[Samples] = []
        self._waiting_samples = 0
        self._empty = EmptyChunks(engine)
        self._spans = 0
        self.made = 0  # samples that were passed on

    def feed(self, chunk: SpeechChunk) -> SpeechChunk | None:
        """Accept a chunk; return what can be passed on. Raises EngineFailed."""
        samples, spans = chunk.samples, chunk.spans
        check_form(samples, self._engine)
        if chunk.sample_rate != self._rate:
            rates = f"{chunk.sample_rate} Hz instead of its {self._rate} Hz"
            raise EngineFailed(f"the {self._engine} engine gave audio of {rates}")
        if not math.isfinite(chunk.start_s):
            raise EngineFailed(f"the {self._engine} engine gave a time that is not finite")
        if spans:
            self._check_spans(spans)
        self._empty.count(len(samples) or len(spans))
        self._waiting.append(samples)
        self._waiting_samples += len(samples)
        return self._ready(spans) if spans or self._waiting_samples >= self._shortest else None

    def finish(self) -> SpeechChunk | None:
        """Return the rest. Raises EngineFailed."""
        return self._ready(()) if self._waiting_samples else None

    def _ready(self, spans: tuple[Span, ...]) -> SpeechChunk:
        pieces = self._waiting
        samples = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        samples = check_values(samples[: self.longest - self.made], self._engine)
        start_s = self.made / self._rate
        self._waiting, self._waiting_samples = [], 0
        self.made += len(samples)
        return SpeechChunk(samples, self._rate, start_s, spans)

    def _check_spans(self, spans: tuple[Span, ...]) -> None:
        characters = self._characters()
        self._spans += len(spans)
        if self._spans > characters:
            raise EngineFailed(f"the {self._engine} engine timed more words than its text has characters")
        for span in spans:
            if not 0 <= span.start <= span.end <= characters or len(span.character_starts) > characters:
                raise EngineFailed(f"the {self._engine} engine timed words that are not in its text")
            if not all(map(math.isfinite, (span.start_s, span.end_s, *span.character_starts))):
                raise EngineFailed(f"the {self._engine} engine gave a time that is not finite")


class EmptyChunks:
    """Counts chunks without content: an engine that yields them without end is never done."""

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._in_a_row = 0

    def count(self, content: int) -> None:
        """Count a chunk. Raises EngineFailed."""
        self._in_a_row = 0 if content else self._in_a_row + 1
        if self._in_a_row > MAX_EMPTY_CHUNKS:
            many = f"more than {MAX_EMPTY_CHUNKS:,} chunks without audio in a row"
            raise EngineFailed(f"the {self._engine} engine gave {many}")


def check_form(samples: Samples, engine: str) -> None:
    """Raise EngineFailed for anything but an array of float32 in one dimension."""
    if not isinstance(samples, np.ndarray) or samples.dtype != FLOAT32 or samples.ndim != 1:
        raise EngineFailed(f"the {engine} engine gave samples that are no mono float32")


def check_values(samples: Samples, engine: str) -> Samples:
    """Return samples in [-1, 1]. Raises EngineFailed for NaN, infinity, and beyond ``MAX_PEAK``."""
    if not len(samples):
        return samples
    # The greatest of values with NaN among them is NaN.
    peak = max(-float(np.minimum.reduce(samples)), float(np.maximum.reduce(samples)))
    if peak <= 1.0:
        return samples
    if peak <= MAX_PEAK:
        return in_range(samples)
    what = f"beyond {MAX_PEAK:g} times full scale" if math.isfinite(peak) else "that are not finite"
    raise EngineFailed(f"the {engine} engine gave samples {what}")


def in_range(samples: Samples) -> Samples:
    """Return samples for an encoder, some of which end the process on others: clipped to [-1, 1], with 0 for
    NaN.
    """
    if not len(samples) or (samples.min() >= -1.0 and samples.max() <= 1.0):
        return samples
    return np.nan_to_num(samples).clip(-1.0, 1.0)
