"""Synthesises utterances window by window, in the calling thread."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from typing_extensions import override

from kani.core.audio.pcm import LEVEL_LUFS, decibels
from kani.core.types import Samples, Segment
from kani.engines.kokoro.cloning.voice_embedding import LANGUAGES, mix_from_embedding, mix_language
from kani.engines.kokoro.network.norm_statistics import StatisticsTable
from kani.engines.kokoro.network.onnx_model import SAMPLE_RATE, Stop
from kani.engines.kokoro.network.parts import (
    Features,
    NormAffine,
    NormStatistics,
    PredictedProsody,
    SplitModel,
    Window,
)
from kani.engines.kokoro.pieces import WHOLE, Manner, PreparedUtterance, PreparingSynthesizer
from kani.engines.kokoro.pitch_control import SEMITONE, amplified
from kani.engines.kokoro.timing import voiced_frame_range
from kani.engines.kokoro.voices import (
    ACCENTED_VOICES,
    DEFAULT_VOICES,
    MAX_PITCH_SHIFT,
    NATIVE_SHARES,
    StyleTables,
    VoiceMix,
    VoiceOrMix,
    Voices,
    add_mix_prosody,
    voice_or_mix,
)
from kani.engines.kokoro.windows import windows
from kani_text.languages import primary

# Loudness of a voice with loud parts of power 1: the median of Kokoro's voices (standard deviation 0.7 LU).
_POWER_LUFS = -5.4

_MEASURED_SYMBOLS = "ðə bˈeɪkɚɹ ɑːn ˌaʊɚ skwˈɛɹ ˈoʊpənz hɪz ʃˈɑːp lˈɔŋ bᵻfˌoːɹ ðə sˈʌn."


class NetworkSynthesizer(PreparingSynthesizer):
    def __init__(
        self,
        model: SplitModel,
        styles: StyleTables,
        statistics: StatisticsTable,
        sample: tuple[str, Segment] = (_MEASURED_SYMBOLS, Segment("", DEFAULT_VOICES["en"], "en")),
    ) -> None:
        """sample: symbols, and a segment with the voice, that its speed is measured with."""
        super().__init__()
        self.sample = sample
        self.model = model
        self._styles = styles
        self._statistics = statistics

    @override
    def prepare(self, symbols: str, segment: Segment, stop: Stop, manner: Manner = WHOLE) -> PreparedWindows:
        """Predict as ``PreparingSynthesizer`` does; the timbre is that of the norms' statistics."""
        voice = self.voice_of(segment)
        style = self._styles.style(voice, max(len(symbols), manner.min_symbols))
        begun = time.perf_counter()
        prosody = self.model.predict_prosody(symbols, style, segment.speed, stop)
        wanted, log_f0 = add_mix_prosody(segment.prosody, voice), self._statistics.log_f0(voice)
        prosody = manner.applied(prosody, symbols, segment.language, wanted, log_f0)
        features = self.model.decode_features(prosody, style, stop)
        self.speed.note(len(symbols), time.perf_counter() - begun)
        if isinstance(manner.like, PreparedWindows):
            statistics = manner.like.statistics
        else:
            statistics = self._statistics.predict(voice, prosody, features)
        norms = NormAffine.from_statistics(features, statistics)
        return PreparedWindows(
            self.model, prosody, self._statistics.level(voice), features, statistics, norms
        )

    def voice_of(self, segment: Segment) -> VoiceOrMix:
        return voice_or_mix(segment.voice)

    def gain(self, segment: Segment) -> float:
        """Return the factor that gives a voice without a measured loudness about the level of all voices."""
        return decibels(LEVEL_LUFS - _POWER_LUFS) / math.sqrt(self._statistics.level(self.voice_of(segment)))


class WindowedSynthesizer(NetworkSynthesizer):
    """Kokoro, which also speaks like recordings."""

    def __init__(self, model: SplitModel, voices: Voices, statistics: StatisticsTable) -> None:
        super().__init__(model, voices, statistics)
        self._voices = voices
        self._languages = {voice.id: primary(voice.language) for voice in voices.all}

    def voice_of(self, segment: Segment) -> VoiceOrMix:
        """The segment's voice, or the mix that its embedding holds for its language.

        Raises InvalidRequest for an embedding of another engine.
        """
        language = primary(segment.language)
        if segment.embedding is None:
            return self._understood(voice_or_mix(segment.voice), language)
        mix = mix_from_embedding(segment.embedding, mix_language(language), self._voices)
        if language in LANGUAGES or language in ACCENTED_VOICES:
            return mix
        return self._with_native_prosody(mix, language)

    def _understood(self, voice: VoiceOrMix, language: str) -> VoiceOrMix:
        """The voice itself, or with a part of the sound of one of the language (``NATIVE_SHARES``)."""
        mix = VoiceMix.from_voice(voice) if isinstance(voice, str) else voice
        share = NATIVE_SHARES.get((self._languages.get(mix.prosody_voice, ""), language))
        if share is None:
            return voice
        native = self._with_native_prosody(mix, language)
        own = tuple((part, weight * (1 - share)) for part, weight in mix.timbre)
        return replace(native, timbre=(*own, (native.prosody_voice, share)))

    def _with_native_prosody(self, mix: VoiceMix, language: str) -> VoiceMix:
        """The timbre and pitch of a mix with the prosody of the language's voice that is nearest in pitch."""
        log_f0 = self._statistics.log_f0(mix.prosody_voice) + mix.pitch * SEMITONE
        native = {
            voice: self._statistics.log_f0(voice) for voice, own in self._languages.items() if own == language
        }
        nearest = min(native, key=lambda voice: abs(native[voice] - log_f0))
        shift = float(np.clip((log_f0 - native[nearest]) / SEMITONE, -MAX_PITCH_SHIFT, MAX_PITCH_SHIFT))
        return VoiceMix(nearest, mix.timbre, shift)


@dataclass(frozen=True, slots=True, eq=False)
class PreparedWindows:
    """An utterance that Kokoro decodes in windows. See ``PreparedUtterance``."""

    model: SplitModel
    prosody: PredictedProsody
    level: float
    features: Features
    statistics: NormStatistics
    norms: NormAffine

    def windows(self, begin: int, end: int, *, skipped: int = 0) -> Iterator[tuple[int, int]]:
        return windows(begin, end, skipped=skipped)

    def decode(self, first: int, end: int, stop: Stop) -> Samples:
        samples = self.model.decode_window(self.features, self.norms, first, end, stop)
        return amplified(samples, self.prosody, first)

    def sounding(self, stop: Stop) -> Window:
        """Return the generator's input for the frames that sound, without any context."""
        begin, end = voiced_frame_range(self.prosody)
        spectra = self.features.source.spectra(begin, end, stop)
        # A copy, so that the rest can be freed.
        features = np.ascontiguousarray(self.features.features[:, :, 2 * begin : 2 * end])
        return Window(features, spectra, self.norms.scale, self.norms.shift)

    def after(self, spoken: PreparedUtterance, end: int, begin: int) -> PreparedUtterance:
        """Return the utterance itself: its features are of all its words."""
        return self


def sample_steps(synthesizer: NetworkSynthesizer, stop: Stop) -> Iterator[float]:
    """Speak a sentence as a client's is spoken; yields the seconds of audio that each step made."""
    prepared = synthesizer.prepare(*synthesizer.sample, stop)
    yield 0.0
    for first, end in prepared.windows(*voiced_frame_range(prepared.prosody)):
        yield len(prepared.decode(first, end, stop)) / SAMPLE_RATE
