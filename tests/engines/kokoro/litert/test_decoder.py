"""The decoder on LiteRT: its curves, features and samples, whole and in windows, alone and beside others."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.kokoro.measures import log_spectral_distance
from engines.kokoro.litert.decoder import load_litert_decoder
from engines.kokoro.network.decoder import DecoderUnavailable
from engines.kokoro.network.norm_statistics import StatisticsTable
from engines.kokoro.network.onnx_model import FRAME_SAMPLES, Array, Stop, Stopped
from engines.kokoro.network.parts import Features, LoadPart, NormAffine, SplitModel
from engines.kokoro.synthesizer import WindowedSynthesizer
from engines.kokoro.voices import Voices
from speech.types import Segment
from tests.support.kokoro import agreement_db, one_utterance

TEXT, VOICE, LANGUAGE = "El barco azul salió del puerto muy temprano, sin hacer ruido.", "em_alex", "es"


class Spoken:
    """A sentence with its features, and both decoders."""

    def __init__(self, part: LoadPart, cache: Path) -> None:
        self.part, self.cache = part, cache
        self.model = SplitModel(part, threads=2)
        self.onnx = self.model.decoder
        self.model.decoder = load_litert_decoder(part, cache, 2)
        voices = Voices()
        statistics = StatisticsTable([voice.id for voice in voices.all])
        speaker = WindowedSynthesizer(self.model, voices, statistics)
        utterance = one_utterance(TEXT, LANGUAGE)
        self.prosody, self.features = speaker.predict(
            utterance.symbols, Segment(TEXT, VOICE, LANGUAGE), Stop()
        )
        self.norms = NormAffine.from_statistics(
            self.features, statistics.predict(VOICE, self.prosody, self.features)
        )
        self.whole = self.window(0, self.features.frames)

    def window(self, first: int, end: int, features: Features | None = None) -> Array:
        return self.model.decode_window(features or self.features, self.norms, first, end, Stop())


@pytest.fixture(scope="module")
def spoken(part: LoadPart, cache: Path) -> Spoken:
    return Spoken(part, cache)


def test_audio_is_closer_to_float32_than_published_graph(spoken: Spoken) -> None:
    import torch

    from engines.kokoro.int8.packing.graph_layers import read_layers
    from engines.kokoro.offline.float_reference import FloatGenerator

    features = spoken.features
    spectra = features.source.spectra(0, features.frames, Stop())
    inputs = (features.features, spectra, spoken.norms.scale, spoken.norms.shift)
    exact = (
        FloatGenerator(read_layers(spoken.part("generator"))).audio(*map(torch.from_numpy, inputs)).numpy()
    )
    onnx = spoken.window(0, features.frames, replace(features, generator=spoken.onnx.generator))
    assert len(exact) == len(spoken.whole) == features.frames * FRAME_SAMPLES
    litert_db, onnx_db = (log_spectral_distance(samples, exact) for samples in (spoken.whole, onnx))
    assert litert_db < 1.3
    assert litert_db < onnx_db


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_window_has_samples_of_whole(spoken: Spoken, data: st.DataObject) -> None:
    frames = spoken.features.frames
    first = data.draw(st.integers(0, frames - 1))
    end = data.draw(st.integers(first + 1, min(first + 50, frames)))
    np.testing.assert_array_equal(
        spoken.window(first, end), spoken.whole[first * FRAME_SAMPLES : end * FRAME_SAMPLES]
    )


def test_audio_does_not_depend_on_threads(spoken: Spoken) -> None:
    alone = replace(spoken.features, generator=load_litert_decoder(spoken.part, spoken.cache, 1).generator)
    edges = [(first, first + 20) for first in range(0, spoken.features.frames - 20, 20)]
    expected = [spoken.window(*edge, alone) for edge in edges]
    with ThreadPoolExecutor(4) as pool:
        windows = list(pool.map(lambda edge: spoken.window(*edge), edges * 2))
    for samples, made in zip(expected * 2, windows, strict=True):
        np.testing.assert_array_equal(made, samples)


def test_curves_are_nearly_the_published_graphs(spoken: Spoken) -> None:
    voices, symbols = Voices(), one_utterance(TEXT, LANGUAGE).symbols
    style = voices.style(VOICE, len(symbols))
    litert = spoken.prosody
    spoken.model.decoder, kept = spoken.onnx, spoken.model.decoder
    try:
        onnx = spoken.model.predict_prosody(symbols, style, 1.0, Stop())
    finally:
        spoken.model.decoder = kept
    if onnx.pitch.shape != litert.pitch.shape:
        pytest.fail("both have the encoder's durations")
    voiced = (onnx.pitch > 50) & (litert.pitch > 50)
    cents = 1200 * np.abs(np.log2(litert.pitch[voiced] / onnx.pitch[voiced]))
    assert np.median(cents) <= 2
    assert np.median(np.abs(litert.energy - onnx.energy)) <= 0.02


def test_stop_cancels_before_the_next_call(spoken: Spoken) -> None:
    stop = Stop()
    stop.set()
    with pytest.raises(Stopped):
        spoken.model.decode_window(spoken.features, spoken.norms, 0, 20, stop)
    assert agreement_db(spoken.whole[: 20 * FRAME_SAMPLES], spoken.window(0, 20)) >= 80


def test_other_graph_cannot_be_packed(cache: Path, part: LoadPart) -> None:
    with pytest.raises(DecoderUnavailable, match="weights could not be packed"):
        load_litert_decoder(lambda name: b"no graph" if name == "generator" else part(name), cache, 1)
