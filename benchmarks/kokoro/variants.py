"""Sentences decoded in every variant that is compared: the same prosody, the same frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from benchmarks import single_engine
from benchmarks.kokoro_decoder.published_graph import WholeModel
from benchmarks.sentences import ABOUT_4_S, ABOUT_7_S
from kani.core.types import Samples, Voice
from kani.engines.espeak.client import EspeakClient
from kani.engines.kokoro.network import norm_statistics as kokoro_statistics
from kani.engines.kokoro.network import parts_cache
from kani.engines.kokoro.network.norm_recorder import StatisticsRecorder
from kani.engines.kokoro.network.norm_statistics import StatisticsTable
from kani.engines.kokoro.network.onnx_model import FRAME_SAMPLES, SAMPLE_RATE, Array, Stop
from kani.engines.kokoro.network.parts import (
    Features,
    NormAffine,
    NormStatistics,
    PredictedProsody,
    SplitModel,
)
from kani.engines.kokoro.network.recorder_surgery import RecorderSurgery
from kani.engines.kokoro.text.espeak_ipa import phonemizer_for
from kani.engines.kokoro.text.phonemes import split_utterances
from kani.engines.kokoro.timing import voiced_frame_range
from kani.engines.kokoro.voices import Voices
from kani.engines.kokoro.windows import windows
from kani.runtime import weights
from kani.server import settings
from kani.text.languages import primary

WHOLE = "whole, the published graph"
RECORDER = "whole, the cut graph (the recorder)"
EXACT = "windows, the sentence's own statistics"
FIXED = "windows, the voice's mean statistics"
WINDOWS = "windows, as the server speaks"

Plan = Sequence[tuple[int, int]]
"""Windows as frames [first, end), each beginning where the one before it ends."""

LANGUAGES = ("es", "en", "fr")


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """A predicted sentence. symbols, style: the model's input; plan: the server's windows."""

    text: str
    voice: Voice
    symbols: str
    style: Array
    prosody: PredictedProsody
    features: Features
    plan: Plan

    @property
    def seams(self) -> list[int]:
        """Samples at which windows meet, counted from the first one of the windows."""
        return [(first - self.plan[0][0]) * FRAME_SAMPLES for first, _ in self.plan[1:]]

    def spoken(self, samples: Samples) -> Samples:
        """Samples of the whole that the windows cover."""
        return samples[self.plan[0][0] * FRAME_SAMPLES : self.plan[-1][1] * FRAME_SAMPLES]

    def fresh(self) -> Features:
        """The features with a source of their own, which computes what the windows ask for.

        The copied source is never asked: its cache would be copied, too.
        """
        return replace(self.features, source=copy(self.features.source))


@dataclass(frozen=True, slots=True, eq=False)
class DecodedSentence:
    """One sentence, and its samples by variant, of the sounding frames."""

    foreseen: Prediction
    ways: dict[str, Samples]

    @property
    def language(self) -> str:
        """The voice's language without its region."""
        return primary(self.foreseen.voice.language)


class Model:
    """The published file, or another of the same graph, and its parts, driven as by the server."""

    def __init__(self, onnx: bytes, parts: SplitModel) -> None:
        """onnx: the whole graph."""
        self._onnx = onnx
        self._parts = parts
        self._espeak = EspeakClient.shared()
        self.voices = Voices()
        self._statistics = StatisticsTable.shipped([voice.id for voice in self.voices.all])

    @classmethod
    def published(cls) -> Model:
        """The int8 model that the server uses."""
        chosen = settings.load({})
        onnx = weights.load(weights.KOKORO, models_dir=chosen.models_dir, cache_dir=chosen.cache_dir)
        return cls(
            onnx, SplitModel.on_onnxruntime(parts_cache.load(onnx, chosen.cache_dir), single_engine.THREADS)
        )

    @cached_property
    def _whole(self) -> WholeModel:
        return WholeModel(self._onnx, single_engine.THREADS)

    @cached_property
    def _recorder(self) -> StatisticsRecorder:
        return StatisticsRecorder(RecorderSurgery(self._onnx).recorder(), single_engine.THREADS)

    def foresee(self, text: str, voice: Voice) -> Prediction:
        """Predict a sentence of one utterance."""
        say = phonemizer_for(self._espeak, voice.language)
        assert say is not None
        (utterance,) = split_utterances(text, say, ending=".")
        style = self.voices.style(voice.id, len(utterance.symbols))
        prosody = self._parts.predict_prosody(utterance.symbols, style, 1.0, Stop())
        features = self._parts.decode_features(prosody, style, Stop())
        plan = tuple(windows(*voiced_frame_range(prosody)))
        return Prediction(text, voice, utterance.symbols, style, prosody, features, plan)

    def whole(self, foreseen: Prediction) -> Samples:
        """All samples, by the whole graph."""
        return self._whole.render(foreseen.symbols, foreseen.style, 1.0, Stop()).samples

    def recorded(self, foreseen: Prediction) -> tuple[Samples, NormStatistics]:
        """All samples by the recorder, and the norms' statistics."""
        return self._recorder.record(foreseen.fresh(), Stop())

    def expected(self, foreseen: Prediction) -> NormStatistics:
        """The statistics that the server predicts."""
        return self._statistics.predict(foreseen.voice.id, foreseen.prosody, foreseen.features)

    def fixed(self, foreseen: Prediction) -> NormStatistics:
        """The voice's mean statistics."""
        with np.load(
            Path(kokoro_statistics.__file__).parents[1] / "data" / kokoro_statistics.DATA_FILE
        ) as data:
            row = self.voices.all.index(foreseen.voice)
            mean, log_variance = (data[name][row].astype(np.float32) for name in ("mean", "log_variance"))
        channels = (np.newaxis, slice(None), np.newaxis)
        return NormStatistics(mean[channels], np.exp(log_variance)[channels])

    def decode(self, foreseen: Prediction, statistics: NormStatistics, plan: Plan) -> Samples:
        """Samples of the windows of ``plan``."""
        features = foreseen.fresh()
        norms = NormAffine.from_statistics(features, statistics)
        return np.concatenate(
            [self._parts.decode_window(features, norms, first, end, Stop()) for first, end in plan]
        )

    def say(self, text: str, voice: Voice, *, floors: bool) -> DecodedSentence:
        """Decode a sentence whole and in windows; with ``floors`` also in the variants between."""
        foreseen = self.foresee(text, voice)
        ways = {
            WHOLE: foreseen.spoken(self.whole(foreseen)),
            WINDOWS: self.decode(foreseen, self.expected(foreseen), foreseen.plan),
        }
        if floors:
            recorded, seen = self.recorded(foreseen)
            ways[RECORDER] = foreseen.spoken(recorded)
            ways[EXACT] = self.decode(foreseen, seen, foreseen.plan)
            ways[FIXED] = self.decode(foreseen, self.fixed(foreseen), foreseen.plan)
        return DecodedSentence(foreseen, ways)


def sentences_for(voices: Iterable[Voice]) -> list[tuple[str, Voice]]:
    """Sentences es, en and fr, each voice of those languages at least once: 20 a language or more."""
    found = []
    for language in LANGUAGES:
        own = [voice for voice in voices if primary(voice.language) == language]
        texts = [text for pair in zip(ABOUT_4_S[language], ABOUT_7_S[language], strict=True) for text in pair]
        count = max(len(own), len(texts))
        found += list(zip(islice(cycle(texts), count), islice(cycle(own), count), strict=True))
    return found


def seconds(samples: Samples) -> float:
    """Duration of samples at the model's rate."""
    return len(samples) / SAMPLE_RATE
