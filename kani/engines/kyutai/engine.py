"""Kyutai's streaming speech-to-text as a recogniser: stt-1b-en_fr and stt-2.6b-en.

torch and transformers are imported only when it starts.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import TYPE_CHECKING

import numpy as np

from kani.core.audio.resampling import LowDelayResampler
from kani.core.errors import EngineFailed, EngineUnavailable, InvalidRequest
from kani.core.recognizer import Mark, RecognitionEvent, RecognizedWord, RecognizerInfo, Step
from kani.core.transcriber import TranscribedSegment, TranscriptionOptions
from kani.core.types import Samples
from kani.engines.kyutai.batch import StepBatcher
from kani.engines.kyutai.settings import KyutaiSettings
from kani.engines.kyutai.stream import RecognitionStream
from kani.engines.kyutai.transcription import SegmentBuilder
from kani.engines.kyutai.words import TimedWord, WordAssembler
from kani.engines.plugin import Resources
from kani.runtime.extras import install_command, missing_package
from kani.runtime.model_names import local_path, short_name
from kani.runtime.voice_detector import SAMPLE_RATE as VOICE_RATE
from kani.runtime.voice_detector import VoiceDetector
from kani.text import language_detection

if TYPE_CHECKING:
    from kani.engines.kyutai.loader import LoadedRecognizer

DEFAULT_MODEL = "kyutai/stt-1b-en_fr-trfs"
SAMPLE_RATE = 24_000
_LANGUAGES = re.compile(r"stt-[\d.]+b-([a-z]{2}(?:_[a-z]{2})*)(?:-trfs)?")
_DEFAULT_LANGUAGES = ("en", "fr")

_Event = TimedWord | Step | Mark


class KyutaiRecognizer:
    """A checkpoint of Kyutai's recogniser, many streams in one batch. See ``docs/kyutai_recognizer.md``."""

    def __init__(self, settings: KyutaiSettings, resources: Resources) -> None:
        """resources: a folder of the model's name is looked for in ``models_dir`` first.

        Raises EngineUnavailable for a model that cannot be one.
        """
        self._settings = settings
        self._resources = resources
        self._model = settings.model or DEFAULT_MODEL
        self._name = short_name(self._model)
        self._folder = resources.models_dir / self._name if resources.models_dir is not None else None
        # A hub's name is OWNER/NAME; whether the hub has it is known once it is fetched.
        folders = (local_path(self._model), self._folder)
        if "/" not in self._model and not any(folder and folder.is_dir() for folder in folders):
            raise EngineUnavailable(
                f"KANI_RECOGNIZER_MODEL: {self._model!r} is neither a folder nor a model's name on a hub "
                "(OWNER/NAME)"
            )
        lacks = missing_package("torch", "kyutai", "requirements-kani.txt")
        self._unavailable_reason = f"Kyutai's recogniser needs {lacks}" if lacks else ""
        # One thread: steps follow each other, and OpenMP's helpers stay with it.
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="kyutai")
        self._batcher: StepBatcher | None = None

    @property
    def info(self) -> RecognizerInfo:
        """See ``Recognizer.info``."""
        named = _LANGUAGES.fullmatch(self._name)
        languages = named[1].split("_") if named is not None else _DEFAULT_LANGUAGES
        return RecognizerInfo(
            "kyutai", self._name, SAMPLE_RATE, frozenset(languages), self._unavailable_reason
        )

    @property
    def free_slots(self) -> int:
        """Streams that could join the batch."""
        return self._batcher.free_slots if self._batcher is not None else 0

    async def start(self) -> None:
        """Load the model, which takes seconds. Raises EngineUnavailable."""
        self._loaded = await asyncio.get_running_loop().run_in_executor(self._pool, self._load)
        self._batcher = StepBatcher(self._loaded.network, self._pool)

    async def stop(self) -> None:
        """See ``Recognizer.stop``."""
        await asyncio.to_thread(self._pool.shutdown)
        self._batcher = None

    async def recognize(
        self, audio: AsyncIterator[Samples | Mark], language: str | None
    ) -> AsyncGenerator[RecognitionEvent, None]:
        """See ``Recognizer.recognize``; also raises Busy if all places are taken.

        The model takes no language: it recognises its languages as they are spoken.
        """
        spoken = language or self._only_language or ""
        async with aclosing(self._events(audio)) as events:
            async for event in events:
                if isinstance(event, TimedWord):
                    yield RecognizedWord(event.text, event.start_s, event.end_s, spoken)
                else:
                    yield event

    async def transcribe(
        self, audio: AsyncIterator[Samples], options: TranscriptionOptions
    ) -> AsyncGenerator[TranscribedSegment, None]:
        """See ``Transcriber.transcribe``; prompt and temperature have no effect.

        Raises InvalidRequest for a translation, and Busy if all places are taken.
        """
        if options.translate:
            raise InvalidRequest(
                "task", "Kyutai's recogniser does not translate; KANI_RECOGNIZER=whisper does"
            )
        builder = SegmentBuilder(options.language or self._only_language, self.info.languages)
        async with aclosing(self._events(audio)) as events:
            async for event in events:
                match event:
                    case Step():
                        builder.add_voices(event.voices)
                    case TimedWord() if (segment := builder.add(event)) is not None:
                        yield segment
        if (segment := builder.finish()) is not None:
            yield segment

    @property
    def _only_language(self) -> str | None:
        languages = self.info.languages
        return next(iter(languages)) if len(languages) == 1 else None

    async def _events(self, audio: AsyncIterator[Samples | Mark]) -> AsyncGenerator[_Event, None]:
        """Yield the words, steps and marks of one stream."""
        loaded, batcher = self._loaded, self._batcher
        if batcher is None:
            raise EngineFailed("the recogniser is not running")
        delays = loaded.delays
        stream = RecognitionStream(delays, WordAssembler(delays, loaded.padding, loaded.decode))
        detector = self._detector.stream()
        resampler = LowDelayResampler(SAMPLE_RATE, VOICE_RATE)
        size = loaded.network.frame_samples
        silence = np.zeros(size, np.float32)
        rest = silence[:0]
        taken = 0
        async with batcher.stream() as place:
            for _ in range(delays.before):
                stream.take(await batcher.step(place, silence), None)
            async for piece in audio:
                if isinstance(piece, Mark):
                    stream.add_mark(piece, (taken + len(rest)) / SAMPLE_RATE)
                else:
                    rest = np.concatenate([rest, piece])
                while len(rest) >= size:
                    frame, rest = rest[:size], rest[size:]
                    taken += size
                    result = await batcher.step(place, frame)
                    stream.take(result, detector.feed(resampler.feed(frame)))
                    while stream.events:
                        yield stream.events.popleft()
                while stream.events:
                    yield stream.events.popleft()
            ending = [np.concatenate([rest, silence[len(rest) :]])] if len(rest) else []
            for frame in (*ending, *(silence for _ in range(delays.after))):
                stream.take(await batcher.step(place, frame), None)
                while stream.events:
                    yield stream.events.popleft()
        stream.finish()
        while stream.events:
            yield stream.events.popleft()

    def _load(self) -> LoadedRecognizer:
        try:
            from kani.engines.kyutai.loader import load
            from kani.runtime.errors import CheckpointError, DeviceError
        except ModuleNotFoundError as error:
            raise EngineUnavailable(
                f"Kyutai's recogniser needs {error.name}: "
                + install_command("kyutai", "requirements-kani.txt")
            ) from error
        local = self._folder if self._folder is not None and self._folder.is_dir() else None
        try:
            self._detector = VoiceDetector()
            if self._only_language is None:
                language_detection.load_detector()
            return load(str(local or self._model), self._settings.slots, self._resources)
        except (CheckpointError, DeviceError) as error:
            raise EngineUnavailable(
                f"Kyutai's recogniser cannot start: {error} (--recognizer whisper starts without it)"
            ) from error
