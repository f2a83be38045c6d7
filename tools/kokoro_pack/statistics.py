"""Records the statistics of the generator's norms while a voice speaks (``network.norm_statistics``)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kani.core.types import Samples
from kani.engines.kokoro.network.norm_statistics import VARIANCE_FLOOR, VoiceStatistics
from kani.engines.kokoro.network.onnx_model import Array, ModelFailed, Network, Stop
from kani.engines.kokoro.network.parts import Features, NormStatistics, SplitModel
from kani.engines.kokoro.timing import speech_level


class StatisticsRecorder:
    """Decodes whole utterances by the graph's own norms, and records the statistics that these found."""

    def __init__(self, onnx: bytes, threads: int) -> None:
        """onnx: ``graph_surgery``'s recorder; threads: cores for one call. Raises ModelFailed."""
        self._network = Network(onnx, threads, shrink_arena=True)

    def record(self, features: Features, stop: Stop) -> tuple[Samples, NormStatistics]:
        """Decode the utterance; returns its samples and its statistics. Raises Stopped or ModelFailed."""
        inputs: dict[str, Array] = {
            "features": features.features,
            "spectra": features.source.spectra(0, features.frames, stop),
            "gain": features.gain,
            "bias": features.bias,
        }
        audio, mean, variance = self._network.run(inputs, ("audio", "mean", "variance"), stop)
        return np.asarray(audio, np.float32), NormStatistics(mean, variance)


def record_voice(
    model: SplitModel, recorder: StatisticsRecorder, styled: Sequence[tuple[str, Array]]
) -> VoiceStatistics:
    """Return the statistics of a voice that speaks some short texts, each its symbols and a style [1, 256].

    There is no regression on the sentence, as two texts are too few for one. Raises ModelFailed.
    """
    stop = Stop()
    seen: list[Array] = []
    levels, tones = [], []
    for symbols, style in styled:
        prosody = model.predict_prosody(symbols, style, 1.0, stop)
        samples, found = recorder.record(model.decode_features(prosody, style, stop), stop)
        log_variance = np.log(found.variance.ravel() + VARIANCE_FLOOR)
        seen.append(np.stack([found.mean.ravel(), log_variance]))
        levels.append(speech_level(samples))
        tones.append(prosody.log_f0)
    average = np.asarray(np.mean(seen, axis=0), np.float32)
    if not np.isfinite(average).all():
        raise ModelFailed("the network gives no speech")
    none = np.zeros(0, np.float32)
    mean, log_variance = average
    return VoiceStatistics(mean, log_variance, none, float(np.mean(levels)), float(np.mean(tones)))
