"""The network in parts: all of an utterance's prosody first, then its sound a window at a time.

``graph_surgery`` says what the parts are, and their shapes.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from engines.kokoro.network.decoder import Decoder, Generator, Source, Window
from engines.kokoro.network.onnx_decoder import load_onnx_decoder
from engines.kokoro.network.onnx_model import Array, Network, Stop, encoder_inputs, frame_counts
from speech.types import Samples

MIN_VOICED_HZ = 30.0
"""A pitch curve is above where there is a voice (the network has some hertz where there is none)."""

_EPSILON = 1e-5

LoadPart = Callable[[str], bytes]
"""Gives a part of the graph by its name. Raises EngineUnavailable."""


@dataclass(frozen=True, slots=True, eq=False)
class PredictedProsody:
    """What is said when, for an utterance of n symbols in F frames.

    asr: [1, 512, F]; pitch: hertz, 0 where unvoiced, and energy, both [1, 2F]; frames: int64
    [n + 2], how long each symbol lasts, the pads included; their sum is F; tone: ``tone_of``
    the pitch as the encoder foresaw it.
    """

    asr: Array
    pitch: Array
    energy: Array
    frames: npt.NDArray[np.int64]
    log_f0: float


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """What the sound of an utterance is made of, and who makes it, from its first window to its last.

    features: [1, 512, 2F]; gain, bias: of the norms [1, C, 1].
    """

    features: Array
    gain: Array
    bias: Array
    source: Source
    generator: Generator

    @property
    def frames(self) -> int:
        """F."""
        return int(self.features.shape[2]) // 2


@dataclass(frozen=True, slots=True, eq=False)
class NormStatistics:
    """Mean and variance of what each channel of the generator's norms sees [1, C, 1]."""

    mean: Array
    variance: Array


@dataclass(frozen=True, slots=True, eq=False)
class NormAffine:
    """What the norms become once their statistics are given: scale · x + shift [1, C, 1]."""

    scale: Array
    shift: Array

    @classmethod
    def from_statistics(cls, features: Features, statistics: NormStatistics) -> NormAffine:
        """The norms of an utterance, by the statistics that its sound is taken to have."""
        scale = features.gain / np.sqrt(statistics.variance + np.float32(_EPSILON))
        return cls(scale, features.bias - scale * statistics.mean)


def log_f0_of(pitch: Array) -> float:
    """The log hertz about which a pitch curve moves; that of 100 Hz where nothing is voiced.

    The 60th percentile of what is voiced: the curve dips in consonants that nobody hears a pitch of, and
    what is heard of 20 sentences of four voices has its median 0.2 semitones above it (1.1 above the median).
    """
    voiced = pitch[pitch > MIN_VOICED_HZ]
    return float(np.log(np.percentile(voiced, 60) if len(voiced) else 100.0))


class SplitModel:
    """The parts, loaded; several threads may use them at once. All raise Stopped or ModelFailed."""

    def __init__(self, load: LoadPart, threads: int) -> None:
        """threads: cores that one call may use. Raises ModelFailed, and what ``load`` raises."""
        self._load = load
        self._threads = threads
        self._encoder = Network(load("encoder"), threads)
        self.decoder: Decoder = load_onnx_decoder(load, threads)
        """Makes the sound of what begins from now on; what is being said is said by the one that began it."""

    def with_pinned_decoder(self) -> SplitModel:
        """The same parts, with the decoder of this moment whatever comes."""
        return copy(self)

    @cached_property
    def _recorder(self) -> Network:
        # Only a voice without statistics needs it.
        return Network(self._load("recorder"), self._threads, shrink_arena=True)

    def predict_prosody(self, symbols: str, style: Array, speed: float, stop: Stop) -> PredictedProsody:
        """What ``symbols`` (1–510 of the vocabulary) are in ``style`` [1, 256] at ``speed``."""
        asr, pitch, energy, durations = self._encoder.run(
            encoder_inputs(symbols, style, speed), ("asr", "pitch", "energy", "durations"), stop
        )
        return PredictedProsody(asr, pitch, energy, frame_counts(durations), log_f0_of(pitch))

    def decode_features(self, prosody: PredictedProsody, style: Array, stop: Stop) -> Features:
        """What the generator needs of the whole utterance."""
        decoder = self.decoder
        decoded = decoder.feature_decoder.decode(prosody.asr, prosody.pitch, prosody.energy, style, stop)
        return Features(*decoded, decoder.generator)

    def decode_window(
        self, features: Features, affine: NormAffine, first: int, end: int, stop: Stop
    ) -> Samples:
        """The samples of frames [first, end), the same wherever else the utterance is cut."""
        context = features.generator.context
        begin, until = max(first - context, 0), min(end + context, features.frames)
        window = Window(
            features.features[:, :, 2 * begin : 2 * until],
            features.source.spectra(begin, until, stop),
            affine.scale,
            affine.shift,
            before=first - begin,
            after=until - end,
        )
        return features.generator.generate(window, stop)

    def record(self, features: Features, stop: Stop) -> tuple[Samples, NormStatistics]:
        """All samples at once, by the statistics that they have themselves, and those."""
        inputs = {
            "features": features.features,
            "spectra": features.source.spectra(0, features.frames, stop),
            "gain": features.gain,
            "bias": features.bias,
        }
        audio, mean, variance = self._recorder.run(inputs, ("audio", "mean", "variance"), stop)
        return np.asarray(audio, np.float32), NormStatistics(mean, variance)
