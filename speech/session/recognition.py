"""One stream that is listened to: samples go in as they are spoken, what was heard comes out."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from types import TracebackType
from typing import Self

import av
import numpy as np

from speech.audio import ffmpeg
from speech.recognizer import STEP_S, Mark, RecognitionEvent, RecognizedWord, Recognizer, Step
from speech.types import Samples

log = logging.getLogger(__name__)

MAX_BACKLOG_S = 60.0
"""Seconds of audio that may wait to be heard; whoever feeds more waits until there is room."""

MAX_BACKLOG_PIECES = 10_000
"""And in how many pieces, however short."""

SLICE_S = 1.0
"""How much of it is resampled at a time, so that a long piece holds up nobody."""

LEAD_S = 0.002
"""Silence before the first sample, so that the resampler, which holds back 1 ms, never holds back a step."""


PRIMING_S = 0.01
"""Silence that a resampler is started with, which is in nothing that it gives."""


class RecognitionSession:
    """Feed samples, iterate over what is heard; leave by ``async with``, which frees everything.

    Iteration ends after ``finish`` once all is heard. It raises EngineUnavailable where the
    recogniser cannot start, and EngineFailed. One feeder, one reader.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        start: Callable[[], Awaitable[None]],
        sample_rate: int,
        language: str | None,
        closed: Callable[[RecognitionSession], None],
        heard: Callable[[float, float], None],
    ) -> None:
        """start: sees that the recogniser is ready; sample_rate: of what is fed, in hertz.

        heard: told how many seconds more were heard, and by how many it is late.
        """
        self._recognizer = recognizer
        self._start = start
        self._sample_rate = sample_rate
        self._language = language
        self._closed = closed
        self._heard = heard
        self._waiting: deque[Samples | Mark] = deque()
        self._waiting_samples = 0
        self._fed = 0
        self._first_fed_at = 0.0
        self._heard_s = 0.0
        self._finished = False
        self._arrived = asyncio.Event()
        self._taken = asyncio.Event()

    @property
    def backlog_samples(self) -> int:
        """How many of the samples that were fed are not heard yet."""
        return max(0, self._fed - round(self._heard_s * self._sample_rate))

    @property
    def _behind_s(self) -> float:
        """Seconds by which hearing is late; to be fed faster than one speaks makes it no later."""
        since_first_s = time.perf_counter() - self._first_fed_at
        return max(0.0, min(self.backlog_samples / self._sample_rate, since_first_s - self._heard_s))

    @property
    def finished(self) -> bool:
        """Whether no more is listened to."""
        return self._finished

    async def feed(self, samples: Samples) -> None:
        """Hear ``samples`` too; returns once there is room for more. Nothing is heard after ``finish``."""
        if len(samples):
            await self._put(samples, len(samples))

    async def mark(self, number: int) -> None:
        """Ask to be told when all that was fed so far is decided; waits as ``feed`` does."""
        await self._put(Mark(number), 0)

    async def _put(self, piece: Samples | Mark, samples: int) -> None:
        if self._finished:
            return
        if not self._fed:
            self._first_fed_at = time.perf_counter()
        self._waiting.append(piece)
        self._waiting_samples += samples
        self._fed += samples
        self._arrived.set()
        while self._full and not self._finished:
            self._taken.clear()
            await self._taken.wait()

    @property
    def _full(self) -> bool:
        too_long = self._waiting_samples > MAX_BACKLOG_S * self._sample_rate
        return too_long or len(self._waiting) > MAX_BACKLOG_PIECES

    def finish(self) -> None:
        """No more audio will come."""
        self._finished = True
        self._arrived.set()
        self._taken.set()

    def cancel(self) -> None:
        """Hear no more, not even what was fed already."""
        self._waiting.clear()
        self._waiting_samples = 0
        self.finish()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()
        self._closed(self)

    async def events(self) -> AsyncGenerator[RecognitionEvent, None]:
        """What is heard, in order; close the generator to stop listening."""
        await self._start()
        async with aclosing(self._recognizer.recognize(self._audio(), self._language)) as events:
            async for event in events:
                if isinstance(event, Step):
                    self._heard_s = (event.index + 1) * STEP_S
                    self._heard(STEP_S, self._behind_s)
                elif isinstance(event, RecognizedWord):
                    event = self._in_own_time(event)
                yield event

    def _in_own_time(self, word: RecognizedWord) -> RecognizedWord:
        lead_s = 0.0 if self._sample_rate == self._recognizer.info.sample_rate else LEAD_S
        return replace(word, start_s=max(0.0, word.start_s - lead_s), end_s=max(0.0, word.end_s - lead_s))

    async def _audio(self) -> AsyncGenerator[Samples | Mark, None]:
        resampler = LowDelayResampler(self._sample_rate, self._recognizer.info.sample_rate)
        longest = round(SLICE_S * self._sample_rate)
        while True:
            while not self._waiting:
                if self._finished:
                    return
                self._arrived.clear()
                await self._arrived.wait()
            piece = self._waiting.popleft()
            self._taken.set()
            if isinstance(piece, Mark):
                yield piece
                continue
            if len(piece) > longest:
                self._waiting.appendleft(piece[longest:])
                piece = piece[:longest]
            self._waiting_samples -= len(piece)
            if len(samples := resampler.feed(piece)):
                yield samples


class LowDelayResampler:
    """A stream to another sample rate of which, after each piece, nothing is held back.

    After ``n`` samples there are ``n * target // source``: of audio that begins with ``LEAD_S`` of
    silence where the rates differ. By FFmpeg's swresample, as soxr holds back up to 40 ms.
    """

    def __init__(self, source_rate: int, target_rate: int) -> None:
        """Rates in hertz."""
        self._source_rate, self._target_rate = source_rate, target_rate
        self._taken = self._given = 0
        self._ready: Samples = np.zeros(round(LEAD_S * target_rate), np.float32)
        ffmpeg.disable_threads()
        self._resampler = av.AudioResampler(format="flt", layout="mono", rate=target_rate)
        if source_rate != target_rate:
            # Its first output waits for more than it does later on: let that be silence nobody asked for.
            period = source_rate // math.gcd(source_rate, target_rate)
            silence = math.ceil(PRIMING_S * source_rate / period) * period
            unasked = self._resampled(np.zeros(silence, np.float32))
            self._skipped = silence * target_rate // source_rate - len(unasked)

    def feed(self, samples: Samples) -> Samples:
        """The audio for ``samples``."""
        if self._source_rate == self._target_rate:
            return samples
        self._taken += len(samples)
        resampled = self._resampled(samples)
        skipped = min(self._skipped, len(resampled))
        self._skipped -= skipped
        ready = np.concatenate([self._ready, resampled[skipped:]])
        count = self._taken * self._target_rate // self._source_rate - self._given
        self._given += count
        self._ready = ready[count:]
        return ready[:count]

    def _resampled(self, samples: Samples) -> Samples:
        """What swresample gives for more samples."""
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples[None], np.float32), format="flt", layout="mono"
        )
        frame.sample_rate = self._source_rate
        pieces = [piece.to_ndarray()[0] for piece in self._resampler.resample(frame)]
        return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
