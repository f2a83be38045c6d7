"""Kokoro's sentences, decoded in every way that is compared: the same prosody, the same frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from benchmarks import alone
from benchmarks.sentences import ABOUT_4_S, ABOUT_7_S
from engines import weights
from engines.espeak.client import EspeakLibrary
from engines.kokoro.network import norm_statistics as kokoro_statistics
from engines.kokoro.network import parts_cache
from engines.kokoro.network.norm_statistics import Statistics
from engines.kokoro.network.onnx_model import FRAME, SAMPLE_RATE, Array, Stop, WholeModel
from engines.kokoro.network.parts import Affine, Features, NormStatistics, PartedModel, Prosody
from engines.kokoro.synthesizer import spoken_frames
from engines.kokoro.text.espeak_ipa import sayer
from engines.kokoro.text.phonemes import utterances
from engines.kokoro.voices import Voices
from engines.kokoro.windows import windows
from server import settings
from speech.text.languages import primary
from speech.types import Samples, Voice

WHOLE = "whole, the published graph"
RECORDER = "whole, the cut graph (the recorder)"
EXACT = "windows, the sentence's own statistics"
FIXED = "windows, the voice's mean statistics"
WINDOWS = "windows, as the server speaks"

Plan = Sequence[tuple[int, int]]
"""Windows as frames [first, end), each beginning where the one before it ends."""

LANGUAGES = ("es", "en", "fr")


@dataclass(frozen=True, slots=True, eq=False)
class Foreseen:
    """One sentence before its sound. symbols, style: as the model takes them; plan: the server's."""

    text: str
    voice: Voice
    symbols: str
    style: Array
    prosody: Prosody
    features: Features
    plan: Plan

    @property
    def seams(self) -> list[int]:
        """Where windows meet: samples, counted from the first one that is spoken."""
        return [(first - self.plan[0][0]) * FRAME for first, _ in self.plan[1:]]

    def spoken(self, samples: Samples) -> Samples:
        """What of the whole's samples the windows are of."""
        return samples[self.plan[0][0] * FRAME : self.plan[-1][1] * FRAME]

    def fresh(self) -> Features:
        """The features, with a source of their own, which is made as windows ask for it.

        The copied one is never asked: what it had made would be copied, too.
        """
        return replace(self.features, source=copy(self.features.source))


@dataclass(frozen=True, slots=True, eq=False)
class Saying:
    """One sentence, and its samples by the way they were decoded, of the frames that are spoken."""

    foreseen: Foreseen
    ways: dict[str, Samples]

    @property
    def language(self) -> str:
        """The voice's language without its region."""
        return primary(self.foreseen.voice.language)


class Model:
    """The published file, or another of the same graph, and its parts, as the server drives them."""

    def __init__(self, onnx: bytes, parts: PartedModel) -> None:
        """onnx: the whole graph."""
        self._onnx = onnx
        self._parts = parts
        self._espeak = EspeakLibrary.shared()
        self.voices = Voices()
        self._statistics = Statistics([voice.id for voice in self.voices.all])

    @classmethod
    def published(cls) -> Model:
        """The int8 model that the server speaks with."""
        chosen = settings.load({})
        onnx = weights.load(weights.KOKORO, models_dir=chosen.models_dir, cache_dir=chosen.cache_dir)
        return cls(onnx, PartedModel(parts_cache.load(onnx, chosen.cache_dir), alone.THREADS))

    @cached_property
    def _whole(self) -> WholeModel:
        return WholeModel(self._onnx, alone.THREADS)

    def foresee(self, text: str, voice: Voice) -> Foreseen:
        """All that is known of a sentence of one utterance before its sound."""
        say = sayer(self._espeak, voice.language)
        assert say is not None
        (utterance,) = utterances(text, say, ending=".")
        style = self.voices.style(voice.id, len(utterance.symbols))
        prosody = self._parts.prosody(utterance.symbols, style, 1.0, Stop())
        features = self._parts.features(prosody, style, Stop())
        plan = tuple(windows(*spoken_frames(prosody)))
        return Foreseen(text, voice, utterance.symbols, style, prosody, features, plan)

    def whole(self, foreseen: Foreseen) -> Samples:
        """All samples, by the whole graph."""
        return self._whole.render(foreseen.symbols, foreseen.style, 1.0, Stop()).samples

    def recorded(self, foreseen: Foreseen) -> tuple[Samples, NormStatistics]:
        """All samples by the recorder, and the statistics that the norms found."""
        return self._parts.recorded(foreseen.fresh(), Stop())

    def expected(self, foreseen: Foreseen) -> NormStatistics:
        """The statistics that the server expects."""
        return self._statistics.expected(foreseen.voice.id, foreseen.prosody, foreseen.features)

    def fixed(self, foreseen: Foreseen) -> NormStatistics:
        """The voice's own statistics, whatever it says."""
        with np.load(
            Path(kokoro_statistics.__file__).parents[1] / "data" / kokoro_statistics.DATA_FILE
        ) as data:
            row = self.voices.all.index(foreseen.voice)
            mean, log_variance = (data[name][row].astype(np.float32) for name in ("mean", "log_variance"))
        channels = (np.newaxis, slice(None), np.newaxis)
        return NormStatistics(mean[channels], np.exp(log_variance)[channels])

    def decoded(self, foreseen: Foreseen, statistics: NormStatistics, plan: Plan) -> Samples:
        """The samples of the windows of ``plan``."""
        features = foreseen.fresh()
        norms = Affine.of(features, statistics)
        return np.concatenate(
            [self._parts.window(features, norms, first, end, Stop()) for first, end in plan]
        )

    def say(self, text: str, voice: Voice, *, floors: bool) -> Saying:
        """A sentence whole and in windows; with ``floors`` in the ways between as well."""
        foreseen = self.foresee(text, voice)
        ways = {
            WHOLE: foreseen.spoken(self.whole(foreseen)),
            WINDOWS: self.decoded(foreseen, self.expected(foreseen), foreseen.plan),
        }
        if floors:
            recorded, seen = self.recorded(foreseen)
            ways[RECORDER] = foreseen.spoken(recorded)
            ways[EXACT] = self.decoded(foreseen, seen, foreseen.plan)
            ways[FIXED] = self.decoded(foreseen, self.fixed(foreseen), foreseen.plan)
        return Saying(foreseen, ways)


def to_say(voices: Iterable[Voice]) -> list[tuple[str, Voice]]:
    """Sentences es, en and fr, each voice of those languages at least once: 20 a language or more."""
    found = []
    for language in LANGUAGES:
        own = [voice for voice in voices if primary(voice.language) == language]
        texts = [text for pair in zip(ABOUT_4_S[language], ABOUT_7_S[language], strict=True) for text in pair]
        count = max(len(own), len(texts))
        found += list(zip(islice(cycle(texts), count), islice(cycle(own), count), strict=True))
    return found


def seconds(samples: Samples) -> float:
    """The length of samples as the model makes them."""
    return len(samples) / SAMPLE_RATE
