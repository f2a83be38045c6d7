"""Speech of the nearest voice's benchmark: single voices, and clones of the held-out speakers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soxr

from benchmarks import single_engine
from benchmarks.sentences import HELD_OUT
from benchmarks.voices.nearest_voice_targets import Target, keep
from kani.core.types import Embedding, Recording, Samples, Segment
from kani.engines.espeak.client import EspeakClient
from kani.engines.kokoro.cloning.nearest_voice import NearestVoice
from kani.engines.kokoro.network import parts_cache
from kani.engines.kokoro.network.norm_statistics import StatisticsTable
from kani.engines.kokoro.network.onnx_model import SAMPLE_RATE, Stop
from kani.engines.kokoro.network.parts import SplitModel
from kani.engines.kokoro.synthesizer import WindowedSynthesizer
from kani.engines.kokoro.text.espeak_ipa import phonemizer_for
from kani.engines.kokoro.text.phonemes import split_utterances
from kani.engines.kokoro.voices import DEFAULT_VOICES, Voices
from kani.runtime import weights
from kani.server import settings
from kani.text.languages import primary

SENTENCES = 2
JUDGED_RATE = 16_000
"""Hertz of recordings and of what was said, as the judge takes them."""

RECORDED, AGAIN, AT_ONCE, REFINED = "recorded", "again", "at once", "refined"
TOLD, SECONDS = "told", "seconds"

_TEN_SECONDS = 10.0


class Model:
    """Kokoro as the server drives it, in one thread."""

    def __init__(self) -> None:
        chosen = settings.load({})
        onnx = weights.load(weights.KOKORO, models_dir=chosen.models_dir, cache_dir=chosen.cache_dir)
        self.voices = Voices()
        statistics = StatisticsTable.shipped([voice.id for voice in self.voices.all])
        parts = SplitModel.on_onnxruntime(parts_cache.load(onnx, chosen.cache_dir), single_engine.THREADS)
        self.speaker = WindowedSynthesizer(parts, self.voices, statistics)
        self._languages = {voice.id: voice.language for voice in self.voices.all}

    def say(self, text: str, voice: str, embedding: Embedding | None = None, language: str = "") -> Samples:
        """Speak one sentence at 24 kHz; language: BCP 47, the voice's own if empty."""
        language = language or self._languages[voice]
        say = phonemizer_for(EspeakClient.shared(), language)
        assert say is not None
        (utterance,) = split_utterances(text, say, ending=".")
        segment = Segment(text, voice, language, embedding=embedding)
        return np.concatenate(
            [piece.samples for piece in self.speaker.synthesize(utterance, segment, Stop())]
        )

    def native(self, language: str) -> list[str]:
        """The voices of a language (a primary subtag)."""
        return [voice for voice, tag in self._languages.items() if primary(tag) == language]


def texts(language: str) -> Sequence[str]:
    """The sentences spoken like a speaker."""
    return HELD_OUT[language][:SENTENCES]


def said_alone(model: Model, folder: Path, language: str) -> None:
    """Sentences of a language by each of its voices unmixed."""
    for voice in model.native(language):
        path = folder / f"{voice}.alone.npz"
        if not path.exists():
            said = {f"{at}": model.say(text, voice) for at, text in enumerate(texts(language))}
            keep(path, said, SAMPLE_RATE)


def said_near(model: Model, folder: Path, target: Target) -> None:
    """A target's recordings, and the sentences spoken like it."""
    path = folder / f"{target.name}.near.npz"
    if path.exists():
        return
    nearest = NearestVoice(model.voices, model.speaker, target.without)
    heard = _ten_seconds(target.recording)
    begun = time.perf_counter()
    first = [one for one in nearest.embed(heard) if one is not None][-1]
    embedded_s = time.perf_counter() - begun
    say = phonemizer_for(EspeakClient.shared(), target.language)
    assert say is not None
    begun = time.perf_counter()
    better = [one for one in nearest.refine(heard, first, target.language, say, Stop()) if one is not None]
    refined_s = time.perf_counter() - begun
    found: dict[str, Samples] = {
        RECORDED: _at_judged_rate(target.recording),
        AGAIN: _at_judged_rate(target.again),
        SECONDS: np.array([embedded_s, refined_s], np.float32),
    }
    for way, embedding in ((AT_ONCE, first), (REFINED, better[-1])):
        similarity = embedding.similarity[target.language]
        found[f"{way} {TOLD}"] = np.array([similarity.before, similarity.now], np.float32)
        for at, text in enumerate(texts(target.language)):
            voice = DEFAULT_VOICES[target.language]
            found[f"{way} {at}"] = model.say(text, voice, embedding, target.language)
    keep(path, found, SAMPLE_RATE)


def _ten_seconds(recording: Recording) -> Recording:
    return Recording(recording.samples[: round(_TEN_SECONDS * recording.sample_rate)], recording.sample_rate)


def _at_judged_rate(recording: Recording) -> Samples:
    return np.asarray(soxr.resample(recording.samples, recording.sample_rate, JUDGED_RATE), np.float32)
