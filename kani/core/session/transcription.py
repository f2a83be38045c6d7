"""One transcription of a recording: an audio file in, timed segments out."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, field
from types import TracebackType
from typing import IO, Any, TypeVar

import numpy as np

from kani.core.audio.decoding import RECORDING_POOL, run_in_pool
from kani.core.audio.recording_file import Clip, PcmFile, RecordingFile, open_recording
from kani.core.diarization.clustering import Array
from kani.core.diarization.diarizer import POOL, Diarizer, SpeakerStream
from kani.core.diarization.turns import SpeakerTurn
from kani.core.errors import EngineLost, InvalidRequest, ServerStopping
from kani.core.session.recognition import RecognitionContext
from kani.core.transcriber import HeardCheck, TranscribedSegment, Transcriber, TranscriptionOptions
from kani.core.types import Samples

T = TypeVar("T")
log = logging.getLogger(__name__)

REPORT_S = 30.0
"""Seconds between two lines of the log about the progress of one transcription."""

WHOLE = Clip()

MAX_STARTS = 3
"""Times that a recording is begun where its recogniser is lost: the recording may be the cause."""


@dataclass(eq=False)
class TranscriptionSession(AbstractAsyncContextManager["TranscriptionSession"]):
    """Iterate over ``segments``; leave by ``async with``, which frees everything.

    The file is decoded no further than the recogniser works, so that memory is bounded.
    """

    _context: RecognitionContext
    _transcriber: Transcriber
    _sample_rate: int  # that the recogniser accepts, in hertz
    _options: TranscriptionOptions
    _diarizer: Diarizer | None
    """Tells speakers apart; without it ``speaker_turns`` is empty."""
    _speakers: SpeakerStream | None = None
    _known_voices: list[Array] = field(default_factory=list)
    _check: HeardCheck = field(init=False)
    _cancelled: bool = False
    _heard: bool = False
    _reading: Future[Any] | None = None
    _counted_s: float = 0.0
    _expected_s: float | None = None
    _began: float = field(default_factory=time.perf_counter)
    _reported: float = field(default_factory=time.perf_counter)
    duration_s: float = 0.0
    """Seconds of audio so far; of the whole recording, or clip, once ``segments`` has ended."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._context.span.set({"speech.audio_s": round(self.duration_s, 3)})
        self._context.span.end(error)
        self._context.closed(self)

    def cancel(self) -> None:
        """End ``segments`` with ServerStopping before it takes more audio: the server stops."""
        self._cancelled = True

    async def segments(
        self, file: IO[bytes], max_seconds: float, *, pcm: bool = False, clip: Clip = WHOLE
    ) -> AsyncGenerator[TranscribedSegment, None]:
        """Yield the segments of an audio file in order, while it is transcribed.

        file: seekable, in any container that FFmpeg reads, or with ``pcm`` 16-bit little-endian mono at the
        recogniser's sample rate; clip: what of it is heard, with times from its start. Where the recogniser
        is lost before the first segment, it is begun again.
        Raises InvalidRequest for ``file``, and for ``start`` where the recording ends before the clip,
        EngineUnavailable where the recogniser cannot start, EngineFailed, and ServerStopping once the session
        was cancelled.
        """
        begin = file.tell()
        for start in range(1, MAX_STARTS + 1):
            file.seek(begin)
            try:
                async with aclosing(self._transcribed(file, max_seconds, pcm, clip)) as segments:
                    async for segment in segments:
                        self._heard = True
                        yield segment
                break
            except EngineLost:
                if self._heard or start == MAX_STARTS or self._cancelled:
                    raise
                log.warning("the recogniser was lost: a recording is transcribed from its beginning again")
            finally:
                # No thread reads the file any more once it may be closed.
                if self._reading is not None and not self._reading.cancel():
                    await asyncio.gather(asyncio.wrap_future(self._reading), return_exceptions=True)
        spent_s = time.perf_counter() - self._began
        log.info("transcribed %.0f s of audio in %.1f s", self.duration_s, spent_s)

    async def add_known_speaker(self, file: IO[bytes], min_seconds: float, max_seconds: float) -> None:
        """Take a recording of the next speaker that ``speaker_turns`` may find.

        file: as ``segments`` takes it, of ``min_seconds`` to ``max_seconds``. Raises InvalidRequest for
        ``file``, and EngineUnavailable.
        """
        assert self._diarizer is not None
        samples = await run_in_pool(RECORDING_POOL, _read_whole, file, self._sample_rate, max_seconds)
        if len(samples) < min_seconds * self._sample_rate:
            raise InvalidRequest("file", f"too short (at least {min_seconds:g} s)")
        self._known_voices.append(await run_in_pool(POOL, self._diarizer.voice, samples, self._sample_rate))

    async def speaker_turns(self, speakers: int | None) -> tuple[SpeakerTurn, ...] | None:
        """Return who spoke when, once ``segments`` has ended; None without a diarizer.

        The first speakers are those of ``add_known_speaker``, in their order, whether they speak or not.
        speakers: their greatest number, 1 to ``MAX_SPEAKERS``; None finds it.
        """
        if self._speakers is None:
            return None
        turns = await run_in_pool(POOL, self._speakers.finish, speakers, self._known_voices)
        if self._heard and not turns:
            # The recogniser hears words where the voice detector hears no voice.
            return (SpeakerTurn(0.0, self.duration_s, len(self._known_voices)),)
        return turns

    async def _transcribed(
        self, file: IO[bytes], max_seconds: float, pcm: bool, clip: Clip
    ) -> AsyncGenerator[TranscribedSegment, None]:
        """Yield the segments of ``file``, read once; see ``segments``."""
        self.duration_s = 0.0
        self._check = HeardCheck(self._context.varieties)
        async with aclosing(self._audio(file, max_seconds, pcm, clip)) as audio:
            # A file that cannot be read is refused before the recogniser starts.
            first = await anext(audio)
            with self._context.span.child("wait"):
                await self._context.start()
            transcribed = self._transcriber.transcribe(_prepend(first, audio), self._options)
            with self._context.span.child("engine"):
                async with aclosing(transcribed) as segments:
                    async for segment in segments:
                        segment = self._check.segment(segment)
                        self._report(segment.end_s)
                        yield segment

    async def _audio(
        self, file: IO[bytes], max_seconds: float, pcm: bool, clip: Clip
    ) -> AsyncGenerator[Samples, None]:
        try:
            source = await self._read(open_recording, file, self._sample_rate, max_seconds, pcm)
        except asyncio.CancelledError:
            if self._reading is not None:
                self._reading.add_done_callback(_close)
            raise
        self._expected_s = source.duration_s
        if self._diarizer is not None:
            self._speakers = await run_in_pool(POOL, self._diarizer.stream, self._sample_rate)
        with source:
            while (whole := await self._read(source.read)) is not None:
                if self._cancelled:
                    raise ServerStopping
                piece = clip.cut(whole, source.samples - len(whole), self._sample_rate)
                if not len(piece):
                    if self.duration_s:
                        return  # the clip has ended
                    continue
                self.duration_s += len(piece) / self._sample_rate
                self._check.give(len(piece) / self._sample_rate)
                # Once, however often the recording is begun.
                self._context.recognized(max(0.0, self.duration_s - self._counted_s), 0.0)
                self._counted_s = max(self._counted_s, self.duration_s)
                if self._speakers is not None:
                    await run_in_pool(POOL, self._speakers.feed, piece)
                yield piece
        if not self.duration_s:
            end_s = source.samples / self._sample_rate
            raise InvalidRequest("start", f"is after the recording's end, {end_s:.2f} s")

    async def _read(self, work: Callable[..., T], *args: Any) -> T:
        """Read the file in a thread, which goes on where this is cancelled."""
        self._reading = reading = RECORDING_POOL.submit(work, *args)
        return await asyncio.wrap_future(reading)

    def _report(self, done_s: float) -> None:
        """Log the progress, every ``REPORT_S`` seconds."""
        now = time.perf_counter()
        if now - self._reported < REPORT_S:
            return
        self._reported = now
        of = f" of {self._expected_s:.0f} s" if self._expected_s is not None else ""
        pace = done_s / (now - self._began)
        log.info("transcribed %.0f s%s so far, %.1f times real time", done_s, of, pace)


def _read_whole(file: IO[bytes], sample_rate: int, max_seconds: float) -> Samples:
    """Return the samples of a short recording. Blocks, and raises as ``RecordingFile``."""
    pieces = list[Samples]()
    with open_recording(file, sample_rate, max_seconds, pcm=False) as source:
        while (piece := source.read()) is not None:
            pieces.append(piece)
    return np.concatenate(pieces)


async def _prepend(first: Samples, rest: AsyncIterator[Samples]) -> AsyncIterator[Samples]:
    yield first
    async for piece in rest:
        yield piece


def _close(opening: Future[RecordingFile | PcmFile]) -> None:
    """Close a recording that was opened for a caller who had left."""
    if not opening.cancelled() and opening.exception() is None:
        with opening.result():
            pass


class Voices:
    """A ``Transcriber`` that hears where voices are, and no words."""

    def __init__(self, diarizer: Diarizer | None) -> None:
        self._diarizer = diarizer  # None where only speakers are told apart, from the same audio
        self.probabilities: list[float] = []
        """Of a voice in each ``VOICE_CHUNK_S`` of the recording."""

    async def transcribe(
        self, audio: AsyncIterator[Samples], options: TranscriptionOptions
    ) -> AsyncGenerator[TranscribedSegment, None]:
        if self._diarizer is not None:
            await self._diarizer.probabilities(audio, self.probabilities)
        async for _ in audio:
            pass
        return
        yield
