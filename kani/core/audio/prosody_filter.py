"""Prosody that engines leave to filters: pauses, speed, pitch, loudness, brightness; and the length."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace

import av
import numpy as np

from kani.core.audio import ffmpeg
from kani.core.types import NEUTRAL, Boundary, Prosody, Samples, Span, SpeechChunk

PAUSES_S = {
    Boundary.PARAGRAPH: 0.6,
    Boundary.SENTENCE: 0.35,
    Boundary.CLAUSE: 0.16,
    Boundary.WORD: 0.0,
    Boundary.SEAM: 0.0,
}
"""Silence between a segment that ends in this boundary and the next, in seconds at speed 1."""

LIST_COMMA = "、"
MARK_PAUSES_S = {
    LIST_COMMA: 0.15,
    **dict.fromkeys(",()", 0.13),
    **dict.fromkeys("—–", 0.23),
    **dict.fromkeys(";；", 0.25),
    **dict.fromkeys(":：", 0.28),
    **dict.fromkeys(".!?…", PAUSES_S[Boundary.SENTENCE]),
}
"""Least silence at a mark between two words of a segment, in seconds at speed 1. A list has its own comma."""

FILTERABLE = frozenset({"pitch", "loudness", "brightness"})
"""Fields of ``Prosody`` that a filter can apply to finished speech. A wider pitch range cannot be."""

# FFmpeg's atempo takes no lower factor; slower speech goes through several.
_SLOWEST_TEMPO = 0.5
# atempo outputs blocks as large as its input, and waits until they are full: with small blocks the first
# sound comes as early as possible (after 2,300 samples at a factor of 3.3, instead of 12,000). If fed less
# than one output sample's worth, it never returns.
_BLOCK = 256
_BRIGHT_HZ, _BRIGHT_Q = 2000.0, 0.7
_PEAK = 0.95
_NO_SAMPLES = np.zeros(0, np.float32)


def split_speed(speed: float, native: tuple[float, float]) -> tuple[float, float]:
    """Split ``speed`` into the share that an engine renders itself and the factor left for a filter."""
    own = min(max(speed, native[0]), native[1])
    return own, speed / own


def split_prosody(prosody: Prosody, native: frozenset[str]) -> tuple[Prosody, Prosody]:
    """Split ``prosody`` into what an engine renders itself and what is left for a filter.

    native: as ``EngineInfo.native_prosody``. The rate is neutral in both, as are a pitch range and pauses
    that the engine does not render.
    """
    if prosody == NEUTRAL:
        return NEUTRAL, NEUTRAL
    own = {name: getattr(prosody, name) for name in native}
    left = {name: getattr(prosody, name) for name in FILTERABLE - native}
    return replace(NEUTRAL, **own), replace(NEUTRAL, **left)


class ProsodyFilter:
    """Changes tempo, pitch, brightness and loudness of a stream of samples (FFmpeg's filters).

    factor: 0.05–20, 2 is twice as fast; prosody: its pitch (−12 to 12 semitones, which shifts the timbre too,
    as tape does), brightness and loudness are used. Peaks that would be too loud are limited to 0.95. Output
    lags the input by 0.1 s at most until ``finish``; the total is ``length / factor`` to the sample. The
    tempo filter blurs: a sharp onset is audible up to 25 ms early, and below a factor of 0.5, where two
    filters are chained, up to 0.1 s. Not thread-safe, may be used from any thread.
    """

    def __init__(self, sample_rate: int, factor: float, prosody: Prosody = NEUTRAL) -> None:
        if not factor > 0:
            raise ValueError("the tempo factor must be positive")
        self._sample_rate = sample_rate
        self._factor = factor
        self._samples_fed = self._samples_returned = 0
        self._buffer = _NO_SAMPLES
        ffmpeg.disable_threads()
        self._graph = av.filter.Graph()
        self._source = self._graph.add_abuffer(format="flt", sample_rate=sample_rate, layout="mono")
        self._last = self._source
        # Played at another rate it is higher and equally faster; the tempo filter compensates beforehand.
        played = round(sample_rate * 2 ** (prosody.pitch / 12))
        tempo = factor * sample_rate / played
        self._min_block = 1 if tempo == 1.0 else _BLOCK
        self._set_tempo(tempo)
        if played != sample_rate:
            self._append("asetrate", str(played))
            self._append("aresample", str(sample_rate))
        if prosody.brightness:
            self._append("treble", f"gain={prosody.brightness!r}:frequency={_BRIGHT_HZ}:t=q:w={_BRIGHT_Q}")
        if prosody.loudness:
            self._append("volume", f"{prosody.loudness!r}dB")
        if prosody.loudness > 0 or prosody.brightness > 0:
            self._append("alimiter", f"limit={_PEAK}:level=false:attack=5:release=50:latency=true")
        self._append("abuffersink")
        self._graph.configure()

    def feed(self, samples: Samples) -> Samples:
        """Accept samples; returns those that are ready."""
        self._samples_fed += len(samples)
        waiting = np.concatenate([self._buffer, samples])
        pieces = []
        taken = len(waiting) - len(waiting) % self._min_block
        for at in range(0, taken, _BLOCK):
            pieces += self._push(waiting[at : min(at + _BLOCK, taken)])
        self._buffer = waiting[taken:]
        return self._join(pieces)

    def finish(self) -> Samples:
        """Return the rest; nothing can be fed afterwards."""
        pieces = []
        if len(self._buffer):
            pieces += self._push(np.pad(self._buffer, (0, self._min_block - len(self._buffer))))
        self._source.push(None)
        rest = np.concatenate([*pieces, *self._pull(), _NO_SAMPLES])
        missing = max(round(self._samples_fed / self._factor) - self._samples_returned, 0)
        return self._join([np.pad(rest, (0, max(missing - len(rest), 0)))[:missing]])

    def _set_tempo(self, factor: float) -> None:
        while factor < _SLOWEST_TEMPO:
            self._append("atempo", repr(_SLOWEST_TEMPO))
            factor /= _SLOWEST_TEMPO
        if factor != 1.0:
            self._append("atempo", repr(factor))

    def _append(self, name: str, arguments: str | None = None) -> None:
        node = self._graph.add(name, arguments)
        self._last.link_to(node)
        self._last = node

    def _push(self, samples: Samples) -> list[Samples]:
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples, np.float32)[np.newaxis], format="flt", layout="mono"
        )
        frame.sample_rate = self._sample_rate
        self._source.push(frame)
        return self._pull()

    def _pull(self) -> list[Samples]:
        pieces = []
        while True:
            try:
                # The limiter computes in float64.
                pieces.append(np.asarray(self._graph.pull().to_ndarray()[0], np.float32))
            except (av.error.BlockingIOError, av.error.EOFError):
                return pieces

    def _join(self, pieces: list[Samples]) -> Samples:
        samples = np.concatenate(pieces) if pieces else _NO_SAMPLES
        self._samples_returned += len(samples)
        return samples


@dataclass(eq=False)
class SegmentFilter:
    """Post-processes one segment: tempo and pitch, then the length limit.

    speech: the engine's output, at ``sample_rate`` hertz; factor: tempo relative to the engine's;
    max_samples: length at which the segment is cut; prosody: what the engine left of it (``split_prosody``).
    Where nothing is to change, chunks are passed through up to that length. ``truncated``: the segment was
    cut; known once it is complete.
    """

    _speech: AsyncGenerator[SpeechChunk, None]
    _sample_rate: int
    _factor: float
    _max_samples: int
    _prosody: Prosody = NEUTRAL
    _samples_sent: int = 0
    truncated: bool = False

    async def chunks(self) -> AsyncGenerator[SpeechChunk, None]:
        """The segment's audio; times and spans count from its first output sample."""
        unchanged = self._factor == 1.0 and self._prosody == NEUTRAL
        filtered = None if unchanged else ProsodyFilter(self._sample_rate, self._factor, self._prosody)
        longest_s = self._max_samples / self._sample_rate
        async with aclosing(self._speech) as chunks:
            async for chunk in chunks:
                samples, words = chunk.samples, chunk.spans
                if filtered is not None:
                    samples = await asyncio.to_thread(filtered.feed, samples)
                elif self._samples_sent + len(samples) <= self._max_samples and not (
                    words and words[-1].end_s > longest_s
                ):
                    self._samples_sent += len(samples)
                    yield chunk
                    continue
                yield self._cut(samples, tuple(self._rescaled(word, longest_s) for word in words))
                if self.truncated:
                    return
        if filtered is not None:
            yield self._cut(await asyncio.to_thread(filtered.finish), ())

    def _rescaled(self, word: Span, longest_s: float) -> Span:
        start_s, end_s, *marks = (
            min(time_s / self._factor, longest_s)
            for time_s in (word.start_s, word.end_s, *word.character_starts)
        )
        return Span(word.start, word.end, start_s, end_s, tuple(marks))

    def _cut(self, samples: Samples, words: tuple[Span, ...]) -> SpeechChunk:
        """Make a chunk of the samples that still fit."""
        left = self._max_samples - self._samples_sent
        if len(samples) > left:
            self.truncated = True
            samples = samples[:left]
        start_s = self._samples_sent / self._sample_rate
        self._samples_sent += len(samples)
        return SpeechChunk(samples, self._sample_rate, start_s, words)
