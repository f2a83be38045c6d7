"""Resamples streams of samples, and cuts speech into chunks of another size."""

import math
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import KW_ONLY, dataclass, field, replace

import av
import numpy as np
import soxr

from kani.core.audio import ffmpeg
from kani.core.errors import SpeechCancelled, SpeechError
from kani.core.types import Samples, Span, SpeechChunk

NO_SAMPLES: Samples = np.zeros(0, np.float32)


class Resampler:
    """Resamples a stream from one sample rate (hertz) to another.

    The total is ``round(n * target / source)`` samples however the stream was cut. Output lags the input by a
    few hundredths of a second until ``finish``. One stream, one thread at a time.
    """

    def __init__(self, source_rate: int, target_rate: int) -> None:
        self._source_rate, self._target_rate = source_rate, target_rate
        self._stream = (
            None
            if source_rate == target_rate
            else soxr.ResampleStream(source_rate, target_rate, 1, "float32")
        )
        self._samples_fed = self._samples_returned = 0

    def feed(self, samples: Samples) -> Samples:
        """Accept samples; returns those that are ready."""
        if self._stream is None:
            return samples
        self._samples_fed += len(samples)
        ready: Samples = self._stream.resample_chunk(np.ascontiguousarray(samples, np.float32))
        self._samples_returned += len(ready)
        return ready

    def finish(self) -> Samples:
        """Return the rest; nothing can be fed afterwards."""
        rest: Samples = np.zeros(0, np.float32)
        if self._stream is None:
            return rest
        rest = self._stream.resample_chunk(rest, last=True)
        whole = (2 * self._samples_fed * self._target_rate + self._source_rate) // (2 * self._source_rate)
        missing = whole - self._samples_returned
        return np.pad(rest[:missing], (0, max(0, missing - len(rest))))


LEAD_S = 0.002
"""Seconds of silence before the first sample: the resampler holds back 1 ms, which would delay each step."""

PRIMING_S = 0.01
"""Seconds of silence that a resampler is started with; its output for them is dropped."""


class LowDelayResampler:
    """Resamples a stream; after each piece nothing is held back.

    For ``n`` samples fed so far, ``n * target // source`` were returned, which begin with ``LEAD_S`` of
    silence where the rates differ. Uses FFmpeg's swresample, as soxr holds back up to 40 ms.
    """

    def __init__(self, source_rate: int, target_rate: int) -> None:
        """Rates in hertz."""
        self._source_rate, self._target_rate = source_rate, target_rate
        self._taken = self._given = 0
        self._ready: Samples = np.zeros(round(LEAD_S * target_rate), np.float32)
        ffmpeg.disable_threads()
        self._resampler = av.AudioResampler(format="flt", layout="mono", rate=target_rate)
        if source_rate != target_rate:
            # Its first output needs more input than the later ones: that shall be silence, which is dropped.
            period = source_rate // math.gcd(source_rate, target_rate)
            silence = math.ceil(PRIMING_S * source_rate / period) * period
            dropped = self._resample(np.zeros(silence, np.float32))
            self._skipped = silence * target_rate // source_rate - len(dropped)

    def feed(self, samples: Samples) -> Samples:
        if self._source_rate == self._target_rate:
            return samples
        self._taken += len(samples)
        resampled = self._resample(samples)
        skipped = min(self._skipped, len(resampled))
        self._skipped -= skipped
        ready = np.concatenate([self._ready, resampled[skipped:]])
        count = self._taken * self._target_rate // self._source_rate - self._given
        self._given += count
        self._ready = ready[count:]
        return ready[:count]

    def _resample(self, samples: Samples) -> Samples:
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples[None], np.float32), format="flt", layout="mono"
        )
        frame.sample_rate = self._source_rate
        pieces = [piece.to_ndarray()[0] for piece in self._resampler.resample(frame)]
        return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)


@dataclass(eq=False)
class Rechunker:
    """Converts speech to ``sample_rate`` hertz, in chunks of at most ``size`` samples.

    size: None where chunks are not to be cut. Without ``exact`` no sample waits for a chunk to be full, but
    the last ``hold_back`` samples always wait for ``finish``: so the last chunk is known to be the last. With
    ``exact`` every chunk has ``size`` samples, the last one padded with silence; with ``even`` what has come
    is cut into the fewest chunks of about equal length, so that none has a few samples only. A span goes with
    the chunk where it starts, the spans left at the end with the last chunk.
    """

    sample_rate: int
    size: int | None = None
    _: KW_ONLY
    hold_back: int = 0
    exact: bool = False
    even: bool = False
    samples: int = 0  # samples in the chunks so far
    _resampler: Resampler | None = None
    _held: Samples = field(default_factory=lambda: NO_SAMPLES)
    _spans: list[Span] = field(default_factory=list)

    def feed(self, chunk: SpeechChunk) -> list[SpeechChunk]:
        if self._resampler is None:
            self._resampler = Resampler(chunk.sample_rate, self.sample_rate)
        self._spans += chunk.spans
        ready = self._resampler.feed(chunk.samples)
        self._held = np.concatenate([self._held, ready]) if len(self._held) else ready
        end = max(0, len(self._held) - self.hold_back)
        return self._cut(end // self.size * self.size if self.exact and self.size else end)

    def finish(self) -> list[SpeechChunk]:
        """Return the rest.

        It is a chunk without samples where nothing else can carry the last spans, or samples are held back,
        but there are none.
        """
        if self._resampler is not None:
            self._held = np.concatenate([self._held, self._resampler.finish()])
        if self.exact and self.size:
            self._held = np.pad(self._held, (0, -len(self._held) % self.size))
        chunks = self._cut(len(self._held))
        if not chunks and not self.exact and (self._spans or self.hold_back):
            chunks = [self._chunk(NO_SAMPLES)]
        if chunks and self._spans:
            chunks[-1] = replace(chunks[-1], spans=chunks[-1].spans + tuple(self._spans))
        return chunks

    def _cut(self, end: int) -> list[SpeechChunk]:
        """Make chunks of the samples held back, up to ``end``."""
        ready, self._held = self._held[:end], self._held[end:]
        if not end:
            return []
        size = self.size or end
        if self.even:
            size = math.ceil(end / math.ceil(end / size))
        return [self._chunk(ready[at : at + size]) for at in range(0, end, size)]

    def _chunk(self, samples: Samples) -> SpeechChunk:
        start_s = self.samples / self.sample_rate
        self.samples += len(samples)
        end_s = self.samples / self.sample_rate
        count = 0
        while count < len(self._spans) and self._spans[count].start_s < end_s:
            count += 1
        spans, self._spans = self._spans[:count], self._spans[count:]
        return SpeechChunk(samples, self.sample_rate, start_s, tuple(spans))


async def reframe(
    chunks: AsyncIterator[SpeechChunk],
    sample_rate: int,
    frame_samples: int | None = None,
    *,
    even: bool = False,
) -> AsyncGenerator[SpeechChunk, None]:
    """Convert speech to ``sample_rate`` hertz, in chunks of at most ``frame_samples``, as ``Rechunker`` does.

    even: see ``Rechunker``.

    A SpeechError of ``chunks`` is raised after all speech before it, a cancellation at once.
    """
    frames = Rechunker(sample_rate, frame_samples, even=even)
    failure: SpeechError | None = None
    try:
        async for chunk in chunks:
            for frame in frames.feed(chunk):
                yield frame
    except SpeechCancelled:
        raise
    except SpeechError as error:
        failure = error
    for frame in frames.finish():
        yield frame
    if failure is not None:
        raise failure
