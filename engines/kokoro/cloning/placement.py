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

from engines.kokoro.cloning.pitch import Melody, melody_of
from engines.kokoro.cloning.surrogate import OCTAVE, Surrogate
from engines.kokoro.cloning.weight_solver import Array, nearest
from engines.kokoro.voice_embedding import LANGUAGES
from engines.kokoro.voice_mix import HIGHEST_PITCH, PITCH_RANGES, Mix
from engines.kokoro.voices import Voices
from engines.speaker_encoder.encoder import AT_ONCE, SAMPLE_RATE, SpeakerEncoder, mel_windows
from speech.errors import InvalidRequest
from speech.text.languages import primary
from speech.types import Recording, Similarity

SEMITONE = OCTAVE / 12
"""In log hertz."""

RIDGE = 0.2
"""What weights cost the nearest mix: little enough to use all voices, enough to stay among speakers."""

OPTIMISM = 0.06
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
class Speaker:
    """Whom a recording is of. embedding: [256], of length 1; melody: None where no pitch was heard."""

    embedding: Array
    melody: Melody | None


@dataclass(frozen=True, slots=True)
class Placed:
    """A recording's mix for one language; ``similarity.before`` is that of its nearest single voice."""

    mix: Mix
    similarity: Similarity


class Placer:
    """Hears recordings, and places them; for any thread."""

    def __init__(
        self,
        voices: Voices,
        surrogate: Surrogate,
        encoder: SpeakerEncoder,
        without: Collection[str] = frozenset(),
    ) -> None:
        """without: voices that are neither mixed nor taken for their melody, nor alone."""
        self._all = [voice.id for voice in voices.all]
        self._used = np.array([voice not in without for voice in self._all])
        self._native = {
            language: [
                voice.id
                for voice in voices.all
                if primary(voice.language) == language and voice.id not in without
            ]
            for language in LANGUAGES
        }
        self._surrogate = surrogate
        self._encoder = encoder

    def hear(self, recording: Recording) -> Generator[None, None, Speaker]:
        """Whose recording it is; a step of a third of a second at most between two results of None.

        Raises InvalidRequest for ``reference`` where there is no speech.
        """
        samples = soxr.resample(recording.samples, recording.sample_rate, SAMPLE_RATE)
        yield
        melody = melody_of(samples)
        yield
        try:
            mels, _ = mel_windows(samples)
        except ValueError as error:
            raise InvalidRequest("reference", "there is no speech in the recording") from error
        embeddings = []
        for at in range(0, len(mels), AT_ONCE):
            yield
            embeddings.append(self._encoder.of_windows(mels[at : at + AT_ONCE]))
        return Speaker(unit(np.concatenate(embeddings).mean(axis=0)), melody)

    def single(self, speaker: Speaker, language: str) -> str:
        """The voice of one of ``LANGUAGES`` that by itself comes nearest to ``speaker``."""
        return max(self._native[language], key=lambda voice: self._likeness(voice, speaker))

    def place(self, speaker: Speaker, language: str) -> Placed:
        """The mix for one of ``LANGUAGES`` that is foreseen to be heard nearest to ``speaker`` (10 ms)."""
        single = self.single(speaker, language)
        before = self._likeness(single, speaker)
        melody, pitch, pitch_range = self._moved(speaker.melody, language, single)
        table = self.table(language, self._surrogate.melody(melody).level + pitch * SEMITONE)
        weights = nearest(table, speaker.embedding, RIDGE)
        now = float(unit(weights @ table) @ speaker.embedding) - OPTIMISM
        if now <= before:
            return Placed(Mix.of(single), Similarity(before, before, measured=False))
        mix = Mix(melody, self.timbre(weights), pitch, pitch_range)
        return Placed(mix, Similarity(before, now, measured=False))

    def table(self, language: str, level: float) -> Array:
        """What each voice that is mixed adds to the embedding of a mix [V, 256] (``Surrogate.table``)."""
        return np.asarray(self._surrogate.table(language, level)[self._used])

    def level(self, mix: Mix) -> float:
        """At which log hertz a mix is heard."""
        return self._surrogate.melody(mix.melody).level + mix.pitch * SEMITONE

    def timbre(self, weights: Array) -> tuple[tuple[str, float], ...]:
        """Weights of the voices that are mixed [V], as a ``Mix`` has them."""
        used = [voice for voice, is_used in zip(self._all, self._used, strict=True) if is_used]
        return tuple((voice, float(weight)) for voice, weight in zip(used, weights, strict=True))

    def weights(self, mix: Mix) -> Array:
        """The other way round."""
        timbre = dict(mix.timbre)
        found = np.array([timbre.get(voice, 0.0) for voice in self._all])
        return np.asarray(found[self._used])

    def _likeness(self, voice: str, speaker: Speaker) -> float:
        return float(self._surrogate.alone[self._all.index(voice)] @ speaker.embedding)

    def _moved(self, wanted: Melody | None, language: str, single: str) -> tuple[str, float, float]:
        """Whose melody, how many semitones higher, and how many times as lively."""
        if wanted is None:
            return single, 0.0, 1.0
        known = [voice for voice in _MELODIES[language] if voice in self._native[language]]

        def distance(voice: str) -> float:
            own = self._surrogate.melody(voice)
            livelier = np.log(max(wanted.spread, _LEAST_SPREAD) / own.spread)
            return float(abs(wanted.level - own.level) / SEMITONE + _SPREAD_COSTS * abs(livelier))

        melody = min(known or self._native[language], key=distance)
        own = self._surrogate.melody(melody)
        pitch = float(np.clip((wanted.level - own.level) / SEMITONE, -HIGHEST_PITCH, HIGHEST_PITCH))
        return melody, pitch, float(np.clip(wanted.spread / own.spread, *PITCH_RANGES))


def unit(embedding: Array) -> Array:
    """The same, of length 1."""
    return np.asarray(embedding / np.linalg.norm(embedding), np.float64)
