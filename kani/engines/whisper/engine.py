"""Whisper as a recogniser, on the CPU."""

import asyncio
import errno
import logging
import os
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from kani.core.errors import EngineFailed, EngineUnavailable
from kani.core.recognizer import Mark, PromptedRecognizer, RecognitionEvent, RecognizerInfo
from kani.core.transcriber import TranscribedSegment, TranscriptionOptions
from kani.core.types import Samples
from kani.engines.plugin import RECOGNIZER_MODEL
from kani.engines.whisper.checkpoint.contents import read_contents
from kani.engines.whisper.checkpoint.finding import find_checkpoint, local_folder, read_base
from kani.engines.whisper.likely_languages import LANGUAGES
from kani.engines.whisper.live_pass import transcribe, usual_pass
from kani.engines.whisper.model import Whisper
from kani.engines.whisper.recording_pass import transcribe_chunk
from kani.runtime.errors import CheckpointError
from kani.runtime.extras import install_command
from kani.runtime.model_names import short_name
from kani.runtime.recognition import live_delay
from kani.runtime.recognition.live import recognize_live
from kani.runtime.recognition.passes import PassResult
from kani.runtime.recognition.scheduler import PassScheduler
from kani.runtime.recognition.stream import RecognitionStream
from kani.runtime.recognition.transcription import RecordingTranscription
from kani.runtime.voice_detector import SAMPLE_RATE, VoiceDetector

# Without importing them, which takes a second.
_PACKAGES = ("ctranslate2", "tokenizers", "onnxruntime")

# Most passes at once, however many cores there are.
_MAX_WORKERS = 16

log = logging.getLogger(__name__)


class WhisperRecognizer(PromptedRecognizer):
    """Whisper in int8: words while someone speaks, and recordings. See ``docs/listening.md``."""

    def __init__(
        self,
        *,
        models_dir: Path | None,
        cache_dir: Path,
        may_fetch: bool = False,
        model: str | None = None,
        language: str | None = None,
    ) -> None:
        """models_dir, model, may_fetch: as ``find_checkpoint`` takes them, but no model for the base of the
        package; cache_dir: of fetched files; language: primary subtag that speech without one is likely in.

        The languages of another model than the base are known once it has started. Raises EngineUnavailable
        for a model that cannot be one.
        """
        if model is not None and "/" not in model and local_folder(model, models_dir) is None:
            raise EngineUnavailable(
                f"{RECOGNIZER_MODEL}: {model!r} is neither a folder nor a model's name on a hub (OWNER/NAME)"
            )
        self._model = model
        self._language = language
        self._earlier = cache_dir / "whisper-base"  # fetched by earlier versions
        self._find = partial(
            find_checkpoint, models_dir=models_dir, cache_dir=cache_dir / "whisper", may_fetch=may_fetch
        )
        missing = [name for name in _PACKAGES if find_spec(name) is None]
        install = install_command("", "requirements.txt", *_PACKAGES)
        reason = f"{', '.join(missing)} not installed; {install}" if missing else ""
        self._workers = min(os.cpu_count() or 1, _MAX_WORKERS)
        self._scheduler: PassScheduler[PassResult] = PassScheduler(self._workers)
        name = "base" if model is None else short_name(model)
        languages = frozenset(LANGUAGES if model is None else ())
        self._info = RecognizerInfo(
            "whisper", f"{name} int8", SAMPLE_RATE, languages, reason, hears_again=True
        )

    @property
    def info(self) -> RecognizerInfo:
        return self._info

    async def start(self) -> None:
        """Load the model, and measure it if it is not the embedded one. Raises EngineUnavailable."""
        if self._info.unavailable_reason:
            raise EngineUnavailable(self._info.unavailable_reason)
        if self._model is None:
            await asyncio.to_thread(self._load_base)
            return
        await asyncio.to_thread(self._load_checkpoint, self._model)
        # Fewer passes at once, where each has several cores.
        await self._scheduler.stop()
        self._scheduler = PassScheduler(self._workers)

    async def stop(self) -> None:
        await self._scheduler.stop()

    def leave_core(self) -> None:
        self._scheduler.leave_core()

    async def recognize_prompted(
        self,
        audio: AsyncIterator[Samples | Mark],
        language: str | None,
        prompt: str,
        *candidates: str,
        expected: str | None = None,
    ) -> AsyncGenerator[RecognitionEvent, None]:
        """See ``PromptedRecognizer``; also raises EngineUnavailable where passes are too slow."""
        if self._info.recordings_only:
            raise EngineUnavailable(self._info.recordings_only)
        before = self._whisper.tokens_before(prompt)
        spoken = language or self._whisper.only_language
        stream = RecognitionStream(self._detector.stream(), spoken, before=before, expected=expected)
        queued = self._scheduler.add_stream(
            lambda: partial(transcribe, self._whisper, stream.begin_pass(), candidates)
        )
        async with aclosing(recognize_live(stream, queued, audio)) as events:
            async for event in events:
                yield event

    async def transcribe(
        self, audio: AsyncIterator[Samples], options: TranscriptionOptions
    ) -> AsyncGenerator[TranscribedSegment, None]:
        options = replace(options, language=options.language or self._whisper.only_language)
        recording = RecordingTranscription(
            partial(transcribe_chunk, self._whisper),
            self._whisper.text_of,
            self._detector.recording(),
            self._scheduler,
            self._workers + 1,
            options,
        )
        async with aclosing(recording.segments(audio)) as segments:
            try:
                async for segment in segments:
                    yield segment
            except RuntimeError as error:
                raise EngineFailed("the recogniser failed") from error

    def _load_base(self) -> None:
        try:
            self._load(read_base(), self._workers)
        except CheckpointError as error:
            raise EngineUnavailable(str(error)) from error
        shutil.rmtree(self._earlier, ignore_errors=True)

    def _load_checkpoint(self, model: str) -> None:
        """Load a checkpoint and measure its passes: with one core each, then with more where that is slow."""
        try:
            contents = read_contents(self._find(model))
        except CheckpointError as error:
            raise EngineUnavailable(f"{RECOGNIZER_MODEL}: {error}") from error
        all_cores = self._workers
        self._load(contents.files, all_cores)
        pass_s = live_delay.measure_pass(partial(usual_pass, self._whisper))
        cores = live_delay.cores_needed(pass_s)
        if 1 < cores <= all_cores:
            self._workers = all_cores // cores
            # Never two of them in memory.
            del self._whisper
            self._load(contents.files, self._workers, cores)
            pass_s = live_delay.measure_pass(partial(usual_pass, self._whisper))
        delay_s = live_delay.delay_s(pass_s)
        self._info = replace(
            self._info,
            languages=frozenset(self._whisper.languages),
            live_delay_s=delay_s,
            recordings_only=live_delay.too_slow("whisper", short_name(model), delay_s, RECOGNIZER_MODEL),
        )

    def _load(self, files: Mapping[str, bytes | Path], workers: int, cores: int = 1) -> None:
        # Less than loading takes: where it is not free, the libraries abort or do not tell why they fail.
        bytes(256 << 20)
        try:
            self._whisper = Whisper(files, workers, cores, self._language)
            self._detector = VoiceDetector()
        except (OSError, ImportError, RuntimeError, ValueError) as error:
            if "allocate memory" in str(error):
                raise MemoryError(str(error)) from error
            raise EngineUnavailable(self._reason(error), passing=_is_full(error)) from error

    def _reason(self, error: Exception) -> str:
        if self._model is not None:
            return f"{RECOGNIZER_MODEL}: {self._model} cannot be loaded: {error}"
        if isinstance(error, OSError) and _is_full(error):
            return f"Whisper loads by the temporary folder: free some space there ({error.strerror})"
        # For the log only: it names files of this machine.
        log.error("Whisper cannot be loaded: %s", error)
        return "Whisper cannot be loaded: the log says why"


def _is_full(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
