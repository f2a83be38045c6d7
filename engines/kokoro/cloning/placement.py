"""Where a recording lies among Kokoro's voices, without a synthesis.

The speaker encoder hears the recording, its pitch is measured, and for each language the mix is taken that
the surrogate foresees to be heard nearest: the melody of a native voice, moved to the recording's pitch and
liveliness, and the timbre of whatever voices. The best single voice of the language is always a candidate.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping
from dataclasses import dataclass

import numpy as np
import soxr

from engines.kokoro.cloning.pitch import PitchProfile, measure_pitch
from engines.kokoro.cloning.surrogate import OCTAVE, Surrogate
from engines.kokoro.cloning.weight_solver import Array, solve_weights
from engines.kokoro.voice_embedding import LANGUAGES
from engines.kokoro.voice_mix import MAX_PITCH_SHIFT, PITCH_RANGE_LIMITS, VoiceMix
from engines.kokoro.voices import Voices
from engines.speaker_encoder.encoder import BATCH_SIZE, SAMPLE_RATE, SpeakerEncoder, mel_windows
from speech.errors import InvalidRequest
from speech.text.languages import primary
from speech.types import Recording, Similarity

SEMITONE = OCTAVE / 12
"""In log hertz."""

RIDGE = 0.2
"""What weights cost the nearest mix: little enough to use all voices, enough to stay among speakers."""

PREDICTION_BIAS = 0.06
"""How much less alike a mix is, measured, than foreseen of the one that is foreseen best."""

# Whose rhythm and melody others may have: per language the clearest, by their makers' grades and by words.
_MELODIES: Mapping[str, tuple[str, ...]] = {
    "es": ("ef_dora", "em_alex"),
    "en": ("af_heart", "af_bella", "am_michael", "am_fenrir", "am_puck", "bf_emma", "bm_george"),
    "fr": ("ff_siwis",),
    "it": ("if_sara", "im_nicola"),
    "pt": ("pf_dora", "pm_alex"),
}

_SPREAD_COSTS = 4.0
_LEAST_SPREAD = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredSpeaker:
    """Whom a recording is of. embedding: [256], of length 1; melody: None where no pitch was heard."""

    embedding: Array
    pitch: PitchProfile | None


@dataclass(frozen=True, slots=True)
class Placement:
    """A recording's mix for one language; ``similarity.before`` is that of its nearest single voice."""

    mix: VoiceMix
    similarity: Similarity


class VoicePlacer:
    """Hears recordings, and places them; for any thread."""

    def __init__(
        self,
        voices: Voices,
        surrogate: Surrogate,
        encoder: SpeakerEncoder,
        excluded: Collection[str] = frozenset(),
    ) -> None:
        """without: voices that are neither mixed nor taken for their melody, nor alone."""
        self._all = [voice.id for voice in voices.all]
        self._used = np.array([voice not in excluded for voice in self._all])
        self._native = {
            language: [
                voice.id
                for voice in voices.all
                if primary(voice.language) == language and voice.id not in excluded
            ]
            for language in LANGUAGES
        }
        self._surrogate = surrogate
        self._encoder = encoder

    def measure(self, recording: Recording) -> Generator[None, None, MeasuredSpeaker]:
        """Whose recording it is; a step of a third of a second at most between two results of None.

        Raises InvalidRequest for ``reference`` where there is no speech.
        """
        samples = soxr.resample(recording.samples, recording.sample_rate, SAMPLE_RATE)
        yield
        melody = measure_pitch(samples)
        yield
        try:
            mels, _ = mel_windows(samples)
        except ValueError as error:
            raise InvalidRequest("reference", "there is no speech in the recording") from error
        embeddings = []
        for at in range(0, len(mels), BATCH_SIZE):
            yield
            embeddings.append(self._encoder.embed_mels(mels[at : at + BATCH_SIZE]))
        return MeasuredSpeaker(normalized(np.concatenate(embeddings).mean(axis=0)), melody)

    def nearest_single(self, speaker: MeasuredSpeaker, language: str) -> str:
        """The voice of one of ``LANGUAGES`` that by itself comes nearest to ``speaker``."""
        return max(self._native[language], key=lambda voice: self._likeness(voice, speaker))

    def place(self, speaker: MeasuredSpeaker, language: str) -> Placement:
        """The mix for one of ``LANGUAGES`` that is foreseen to be heard nearest to ``speaker`` (10 ms)."""
        single = self.nearest_single(speaker, language)
        before = self._likeness(single, speaker)
        melody, pitch, pitch_range = self._moved(speaker.pitch, language, single)
        table = self.mix_table(language, self._surrogate.pitch(melody).log_f0 + pitch * SEMITONE)
        weights = solve_weights(table, speaker.embedding, RIDGE)
        now = float(normalized(weights @ table) @ speaker.embedding) - PREDICTION_BIAS
        if now <= before:
            return Placement(VoiceMix.from_voice(single), Similarity(before, before, measured=False))
        mix = VoiceMix(melody, self.timbre_from_weights(weights), pitch, pitch_range)
        return Placement(mix, Similarity(before, now, measured=False))

    def mix_table(self, language: str, level: float) -> Array:
        """What each voice that is mixed adds to the embedding of a mix [V, 256] (``Surrogate.table``)."""
        return np.asarray(self._surrogate.table(language, level)[self._used])

    def mix_log_f0(self, mix: VoiceMix) -> float:
        """At which log hertz a mix is heard."""
        return self._surrogate.pitch(mix.prosody_voice).log_f0 + mix.pitch * SEMITONE

    def timbre_from_weights(self, weights: Array) -> tuple[tuple[str, float], ...]:
        """Weights of the voices that are mixed [V], as a ``Mix`` has them."""
        used = [voice for voice, is_used in zip(self._all, self._used, strict=True) if is_used]
        return tuple((voice, float(weight)) for voice, weight in zip(used, weights, strict=True))

    def weights_from_mix(self, mix: VoiceMix) -> Array:
        """The other way round."""
        timbre = dict(mix.timbre)
        found = np.array([timbre.get(voice, 0.0) for voice in self._all])
        return np.asarray(found[self._used])

    def _likeness(self, voice: str, speaker: MeasuredSpeaker) -> float:
        return float(self._surrogate.single_voices[self._all.index(voice)] @ speaker.embedding)

    def _moved(self, wanted: PitchProfile | None, language: str, single: str) -> tuple[str, float, float]:
        """Whose melody, how many semitones higher, and how many times as lively."""
        if wanted is None:
            return single, 0.0, 1.0
        known = [voice for voice in _MELODIES[language] if voice in self._native[language]]

        def distance(voice: str) -> float:
            own = self._surrogate.pitch(voice)
            livelier = np.log(max(wanted.spread_semitones, _LEAST_SPREAD) / own.spread_semitones)
            return float(abs(wanted.log_f0 - own.log_f0) / SEMITONE + _SPREAD_COSTS * abs(livelier))

        melody = min(known or self._native[language], key=distance)
        own = self._surrogate.pitch(melody)
        pitch = float(np.clip((wanted.log_f0 - own.log_f0) / SEMITONE, -MAX_PITCH_SHIFT, MAX_PITCH_SHIFT))
        return (
            melody,
            pitch,
            float(np.clip(wanted.spread_semitones / own.spread_semitones, *PITCH_RANGE_LIMITS)),
        )


def normalized(embedding: Array) -> Array:
    """The same, of length 1."""
    return np.asarray(embedding / np.linalg.norm(embedding), np.float64)
