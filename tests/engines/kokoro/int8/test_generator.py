"""The fast generator: what it makes of a sentence, whole and in windows, alone and beside others."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.kokoro.measures import log_spectral_distance
from engines.kokoro.int8.convolution import Convolution
from engines.kokoro.int8.loader import load_decoder
from engines.kokoro.network.decoder import Decoder, DecoderUnavailable
from engines.kokoro.network.norm_statistics import StatisticsTable
from engines.kokoro.network.onnx_model import FRAME_SAMPLES, Array, ModelFailed, Stop, Stopped
from engines.kokoro.network.parts import Features, LoadPart, NormAffine, SplitModel
from engines.kokoro.synthesizer import WindowedSynthesizer
from engines.kokoro.voices import Voices
from speech.types import Segment
from tests.support.kokoro import agreement_db, one_utterance

TEXT, VOICE, LANGUAGE = "El barco azul salió del puerto muy temprano, sin hacer ruido.", "em_alex", "es"


class Spoken:
    """A sentence with its features and both decoders."""

    def __init__(self, parts: LoadPart, cache: Path) -> None:
        self.parts, self.cache = parts, cache
        self.model = SplitModel(self.parts, threads=2)
        self.onnx = self.model.decoder
        self.fast = self.loaded(cores=2)
        self.model.decoder = self.fast
        voices = Voices()
        statistics = StatisticsTable([voice.id for voice in voices.all])
        speaker = WindowedSynthesizer(self.model, voices, statistics)
        utterance = one_utterance(TEXT, LANGUAGE)
        segment = Segment(TEXT, VOICE, LANGUAGE)
        prosody, self.features = speaker.predict(utterance.symbols, segment, Stop())
        self.norms = NormAffine.from_statistics(
            self.features, statistics.predict(VOICE, prosody, self.features)
        )
        self.whole = self.window(0, self.features.frames)

    def loaded(self, cores: int) -> Decoder:
        return load_decoder(self.parts, self.cache, cores)

    def window(self, first: int, end: int, features: Features | None = None) -> Array:
        return self.model.decode_window(features or self.features, self.norms, first, end, Stop())


@pytest.fixture(scope="module")
def spoken(part: LoadPart, cache: Path) -> Spoken:
    try:
        return Spoken(part, cache)
    except DecoderUnavailable as unavailable:
        pytest.skip(str(unavailable))


def test_audio_is_closer_to_float32_than_published_graph(spoken: Spoken) -> None:
    import torch

    from engines.kokoro.int8.packing.graph_layers import read_layers
    from engines.kokoro.offline.float_reference import FloatGenerator

    features = spoken.features
    spectra = features.source.spectra(0, features.frames, Stop())
    inputs = (features.features, spectra, spoken.norms.scale, spoken.norms.shift)
    exact = (
        FloatGenerator(read_layers(spoken.parts("generator"))).audio(*map(torch.from_numpy, inputs)).numpy()
    )
    onnx = spoken.window(0, features.frames, replace(features, generator=spoken.onnx.generator))
    assert len(exact) == len(spoken.whole) == features.frames * FRAME_SAMPLES
    fast_db, onnx_db = (log_spectral_distance(samples, exact) for samples in (spoken.whole, onnx))
    assert fast_db < 1.3
    assert fast_db < onnx_db


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_window_has_samples_of_whole(spoken: Spoken, data: st.DataObject) -> None:
    frames = spoken.features.frames
    first = data.draw(st.integers(0, frames - 2))
    end = data.draw(st.integers(first + 2, min(first + 40, frames)))
    np.testing.assert_array_equal(
        spoken.window(first, end), spoken.whole[first * FRAME_SAMPLES : end * FRAME_SAMPLES]
    )


@pytest.mark.parametrize("first", [0, 1, 30, 31])
def test_window_of_one_frame_is_close_to_whole(spoken: Spoken, first: int) -> None:
    whole = spoken.whole[first * FRAME_SAMPLES : (first + 1) * FRAME_SAMPLES]
    assert agreement_db(whole, spoken.window(first, first + 1)) >= 80


def test_audio_does_not_depend_on_threads(spoken: Spoken) -> None:
    alone = replace(spoken.features, generator=spoken.loaded(cores=1).generator)
    edges = [(first, first + 20) for first in range(0, spoken.features.frames - 20, 20)]
    expected = [spoken.window(*edge, alone) for edge in edges]
    for edge, samples in zip(edges, expected, strict=True):
        np.testing.assert_array_equal(spoken.window(*edge), samples)
    with ThreadPoolExecutor(4) as pool:
        windows = list(pool.map(lambda edge: spoken.window(*edge), edges * 2))
    for samples, made in zip(expected * 2, windows, strict=True):
        np.testing.assert_array_equal(made, samples)


def test_stop_cancels_between_layers(spoken: Spoken) -> None:
    stop = Stop()
    stop.set()
    with pytest.raises(Stopped):
        spoken.model.decode_window(spoken.features, spoken.norms, 0, 20, stop)
    assert agreement_db(spoken.whole[: 20 * FRAME_SAMPLES], spoken.window(0, 20)) >= 80


def test_torch_errors_become_model_failed(spoken: Spoken, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("could not execute a primitive")

    with monkeypatch.context() as patched:
        patched.setattr(Convolution, "__call__", fail)
        with pytest.raises(ModelFailed, match="could not execute a primitive"):
            spoken.window(0, 20)
    assert agreement_db(spoken.whole[: 20 * FRAME_SAMPLES], spoken.window(0, 20)) >= 80
