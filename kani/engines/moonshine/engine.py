"""Moonshine's streaming models as a recogniser, on the processor.

torch is imported only when it starts.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING

from kani.core.errors import EngineFailed, EngineUnavailable, InvalidRequest
from kani.core.recognizer import Mark, RecognitionEvent, RecognizerInfo
from kani.core.transcriber import TranscribedSegment, TranscriptionOptions
from kani.core.types import Samples
from kani.engines.moonshine.settings import MoonshineSettings
from kani.engines.plugin import Resources
from kani.runtime.extras import install_command, missing_package
from kani.runtime.model_names import local_path, short_name
from kani.runtime.recognition.live import recognize_live
from kani.runtime.recognition.passes import PassResult
from kani.runtime.recognition.scheduler import PassScheduler
from kani.runtime.recognition.stream import RecognitionStream
from kani.runtime.recognition.transcription import RecordingTranscription
from kani.runtime.voice_detector import SAMPLE_RATE, VoiceDetector

if TYPE_CHECKING:
    import torch

    from kani.engines.moonshine.model import Moonshine

log = logging.getLogger(__name__)

DEFAULT_MODEL = "UsefulSensors/moonshine-streaming-small"
_LANGUAGE = re.compile(r".*-([a-z]{2})")

# Passes that are in the decoder's loop at once, and stretches of one recording among them.
_PASSES, _STRETCHES = 4, 2


class MoonshineRecognizer:
    """A checkpoint of Moonshine: words while someone speaks, and recordings. See ``docs/listening.md``."""

    def __init__(self, settings: MoonshineSettings, resources: Resources) -> None:
        """resources: a folder of the model's name is looked for in ``models_dir`` first.

        Raises EngineUnavailable for a model that cannot be one.
        """
        self._resources = resources
        self._model = settings.model or DEFAULT_MODEL
        self._name = short_name(self._model)
        self._folder = resources.models_dir / self._name if resources.models_dir is not None else None
        # A hub's name is OWNER/NAME; whether the hub has it is known once it is fetched.
        folders = (local_path(self._model), self._folder)
        if "/" not in self._model and not any(folder and folder.is_dir() for folder in folders):
            raise EngineUnavailable(
                f"KANI_MOONSHINE_MODEL: {self._model!r} is neither a folder nor a model's name on a hub "
                "(OWNER/NAME)"
            )
        named = _LANGUAGE.fullmatch(self._name)
        self._language = named[1] if named is not None else "en"
        lacks = missing_package("torch", "moonshine", "requirements-kani.txt")
        self._unavailable_reason = f"Moonshine needs {lacks}" if lacks else ""
        self._scheduler: PassScheduler[PassResult] = PassScheduler(_PASSES)
        self._loaded: Moonshine | None = None

    @property
    def info(self) -> RecognizerInfo:
        """See ``Recognizer.info``."""
        languages = frozenset({self._language})
        return RecognizerInfo("moonshine", self._name, SAMPLE_RATE, languages, self._unavailable_reason)

    async def start(self) -> None:
        """Load the model. Raises EngineUnavailable."""
        self._loaded = await asyncio.to_thread(self._load)

    async def stop(self) -> None:
        """See ``Recognizer.stop``."""
        await self._scheduler.stop()
        if self._loaded is not None:
            await asyncio.to_thread(self._loaded.stop)
            self._loaded = None

    async def recognize(
        self, audio: AsyncIterator[Samples | Mark], language: str | None
    ) -> AsyncGenerator[RecognitionEvent, None]:
        """See ``Recognizer.recognize``. A checkpoint knows one language: ``language`` changes nothing."""
        model = self._running
        stream, state = RecognitionStream(self._detector.stream(), self._language), model.stream()
        closed = threading.Event()
        queued = self._scheduler.add_stream(
            lambda: partial(model.transcribe, state, closed.is_set, stream.begin_pass())
        )
        try:
            async with aclosing(recognize_live(stream, queued, audio)) as events:
                async for event in events:
                    yield event
        finally:
            closed.set()

    async def transcribe(
        self, audio: AsyncIterator[Samples], options: TranscriptionOptions
    ) -> AsyncGenerator[TranscribedSegment, None]:
        """See ``Transcriber.transcribe``; prompt and temperature have no effect.

        Raises InvalidRequest for a translation.
        """
        if options.translate:
            raise InvalidRequest("task", "Moonshine does not translate; KANI_RECOGNIZER=whisper does")
        model = self._running
        recording = RecordingTranscription(
            model.transcribe_chunk,
            model.text_of,
            self._detector.recording(),
            self._scheduler,
            _STRETCHES,
            TranscriptionOptions(language=self._language),
        )
        async with aclosing(recording.segments(audio)) as segments:
            try:
                async for segment in segments:
                    yield segment
            except RuntimeError as error:
                raise EngineFailed("the recogniser failed") from error

    @property
    def _running(self) -> Moonshine:
        if self._loaded is None:
            raise EngineFailed("the recogniser is not running")
        return self._loaded

    def _load(self) -> Moonshine:
        try:
            from kani.engines.moonshine.model import Moonshine
            from kani.runtime.errors import CheckpointError
            from kani.runtime.hub import Hub
        except ModuleNotFoundError as error:
            raise EngineUnavailable(
                f"Moonshine needs {error.name}: " + install_command("moonshine", "requirements-kani.txt")
            ) from error
        local = self._folder if self._folder is not None and self._folder.is_dir() else None
        try:
            self._detector = VoiceDetector()
            hub = Hub(self._resources.cache_dir, self._resources.may_fetch, log.info)
            folder = hub.find(str(local or self._model))
            return Moonshine(folder, _precision(self._resources.precision), self._language)
        except CheckpointError as error:
            raise EngineUnavailable(
                f"Moonshine cannot start: {error} (--recognizer whisper starts without it)"
            ) from error


def _precision(name: str) -> torch.dtype:
    import torch

    from kani.runtime.linear import Int8

    # bfloat16 is slower than float32 on most processors.
    return torch.int8 if name in ("auto", "int8") and Int8.supported() else torch.float32
