"""Transcription of one recording: its stretches in parallel, its segments in order."""

import asyncio
import math
import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from kani.core.transcriber import TranscribedSegment, TranscribedWord, TranscriptionOptions
from kani.core.types import Samples
from kani.runtime.recognition.passes import ChunkInput, ChunkResult, PassResult, TimedWord
from kani.runtime.recognition.recording_chunks import Chunk, ChunkCutter
from kani.runtime.recognition.scheduler import BackgroundPass, PassScheduler
from kani.runtime.transcript import columns, compression_ratio, ends_segment
from kani.runtime.voice_detector import RecordingVoices

# Probability from which on the language of a stretch is that of the whole recording.
_CERTAIN = 0.5

_Pass = BackgroundPass[list[ChunkResult]]

ChunkPass = Callable[[ChunkInput, Callable[[], bool]], list[ChunkResult]]
"""Transcribes a stretch, in a worker's thread; returns its parts in order.

Its second argument is asked before each step of some tenths of a second: once it is True the result does not
count. Raises RuntimeError where the model fails.
"""


@dataclass(eq=False)
class RecordingTranscription:
    """Transcribes one recording; see ``Transcriber.transcribe``."""

    _transcribe: ChunkPass
    _text_of: Callable[[Sequence[int]], str]  # returns the text of tokens, with its space at the beginning
    _voices: RecordingVoices  # the voice detector
    _scheduler: PassScheduler[PassResult]
    _width: int  # stretches that may wait or run at once
    _options: TranscriptionOptions
    _language_probability: float = 1.0
    _stopped: threading.Event = field(default_factory=threading.Event)
    _passes: deque[_Pass] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self._cutter = ChunkCutter(self._voices, leads=not self._options.waited_for)
        self._language = self._options.language

    async def segments(self, audio: AsyncIterator[Samples]) -> AsyncGenerator[TranscribedSegment, None]:
        """Yield the segments of ``audio``. Raises RuntimeError where the model fails."""
        try:
            async for chunk in self._chunks(audio):
                while self._full:
                    for segment in await self._next():
                        yield segment
                self._passes.append(self._begin(chunk))
            while self._passes:
                for segment in await self._next():
                    yield segment
        finally:
            self._stopped.set()
            for one in self._passes:
                one.cancel()

    @property
    def _full(self) -> bool:
        """True if a pass has to end before another begins."""
        # Until the language is known, one stretch follows the other: the next may be of the same language.
        return len(self._passes) >= (self._width if self._language is not None else 1)

    async def _chunks(self, audio: AsyncIterator[Samples]) -> AsyncIterator[Chunk]:
        async for samples in audio:
            for chunk in await asyncio.to_thread(self._cutter.feed, samples):
                yield chunk
        for chunk in self._cutter.finish():
            yield chunk

    def _begin(self, chunk: Chunk) -> _Pass:
        options = self._options
        work = ChunkInput(
            chunk,
            self._language,
            options.language is None,
            options.candidates,
            options.translate,
            options.prompt,
            options.temperature,
        )
        transcribe = partial(self._transcribe, work, self._stopped.is_set)
        return self._scheduler.run_in_background(transcribe, waited_for=options.waited_for)

    async def _next(self) -> list[TranscribedSegment]:
        """Return the segments of the pass that began first."""
        # Kept until it has ended: it is cancelled with the others where nothing waits for it any more.
        results = await self._passes[0].result
        self._passes.popleft()
        return [segment for result in results for segment in self._segments_of(result)]

    def _segments_of(self, result: ChunkResult) -> Iterator[TranscribedSegment]:
        certain = result.language_probability >= _CERTAIN
        if self._language is None and certain and result.words and result.has_speech:
            self._language = result.language
            self._language_probability = result.language_probability
        chunk = result.chunk
        for words in split_segments([_voiced(timed, chunk) for timed in result.words]):
            tokens = tuple(token for timed in words for token in timed.word.tokens)
            text = self._text_of(tokens)
            yield TranscribedSegment(
                text,
                chunk.start_s + words[0].start_s,
                chunk.start_s + words[-1].end_s,
                tuple(
                    TranscribedWord(
                        timed.word.text,
                        chunk.start_s + timed.start_s,
                        chunk.start_s + timed.end_s,
                        math.log(timed.probability),
                    )
                    for timed in words
                ),
                tokens,
                max(chunk.start_s, 0.0),
                result.temperature,
                result.log_probability,
                compression_ratio(text),
                chunk.no_speech_probability(words[0].start_s, words[-1].end_s),
                result.language,
                self._probability(result),
            )

    def _probability(self, result: ChunkResult) -> float:
        """Return the probability of the language, which later stretches are given."""
        known = self._options.language is None and result.language == self._language
        return self._language_probability if known else result.language_probability


def _voiced(timed: TimedWord, chunk: Chunk) -> TimedWord:
    """Return the word without the silence around it."""
    start_s, end_s = chunk.voiced(timed.start_s, timed.end_s)
    return replace(timed, start_s=start_s, end_s=end_s)


def split_segments(words: Sequence[TimedWord]) -> Iterator[Sequence[TimedWord]]:
    """Yield the words of each segment, in order: sentences, or parts of long ones."""
    first, width = 0, 0
    for at, timed in enumerate(words):
        width += columns(timed.word.text) + 1
        last = at + 1 == len(words)
        if last or ends_segment(timed.word.text, words[at + 1].start_s - timed.end_s, width):
            yield words[first : at + 1]
            first, width = at + 1, 0
