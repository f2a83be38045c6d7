"""Whisper base as a recogniser, on the CPU."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from kani.core.errors import EngineFailed, EngineUnavailable
from kani.core.recognizer import Mark, RecognitionEvent, RecognizerInfo
from kani.core.transcriber import TranscribedSegment, TranscriptionOptions
from kani.core.types import Samples
from kani.engines.whisper.live_pass import transcribe
from kani.engines.whisper.model import LANGUAGES, Whisper
from kani.engines.whisper.passes import PassResult
from kani.engines.whisper.scheduler import PassScheduler
from kani.engines.whisper.stream import STEP_SAMPLES, RecognitionStream
from kani.engines.whisper.transcription import RecordingTranscription
from kani.runtime import weights
from kani.runtime.extras import install_command
from kani.runtime.voice_detector import SAMPLE_RATE, VoiceDetector

# Without importing them, which takes a second.
_PACKAGES = {"ctranslate2": "ctranslate2", "faster_whisper": "faster-whisper", "onnxruntime": "onnxruntime"}

# Most passes at once, however many cores there are.
_MAX_WORKERS = 16
# Steps of buffered audio that are processed, in 1 ms, before the event loop serves others.
_STEPS_PER_TURN = 8


class WhisperRecognizer:
    """Whisper base in int8: words while someone speaks, and recordings. See ``docs/listening.md``."""

    def __init__(self, *, models_dir: Path | None, cache_dir: Path, may_fetch: bool = False) -> None:
        """models_dir, cache_dir, may_fetch: as ``weights.load`` takes them."""
        self._load_weight = partial(
            weights.load, models_dir=models_dir, cache_dir=cache_dir, may_fetch=may_fetch
        )
        missing = [name for package, name in _PACKAGES.items() if find_spec(package) is None]
        self._unavailable_reason = (
            f"{', '.join(missing)} not installed; {install_command('', 'requirements.txt')}"
            if missing
            else ""
        )
        self._workers = min(os.cpu_count() or 1, _MAX_WORKERS)
        self._scheduler: PassScheduler[PassResult] = PassScheduler(self._workers)

    @property
    def info(self) -> RecognizerInfo:
        """See ``Recognizer.info``."""
        return RecognizerInfo(
            "whisper", "base int8", SAMPLE_RATE, frozenset(LANGUAGES), self._unavailable_reason
        )

    async def start(self) -> None:
        """Load the model. Raises EngineUnavailable."""
        await asyncio.to_thread(self._load)

    async def stop(self) -> None:
        """See ``Recognizer.stop``."""
        await self._scheduler.stop()

    async def recognize(
        self, audio: AsyncIterator[Samples | Mark], language: str | None
    ) -> AsyncGenerator[RecognitionEvent, None]:
        """See ``Recognizer.recognize``."""
        async with aclosing(self.recognize_prompted(audio, language, "")) as events:
            async for event in events:
                yield event

    async def recognize_prompted(
        self, audio: AsyncIterator[Samples | Mark], language: str | None, prompt: str
    ) -> AsyncGenerator[RecognitionEvent, None]:
        """See ``PromptedRecognizer``."""
        before = self._whisper.tokens_before(prompt)
        stream = RecognitionStream(self._detector.stream(), language, before=before)
        queued = self._scheduler.add_stream(lambda: partial(transcribe, self._whisper, stream.begin_pass()))
        pieces = aiter(audio)
        incoming: asyncio.Task[Samples | Mark | None] | None = None
        result: asyncio.Future[PassResult] | None = None
        rest = np.zeros(0, np.float32)
        steps = 0
        try:
            while True:
                while stream.events:
                    yield stream.events.popleft()
                if stream.finished:
                    return
                if result is not None and result.done():
                    stream.finish_pass(_result(result))
                    result = None
                    continue
                queued.urgent = stream.urgent
                if result is None and stream.pass_due:
                    result = queued.request_pass()
                elif result is not None and not stream.pass_running and not stream.pass_due:
                    queued.cancel()
                    result = None
                if len(rest) and not stream.full:
                    stream.feed(rest[:STEP_SAMPLES])
                    rest = rest[STEP_SAMPLES:]
                    steps += 1
                    if steps % _STEPS_PER_TURN == 0:
                        await asyncio.sleep(0)
                    continue
                awaited: list[asyncio.Future[Any]] = [] if result is None else [result]
                if not stream.full and not stream.audio_ended:
                    incoming = incoming or asyncio.create_task(_next(pieces))
                    awaited.append(incoming)
                await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
                if incoming in awaited and incoming.done():
                    piece, incoming = incoming.result(), None
                    match piece:
                        case None:
                            stream.end()
                        case Mark():
                            stream.add_mark(piece)
                        case _:
                            rest = piece
        finally:
            queued.close()
            if incoming is not None:
                incoming.cancel()
                await asyncio.wait([incoming])
                if not incoming.cancelled():
                    # Retrieved, or asyncio logs the error as never retrieved.
                    incoming.exception()

    async def transcribe(
        self, audio: AsyncIterator[Samples], options: TranscriptionOptions
    ) -> AsyncGenerator[TranscribedSegment, None]:
        """See ``Transcriber.transcribe``."""
        recording = RecordingTranscription(
            self._whisper, self._detector.stream(), self._scheduler, self._workers + 1, options
        )
        async with aclosing(recording.segments(audio)) as segments:
            try:
                async for segment in segments:
                    yield segment
            except RuntimeError as error:
                raise EngineFailed("the recogniser failed") from error

    def _load(self) -> None:
        files = {weight.name.rpartition("/")[2]: self._load_weight(weight) for weight in weights.WHISPER_BASE}
        try:
            self._whisper = Whisper(files, self._workers)
            self._detector = VoiceDetector()
        except OSError as error:
            raise EngineUnavailable(
                "Whisper needs 150 MB of the temporary folder while it loads: free some space "
                f"({error.strerror})"
            ) from error
        except (ImportError, RuntimeError) as error:
            raise EngineUnavailable(
                "Whisper cannot be loaded: install the ctranslate2, faster-whisper and onnxruntime that "
                "requirements.txt names"
            ) from error


async def _next(pieces: AsyncIterator[Samples | Mark]) -> Samples | Mark | None:
    """Return the next piece, or None at the end."""
    return await anext(pieces, None)


def _result(pass_result: asyncio.Future[PassResult]) -> PassResult:
    try:
        return pass_result.result()
    except RuntimeError as error:
        raise EngineFailed("the recogniser failed") from error
