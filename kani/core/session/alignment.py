"""One alignment: an audio file and its text in, the time of every word out."""

import asyncio
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, closing, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any, TypeVar

import numpy as np
import numpy.typing as npt

from kani.core.audio.decoding import RECORDING_POOL
from kani.core.audio.recording_file import open_recording
from kani.core.diarization.diarizer import VoiceStream
from kani.core.errors import EngineFailed, InvalidRequest, ServerStopping
from kani.core.session.budget import Share
from kani.core.session.output import to_client_text
from kani.core.session.recognition import RecognitionContext
from kani.core.timing.aligner import FRAME_S
from kani.core.timing.cepstra import SAMPLE_RATE
from kani.core.timing.recording_aligner import MAX_UNSAID_S, FoundWord, RecordingAligner
from kani.core.timing.reference_voice import ReferenceVoice
from kani.core.timing.spans import SpanTiler
from kani.core.types import Span
from kani_text.normalizer import NormalizerOptions, SpokenText, normalize, speakable
from kani_text.segment_pipeline import SegmentPipeline
from kani_text.segmenter import WHOLE_SENTENCES, TextSegment

T = TypeVar("T")

POOL = ThreadPoolExecutor(1, thread_name_prefix="alignment")
"""Searches of all alignments, piece by piece in turn: some 30 s of a core for an hour of speech."""

MAX_TEXT = 300_000
"""Characters: four hours of fast speech."""

MAX_SPOKEN_S = 21_600.0
"""Seconds of the reference speech: numbers are longer than they are written."""

_SLOWNESS = 4.0
"""Seconds of the reference speech for one of the fastest speech."""

_PIECE = 1000  # characters that go through the pipeline at once


@dataclass(frozen=True, slots=True)
class Alignment:
    """Times of a text in a recording."""

    text: str
    language: str
    """Tag of the language that it was read in."""
    spans: tuple[Span, ...]
    """Ranges of characters of ``text`` that tile it, each with its time."""
    losses: npt.NDArray[np.float32]
    """Loss of each character's word, 0 of those that are not spoken."""
    loss: float
    """0 for a text that is spoken in the recording, 1 for any other."""
    duration_s: float
    """Length of the recording in seconds."""
    sample_rate: int
    """Hertz of the recording."""

    def loss_of(self, start: int, end: int) -> float:
        """Return the loss of a word, characters [start, end)."""
        return float(self.losses[start:end].max())


@dataclass(eq=False)
class AlignmentSession(AbstractAsyncContextManager["AlignmentSession"]):
    """Find a text in a recording by ``align``; leave by ``async with``, which frees everything."""

    _context: RecognitionContext
    _voice: ReferenceVoice
    _voices: Callable[[], VoiceStream]
    _text: str
    _language: str  # a tag
    _memory: Share
    _cancelled: bool = False

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._memory.resize(0)
        self._context.span.end(error)
        self._context.closed(self)

    def cancel(self) -> None:
        """End ``align`` with ServerStopping before its next step: the server stops."""
        self._cancelled = True

    async def align(self, file: IO[bytes], max_seconds: float) -> Alignment:
        """Return the times of the text in an audio file, which is decoded piece by piece.

        file: as of ``TranscriptionSession.segments``. Raises InvalidRequest for ``file`` and ``text``, Busy
        where other alignments take the memory, EngineFailed, EngineUnavailable, and ServerStopping.
        """
        voices = await self._step(RECORDING_POOL, self._voices)
        aligner = RecordingAligner(voices.feed)
        with closing(_decoded(aligner, file, max_seconds)) as pieces:
            while (sample_rate := await self._step(RECORDING_POOL, next, pieces)) is None:
                self._memory.resize(aligner.size)
        longest_s = min(MAX_SPOKEN_S, _SLOWNESS * aligner.duration_s + MAX_UNSAID_S)
        spoken = list[SpokenText]()
        texts = _spoken_texts(self._text, self._language)
        failed: EngineFailed | None = None
        while (part := await self._step(POOL, next, texts, None)) is not None:
            # Text that cannot be spoken, or has no sound, is left out.
            try:
                reference = await self._voice.render(part.text, self._language, 1.0)
                with suppress(ValueError):
                    await self._step(POOL, aligner.add_reference, reference, part.text)
                    spoken.append(part)
                    self._memory.resize(aligner.size)
            except EngineFailed as error:
                failed = error
            if aligner.reference_frames * FRAME_S > longest_s:
                raise InvalidRequest("text", f"takes too long to be said (here at most {longest_s:.0f} s)")
        if not spoken and failed is not None:
            raise failed
        if not spoken:
            raise InvalidRequest("text", f"has no words that can be said in {self._language!r}")
        search = aligner.align()
        while (words := await self._step(POOL, next, search)) is None:
            pass
        self._context.recognized(aligner.duration_s, 0.0)
        told = aligner.loss, aligner.duration_s, sample_rate
        return await self._step(POOL, self._described, spoken, words, *told)

    def _described(
        self,
        spoken: Sequence[SpokenText],
        found: Sequence[Sequence[FoundWord]],
        whole: float,
        end_s: float,
        rate: int,
    ) -> Alignment:
        tiler, spans, losses = SpanTiler(), list[Span](), np.zeros(len(self._text), np.float32)
        # The first word begins where it is said, not with the recording.
        tiler.add_pause(0, 0.0, found[0][0][0].start_s)
        for part, words in zip(spoken, found, strict=True):
            tiled = 0
            for word, loss in words:
                between, tiled = part.text[tiled : word.start], word.end
                span = to_client_text(word, part, 0.0)
                spans += tiler.add_word(span, between)
                written = losses[span.start : span.end]
                np.maximum(written, loss, out=written)
            spans += tiler.add_spoken(part.text[tiled:] + " ")
        spans += tiler.finish(len(losses), end_s)
        return Alignment(self._text, self._language, tuple(spans), losses, whole, end_s, rate)

    async def _step(self, pool: ThreadPoolExecutor, work: Callable[..., T], *args: Any) -> T:
        """Run a piece of the work in a thread; if cancelled, return once no thread works on it any more."""
        if self._cancelled:
            raise ServerStopping
        running = pool.submit(work, *args)
        step = asyncio.wrap_future(running)
        try:
            return await asyncio.shield(step)
        except asyncio.CancelledError:
            if not running.cancel():
                await asyncio.wait([step])
            raise


def _decoded(aligner: RecordingAligner, file: IO[bytes], max_seconds: float) -> Generator[int | None]:
    """Give the aligner a recording; yields None after each piece, then the recording's rate in hertz."""
    with open_recording(file, SAMPLE_RATE, max_seconds, pcm=False) as source:
        while (piece := source.read()) is not None:
            aligner.feed(piece)
            yield None
        yield source.rate


def _spoken_texts(text: str, language: str) -> Iterator[SpokenText]:
    """Yield the spoken form of some sentences after the other."""
    pipeline = SegmentPipeline(WHOLE_SENTENCES, language, {language}, quotations=False)
    options = NormalizerOptions(language, homographs=True, said_in=language)
    for at in range(0, len(text) + 1, _PIECE):
        parts = pipeline.feed(text[at : at + _PIECE])
        parts += pipeline.flush(more_to_come=False) if at + _PIECE > len(text) else []
        for part in parts:
            if isinstance(part, TextSegment) and speakable(part.text):
                spoken = normalize(part.text, part.start, options)
                if speakable(spoken.text):
                    yield spoken
