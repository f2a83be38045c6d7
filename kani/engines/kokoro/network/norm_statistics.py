"""Predicts the statistics of the generator's norms, so that a window can be decoded by itself.

Over a whole sentence each norm computes a mean and a variance for each of its channels. They depend mostly on
the voice, so those of each shipped voice are recorded in advance (``tools/kokoro_data/statistics.py``).
Two fifths of a sentence's deviation from them is predicted by a ridge regression on what is known before
decoding: pitch, energy, pauses and the decoder's features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from zipfile import BadZipFile

import numpy as np

from kani.core.errors import EngineUnavailable
from kani.engines.kokoro.network.onnx_model import Array
from kani.engines.kokoro.network.parts import MIN_VOICED_HZ, Features, NormStatistics, PredictedProsody
from kani.engines.kokoro.voices import DATA, VoiceMix, VoiceOrMix

DATA_FILE = "statistics.npz"
ORIGIN_FILE = "statistics.json"

VARIANCE_FLOOR = 1e-5
"""Added to a variance before its logarithm is taken."""

_KEPT_MIXES = 64


@dataclass(frozen=True, slots=True, eq=False)
class VoiceStatistics:
    mean: Array  # of each channel of the norms [C]
    log_variance: Array  # [C]
    sentence: Array  # mean projection of the sentences they were recorded from [K]
    level: float  # power of the loud parts (``timing.speech_level``)
    log_f0: float  # ``parts.log_f0_of``


class StatisticsTable:
    def __init__(
        self,
        own: Callable[[str], VoiceStatistics],
        projection: Array | None = None,
        weights: Array | None = None,
    ) -> None:
        """own: the mean statistics of a voice; projection, weights: of the regression on the utterance,
        None for none.
        """
        self._voice = own
        self._projection, self._weights = projection, weights
        # Thread-safe: two threads that miss at once compute the same value.
        self._cached_mix = lru_cache(_KEPT_MIXES)(self._mix_statistics)

    @classmethod
    def shipped(cls, voices: Sequence[str]) -> StatisticsTable:
        """Read those of the published network.

        voices: ids in the order of the data file's rows. Raises EngineUnavailable if they don't match.
        """
        try:
            # Opened here: np.load leaves a file open that is not an archive.
            with (DATA / DATA_FILE).open("rb") as file, np.load(file) as data:
                projection, weights = data["projection"], data["weights"].astype(np.float32)
                rows = [data[name] for name in ("mean", "log_variance", "sentence", "level", "tone")]
        except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
            raise EngineUnavailable(
                f"Kokoro's statistics are missing or broken: restore kani/engines/kokoro/data/{DATA_FILE} "
                "from the repository"
            ) from error
        if any(len(row) != len(voices) for row in rows):
            raise EngineUnavailable(
                f"Kokoro's {DATA_FILE} and voices.json do not match: restore both from the repository"
            )
        found = dict(zip(voices, (VoiceStatistics(*row) for row in zip(*rows, strict=True)), strict=True))
        return cls(found.__getitem__, projection, weights)

    def predict(self, voice: VoiceOrMix, prosody: PredictedProsody, features: Features) -> NormStatistics:
        own = self._own(voice)
        mean, log_variance = own.mean.astype(np.float32), own.log_variance.astype(np.float32)
        if self._projection is not None and self._weights is not None:
            described = np.asarray(describe_utterance(prosody, features) @ self._projection)
            changes = np.split((described - own.sentence) @ self._weights, 2)
            mean, log_variance = changes[0] + own.mean, changes[1] + own.log_variance
        return NormStatistics(
            mean[np.newaxis, :, np.newaxis], np.exp(log_variance)[np.newaxis, :, np.newaxis]
        )

    def level(self, voice: VoiceOrMix) -> float:
        """Power of the loud parts of a voice or mix."""
        return float(self._own(voice).level)

    def log_f0(self, voice: VoiceOrMix) -> float:
        """Log F0 (log hertz) of a voice, or of a mix before its shift."""
        return float(self._own(voice).log_f0)

    def _own(self, voice: VoiceOrMix) -> VoiceStatistics:
        if isinstance(voice, VoiceMix):
            return self._cached_mix(voice)
        return self._voice(voice)

    def _mix_statistics(self, mix: VoiceMix) -> VoiceStatistics:
        """Weighted sum of the voices' statistics (of levels the logarithms)."""
        parts = [(np.float32(weight), self._voice(voice)) for voice, weight in mix.timbre]
        return VoiceStatistics(
            np.asarray(sum(weight * part.mean for weight, part in parts)),
            np.asarray(sum(weight * part.log_variance for weight, part in parts)),
            np.asarray(sum(weight * part.sentence for weight, part in parts)),
            float(np.exp(sum(weight * np.log(part.level) for weight, part in parts))),
            self._voice(mix.prosody_voice).log_f0,
        )


def describe_utterance(prosody: PredictedProsody, features: Features) -> Array:
    """Regressors [1034] of an utterance: everything known before its audio is decoded.

    Mean and spread of pitch (log hertz) and energy, the shares of voiced, loud and silent frames, the length;
    and each decoder feature's mean and log variance over time.
    """
    pitch = prosody.pitch.ravel()
    voiced = pitch > MIN_VOICED_HZ
    log_f0 = np.log(pitch[voiced]) if voiced.any() else np.zeros(1, np.float32)
    energy = prosody.energy.ravel()
    frames = float(prosody.frames.sum())
    channels = features.features[0]
    scalars = [
        log_f0.mean(),
        log_f0.std(),
        voiced.mean(),
        energy.mean(),
        energy.std(),
        *np.percentile(energy, (10, 90)),
        (energy > energy.mean()).mean(),
        1 / frames,
        (prosody.frames[0] + prosody.frames[-1]) / frames,
    ]
    spread = np.log(channels.var(axis=1) + VARIANCE_FLOOR)
    return np.concatenate([np.array(scalars, np.float32), channels.mean(axis=1), spread])
