"""The recogniser of GGUF files: recordings by stretches, and live speech by passes."""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace

from kani.core.recognizer import Mark, PromptedRecognizer, RecognitionEvent, RecognizerInfo
from kani.core.transcriber import TranscribedSegment, TranscriptionOptions
from kani.core.types import Samples
from kani.engines.packages.recognizer import PackageRecognizer
from kani.engines.plugin import RECOGNIZER_MODEL, Resources
from kani.engines.plugin_settings import PluginSettings
from kani.engines.transcribe.plugin import PACKAGE, model_of
from kani.runtime.model_names import short_name
from kani.runtime.recognition import live_delay
from kani.runtime.recognition.heard_passes import HeardStretches
from kani.runtime.voice_detector import SAMPLE_RATE


class TranscribeRecognizer(PromptedRecognizer, PackageRecognizer):
    """A model in a GGUF file.

    A prompt has an effect on a model that takes one, a temperature has none. Without a language a model that
    needs one raises InvalidRequest, as does one that does not translate for a translation.
    """

    def __init__(self, settings: PluginSettings, resources: Resources) -> None:
        """Raises EngineUnavailable for a model that cannot be one."""
        name = short_name(model_of(resources))
        info = RecognizerInfo("transcribe", name, SAMPLE_RATE, frozenset())
        # Not super(): the protocol's does nothing.
        PackageRecognizer.__init__(self, PACKAGE, settings, resources, info)

    async def _prepare(self) -> None:
        self._stretches = HeardStretches(self.hear, self._detector, self._found.settings["copies"])
        await super()._prepare()
        info = self.info
        too_slow = live_delay.too_slow(info.name, info.version, info.live_delay_s or 0.0, RECOGNIZER_MODEL)
        self.info = replace(info, recordings_only=too_slow, hears_again=True)

    async def stop(self) -> None:
        if hasattr(self, "_stretches"):  # they are made once the worker has started
            await self._stretches.stop()
        await super().stop()

    def recognize_prompted(
        self,
        audio: AsyncIterator[Samples | Mark],
        language: str | None,
        prompt: str,
        *candidates: str,
        expected: str | None = None,
    ) -> AsyncGenerator[RecognitionEvent, None]:
        """Recognise live speech. Raises EngineUnavailable where passes are too slow."""
        spoken, too_slow = self._spoken(language), self.info.recordings_only
        return self._stretches.live(audio, spoken, prompt, too_slow=too_slow)

    def transcribe(
        self, audio: AsyncIterator[Samples], options: TranscriptionOptions
    ) -> AsyncGenerator[TranscribedSegment, None]:
        return self._stretches.recording(audio, replace(options, language=self._spoken(options.language)))

    def _spoken(self, language: str | None) -> str | None:
        return language or self.only_language
