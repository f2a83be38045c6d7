"""How it is said, beyond what an engine does by itself: pauses, and speed past its own range."""

from __future__ import annotations

import av
import numpy as np

from speech.types import Boundary, Samples

PAUSES_S = {
    Boundary.PARAGRAPH: 0.6,
    Boundary.SENTENCE: 0.35,
    Boundary.CLAUSE: 0.16,
    Boundary.WORD: 0.0,
}
"""Silence between a segment that ends so and the next one, in seconds at speed 1."""

_SLOWEST_TEMPO = 0.5
"""FFmpeg's atempo takes no factor below this; slower speech goes through several."""


def split_speed(speed: float, native: tuple[float, float]) -> tuple[float, float]:
    """The share of ``speed`` that an engine renders itself, and the factor left for a filter."""
    own = min(max(speed, native[0]), native[1])
    return own, speed / own


class Tempo:
    """Changes how fast a stream of samples is spoken, not its pitch (FFmpeg's ``atempo``).

    ``factor`` 0.05–20; 2 is twice as fast. What comes out lags what goes in by some 0.1 s until
    ``finish``; the whole is within 1 % of ``length / factor``. Not thread-safe, may be used from any thread.
    """

    def __init__(self, sample_rate: int, factor: float) -> None:
        self._sample_rate = sample_rate
        self._graph = av.filter.Graph()
        self._source = self._graph.add_abuffer(format="flt", sample_rate=sample_rate, layout="mono")
        last = self._source
        while factor < _SLOWEST_TEMPO:
            last = self._append(last, _SLOWEST_TEMPO)
            factor /= _SLOWEST_TEMPO
        last = self._append(last, factor)
        sink = self._graph.add("abuffersink")
        last.link_to(sink)
        self._graph.configure()

    def feed(self, samples: Samples) -> Samples:
        """Take samples; those that are ready."""
        if not len(samples):
            return samples
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples)[np.newaxis], format="flt", layout="mono"
        )
        frame.sample_rate = self._sample_rate
        self._source.push(frame)
        return self._ready()

    def finish(self) -> Samples:
        """The rest; nothing can be fed any more."""
        self._source.push(None)
        return self._ready()

    def _append(
        self, last: av.filter.context.FilterContext, factor: float
    ) -> av.filter.context.FilterContext:
        node = self._graph.add("atempo", repr(factor))
        last.link_to(node)
        return node

    def _ready(self) -> Samples:
        pieces = []
        while True:
            try:
                pieces.append(self._graph.pull().to_ndarray()[0])
            except (av.error.BlockingIOError, av.error.EOFError):
                break
        return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
