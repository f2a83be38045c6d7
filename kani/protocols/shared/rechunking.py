"""A session's chunks cut anew, into pieces of a size that a protocol wants."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kani.core.audio.pcm import Resampler
from kani.core.types import Samples, Span, SpeechChunk


class Rechunker:
    """Cuts speech into chunks of at most ``size`` samples at ``sample_rate`` hertz.

    Without ``exact`` no sample waits for a chunk to be full, but the last ``hold_back`` samples always
    wait for ``finish``: so the last chunk is known to be the last. With ``exact`` every chunk has ``size``
    samples, the last one padded with silence. A span goes with the chunk where it starts, the spans left
    at the end with the last chunk.
    """

    def __init__(self, sample_rate: int, size: int, *, hold_back: int = 0, exact: bool = False) -> None:
        self._rate = sample_rate
        self._size = size
        self._hold_back = hold_back
        self._exact = exact
        self._resampler: Resampler | None = None
        self._held: Samples = np.zeros(0, np.float32)
        self._spans: list[Span] = []
        self.samples = 0
        """Samples in the chunks so far."""

    def feed(self, chunk: SpeechChunk) -> list[SpeechChunk]:
        """Return the chunks that are ready."""
        if self._resampler is None:
            self._resampler = Resampler(chunk.sample_rate, self._rate)
        self._spans += chunk.spans
        self._held = np.concatenate([self._held, self._resampler.feed(chunk.samples)])
        ready = max(0, len(self._held) - self._hold_back)
        return self._cut(ready // self._size * self._size if self._exact else ready)

    def finish(self) -> list[SpeechChunk]:
        """Return the rest: at least one chunk, maybe without samples; with ``exact`` perhaps none."""
        if self._resampler is not None:
            self._held = np.concatenate([self._held, self._resampler.finish()])
        if self._exact:
            self._held = np.pad(self._held, (0, -len(self._held) % self._size))
        chunks = self._cut(len(self._held))
        if not chunks and not self._exact:
            chunks = [self._chunk(self._held)]
        if chunks:
            chunks[-1] = replace(chunks[-1], spans=chunks[-1].spans + tuple(self._spans))
        return chunks

    def _cut(self, end: int) -> list[SpeechChunk]:
        """Make chunks of the samples held back, up to ``end``."""
        ready, self._held = self._held[:end], self._held[end:]
        return [self._chunk(ready[at : at + self._size]) for at in range(0, end, self._size)]

    def _chunk(self, samples: Samples) -> SpeechChunk:
        start_s = self.samples / self._rate
        self.samples += len(samples)
        end_s = self.samples / self._rate
        count = next((at for at, span in enumerate(self._spans) if span.start_s >= end_s), len(self._spans))
        spans, self._spans = self._spans[:count], self._spans[count:]
        return SpeechChunk(samples, self._rate, start_s, tuple(spans))
