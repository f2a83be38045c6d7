"""Placement of a recording among Kokoro's voices, without synthesis.

The recording is embedded by the speaker encoder and its F0 is measured. For each language the mix with the
nearest embedding, as the surrogate predicts it, is chosen: the prosody of a native voice, shifted and scaled
to the recording's F0, and the timbre of any voices. The nearest single native voice is always a candidate.
"""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import soxr

from kani.core.errors import NoSpeech
from kani.core.types import Embedding, Recording, Similarity
from kani.engines.kokoro.cloning.pitch import PitchProfile, measure_pitch
from kani.engines.kokoro.cloning.surrogate import Surrogate
from kani.engines.kokoro.cloning.voice_embedding import LANGUAGES, embedding_from_mixes
from kani.engines.kokoro.cloning.weight_solver import Array, solve_weights
from kani.engines.kokoro.pitch_control import SEMITONE
from kani.engines.kokoro.voices import MAX_PITCH_SHIFT, PITCH_RANGE_LIMITS, VoiceMix, Voices
from kani.runtime.speaker_encoder.encoder import BATCH_SIZE, SAMPLE_RATE, SpeakerEncoder, mel_windows
from kani_text.languages import primary

RIDGE = 0.2
"""Ridge of the weights: small enough to use all voices, large enough to keep the mix a plausible speaker."""

PREDICTION_BIAS = 0.06
"""Mean excess of the predicted similarity of the best mix over its measured similarity."""

# Prosody voices per language: the clearest ones, by their authors' grades and by word error rate.
_PROSODY_VOICES: Mapping[str, tuple[str, ...]] = {
    "es": ("ef_dora", "em_alex"),
    "en": ("af_heart", "af_bella", "am_michael", "am_fenrir", "am_puck", "bf_emma", "bm_george"),
    "fr": ("ff_siwis",),
    "it": ("if_sara", "im_nicola"),
    "pt": ("pf_dora", "pm_alex"),
}

_SPREAD_COST = 4.0
_MIN_SPREAD = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredSpeaker:
    embedding: Array  # [256], of length 1
    pitch: PitchProfile | None  # None for a recording without voiced speech


@dataclass(frozen=True, slots=True)
class Placement:
    """A recording's mix for one language; ``similarity.before`` is that of the nearest single voice."""

    mix: VoiceMix
    similarity: Similarity


class VoicePlacer:
    """Measures recordings and places them; thread-safe."""

    def __init__(self, voices: Voices, surrogate: Surrogate, encoder: SpeakerEncoder) -> None:
        self._voices = voices
        self._all = [voice.id for voice in voices.mixed]
        self._native = {
            language: [voice.id for voice in voices.mixed if primary(voice.language) == language]
            for language in LANGUAGES
        }
        self._surrogate = surrogate
        self._encoder = encoder

    def embed(self, recording: Recording) -> Iterator[Embedding | None]:
        """Embed a recording for all languages; the last item is the embedding. Raises InvalidRequest."""
        speaker = yield from self.measure(recording)
        placements = {}
        for language in LANGUAGES:
            placements[language] = self.place(speaker, language)
            yield None
        yield embedding_from_mixes(
            {language: placement.mix for language, placement in placements.items()},
            {language: placement.similarity for language, placement in placements.items()},
            self._voices,
        )

    def measure(self, recording: Recording) -> Generator[None, None, MeasuredSpeaker]:
        """Measure the speaker of a recording; yields None after each step of at most a third of a second.

        Raises InvalidRequest for ``reference`` where there is no speech.
        """
        samples = soxr.resample(recording.samples, recording.sample_rate, SAMPLE_RATE)
        yield
        pitch = measure_pitch(samples)
        yield
        try:
            mels, _ = mel_windows(samples)
        except ValueError as error:
            raise NoSpeech() from error
        embeddings = []
        for at in range(0, len(mels), BATCH_SIZE):
            yield
            embeddings.append(self._encoder.embed_mels(mels[at : at + BATCH_SIZE]))
        return MeasuredSpeaker(normalized(np.concatenate(embeddings).mean(axis=0)), pitch)

    def nearest_single(self, speaker: MeasuredSpeaker, language: str) -> str:
        """The voice of one of ``LANGUAGES`` that by itself comes nearest to ``speaker``."""
        return max(self._native[language], key=lambda voice: self._similarity(voice, speaker))

    def place(self, speaker: MeasuredSpeaker, language: str) -> Placement:
        """Find the mix for one of ``LANGUAGES`` that is predicted most similar to ``speaker`` (10 ms)."""
        single = self.nearest_single(speaker, language)
        before = self._similarity(single, speaker)
        native = self._with_pitch(speaker.pitch, language, single)
        table = self.mix_table(language, native)
        weights = solve_weights(table, speaker.embedding, RIDGE)
        now = float(normalized(weights @ table) @ speaker.embedding) - PREDICTION_BIAS
        if now <= before:
            return Placement(VoiceMix.from_voice(single), Similarity(before, before, measured=False))
        mix = replace(native, timbre=self.timbre_from_weights(weights))
        return Placement(mix, Similarity(before, now, measured=False))

    def mix_table(self, language: str, mix: VoiceMix) -> Array:
        """Contribution of each voice to the embedding of a mix with this prosody [V, 256]."""
        log_f0 = self._surrogate.pitch(mix.prosody_voice).log_f0 + mix.pitch * SEMITONE
        return self._surrogate.table(language, log_f0)

    def timbre_from_weights(self, weights: Array) -> tuple[tuple[str, float], ...]:
        return tuple((voice, float(weight)) for voice, weight in zip(self._all, weights, strict=True))

    def weights_from_mix(self, mix: VoiceMix) -> Array:
        timbre = dict(mix.timbre)
        return np.array([timbre.get(voice, 0.0) for voice in self._all])

    def _similarity(self, voice: str, speaker: MeasuredSpeaker) -> float:
        return float(self._surrogate.single_voices[self._all.index(voice)] @ speaker.embedding)

    def _with_pitch(self, target: PitchProfile | None, language: str, single: str) -> VoiceMix:
        """Return the native voice with the prosody nearest to a measured F0, shifted and scaled to it."""
        if target is None:
            return VoiceMix.from_voice(single)
        known = [voice for voice in _PROSODY_VOICES[language] if voice in self._native[language]]

        def distance(voice: str) -> float:
            own = self._surrogate.pitch(voice)
            livelier = np.log(max(target.spread_semitones, _MIN_SPREAD) / own.spread_semitones)
            return float(abs(target.log_f0 - own.log_f0) / SEMITONE + _SPREAD_COST * abs(livelier))

        voice = min(known or self._native[language], key=distance)
        own = self._surrogate.pitch(voice)
        return replace(
            VoiceMix.from_voice(voice),
            pitch=float(np.clip((target.log_f0 - own.log_f0) / SEMITONE, -MAX_PITCH_SHIFT, MAX_PITCH_SHIFT)),
            pitch_range=float(np.clip(target.spread_semitones / own.spread_semitones, *PITCH_RANGE_LIMITS)),
        )


def normalized(embedding: Array) -> Array:
    """Scale an embedding to length 1."""
    return np.asarray(embedding / np.linalg.norm(embedding), np.float64)
