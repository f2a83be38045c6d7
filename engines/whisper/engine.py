"""A recogniser that runs Whisper base here, on the processor."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from engines import weights
from engines.whisper.model import LANGUAGES, Whisper
from engines.whisper.passes import PassResult
from engines.whisper.scheduler import PassScheduler
from engines.whisper.stream import STEP_SAMPLES, RecognitionStream
from engines.whisper.vad import SAMPLE_RATE, VoiceDetector
from speech.errors import EngineFailed, EngineUnavailable
from speech.recognizer import Mark, RecognizerInfo
from speech.recognizer import RecognitionEvent as Told
from speech.types import Samples

# More streams than that are never computed at once, however many cores there are.
_MOST_WORKERS = 16
# Audio that is there already is taken in so many steps at a time, 1 ms of work, before others go on.
_STEPS_AT_ONCE = 8


class WhisperRecognizer:
    """Whisper base, int8, heard while someone speaks. See ``docs/listening.md``."""

    def __init__(self, *, models_dir: Path | None, cache_dir: Path, may_fetch: bool = False) -> None:
        """models_dir, cache_dir, may_fetch: as ``weights.load`` takes them."""
        self._load_weight = partial(
            weights.load, models_dir=models_dir, cache_dir=cache_dir, may_fetch=may_fetch
        )
        self._workers = min(os.cpu_count() or 1, _MOST_WORKERS)
        self._turns: PassScheduler[PassResult] = PassScheduler(self._workers)

    @property
    def info(self) -> RecognizerInfo:
        """See ``Recognizer.info``."""
        return RecognizerInfo("whisper", "base int8", SAMPLE_RATE, frozenset(LANGUAGES))

    async def start(self) -> None:
        """Load the model. Raises EngineUnavailable."""
        await asyncio.to_thread(self._load)

    async def stop(self) -> None:
        """See ``Recognizer.stop``."""
        await self._turns.stop()

    async def recognize(
        self, audio: AsyncIterator[Samples | Mark], language: str | None
    ) -> AsyncGenerator[Told, None]:
        """See ``Recognizer.recognize``."""
        listening = RecognitionStream(self._detector.stream(), language)
        place = self._turns.add_stream(lambda: partial(self._whisper.transcribe, listening.begin_pass()))
        pieces = aiter(audio)
        coming: asyncio.Task[Samples | Mark | None] | None = None
        answer: asyncio.Future[PassResult] | None = None
        rest = np.zeros(0, np.float32)
        steps = 0
        try:
            while True:
                while listening.events:
                    yield listening.events.popleft()
                if listening.finished:
                    return
                if answer is not None and answer.done():
                    listening.finish_pass(_result(answer))
                    answer = None
                    continue
                place.urgent = listening.urgent
                if answer is None and listening.pass_due:
                    answer = place.request_pass()
                elif answer is not None and not listening.pass_running and not listening.pass_due:
                    place.cancel()
                    answer = None
                if len(rest) and not listening.full:
                    listening.feed(rest[:STEP_SAMPLES])
                    rest = rest[STEP_SAMPLES:]
                    steps += 1
                    if steps % _STEPS_AT_ONCE == 0:
                        await asyncio.sleep(0)
                    continue
                waits: list[asyncio.Future[Any]] = [] if answer is None else [answer]
                if not listening.full and not listening.audio_ended:
                    coming = coming or asyncio.create_task(_next(pieces))
                    waits.append(coming)
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                if coming in waits and coming.done():
                    piece, coming = coming.result(), None
                    match piece:
                        case None:
                            listening.end()
                        case Mark():
                            listening.add_mark(piece)
                        case _:
                            rest = piece
        finally:
            place.cancel()
            if coming is not None:
                coming.cancel()
                await asyncio.wait([coming])
                if not coming.cancelled():
                    # Nobody asks any more what became of the audio.
                    coming.exception()

    def _load(self) -> None:
        files = {weight.name.rpartition("/")[2]: self._load_weight(weight) for weight in weights.WHISPER_BASE}
        try:
            self._whisper = Whisper(files, self._workers)
            self._detector = VoiceDetector()
        except OSError as error:
            raise EngineUnavailable(
                f"Whisper needs 150 MB of the temporary folder for a moment: make room ({error.strerror})"
            ) from error
        except (ImportError, RuntimeError) as error:
            raise EngineUnavailable(
                "Whisper cannot be loaded: install the ctranslate2, faster-whisper and onnxruntime that "
                "requirements.txt names"
            ) from error


async def _next(pieces: AsyncIterator[Samples | Mark]) -> Samples | Mark | None:
    """The next piece, or None at the end."""
    return await anext(pieces, None)


def _result(answer: asyncio.Future[PassResult]) -> PassResult:
    try:
        return answer.result()
    except RuntimeError as error:
        raise EngineFailed("the recogniser failed") from error
