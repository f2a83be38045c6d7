"""The decoder on LiteRT: curves, features and samples of the packed network."""

from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typing_extensions import override

from kani.core.types import Segment
from kani.engines.kokoro.litert.decoder import LazySource, load_litert_decoder
from kani.engines.kokoro.litert.harmonic_source import HOPS, HarmonicSource, harmonic_phase
from kani.engines.kokoro.litert.packed import CONTEXT_FRAMES, NETWORK, PackedNetwork
from kani.engines.kokoro.network.cores import CorePool
from kani.engines.kokoro.network.decoder_checks import MIN_AGREEMENT_DB, check_speech, load_probe
from kani.engines.kokoro.network.norm_statistics import StatisticsTable
from kani.engines.kokoro.network.onnx_model import FRAME_SAMPLES, Array, Network, Stop, Stopped
from kani.engines.kokoro.network.parts import (
    MIN_VOICED_HZ,
    DecoderUnavailable,
    Features,
    Generator,
    LoadPart,
    SplitModel,
    Window,
)
from kani.engines.kokoro.synthesizer import WindowedSynthesizer
from kani.engines.kokoro.voices import Voices
from tests.support.kokoro import agreement_db, one_utterance
from tests.support.programs import python
from tests.support.sound_measures import log_spectral_distance
from tools.kokoro_pack.calibration.float_generator import FloatGenerator
from tools.kokoro_pack.float_graph import dequantize
from tools.kokoro_pack.onnx_generator import on_onnxruntime
from tools.kokoro_pack.packing.graph_layers import read_layers

LINE = "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n"
PROGRAM = """
import os
from kani.engines.kokoro.litert.model import LINE, without_line

for number in range(2):
    with without_line():
        os.write(2, b"before " + LINE + LINE + b"after\\n")
"""


def test_only_the_line_is_left_out_and_only_once() -> None:
    assert python("-c", PROGRAM).stderr == "before after\n" + "before " + LINE + LINE + "after\n"


@pytest.mark.server
def test_command_that_speaks_writes_its_own_line_only(tmp_path: Path) -> None:
    told = python("-m", "kani", "say", "Hola.", "-o", tmp_path / "a.wav").stderr
    assert told.count("\n") == 1 and "of speech by" in told


TEXT, VOICE, LANGUAGE = "El barco azul salió del puerto muy temprano, sin hacer ruido.", "em_alex", "es"


class Spoken:
    """A sentence with its features, and both decoders."""

    def __init__(self, part: LoadPart, packed: PackedNetwork) -> None:
        self.part, self.packed = part, packed
        self.onnx = on_onnxruntime(part, 2).decoder
        self.model = SplitModel(packed.prosody.content("encoder.onnx"), load_litert_decoder(packed, 2), 2)
        voices = Voices()
        statistics = StatisticsTable.shipped([voice.id for voice in voices.all])
        speaker = WindowedSynthesizer(self.model, voices, statistics)
        self.symbols = one_utterance(TEXT, LANGUAGE).symbols
        self.style = voices.style(VOICE, len(self.symbols))
        prepared = speaker.prepare(self.symbols, Segment(TEXT, VOICE, LANGUAGE), Stop())
        self.prosody, self.features, self.norms = prepared.prosody, prepared.features, prepared.norms
        self.given = self.prosody.asr, self.prosody.pitch, self.prosody.energy, self.style
        self.whole = self.window(0, self.features.frames)

    def window(
        self, first: int, end: int, features: Features | None = None, generator: Generator | None = None
    ) -> Array:
        model = copy(self.model)
        model.decoder = replace(model.decoder, generator=generator or model.decoder.generator)
        return model.decode_window(features or self.features, self.norms, first, end, Stop())


@pytest.fixture(scope="module")
def spoken(part: LoadPart) -> Spoken:
    return Spoken(part, PackedNetwork.open(NETWORK))


def test_audio_is_closer_to_float32_than_published_graph(spoken: Spoken) -> None:
    features = spoken.features
    spectra = features.source.spectra(0, features.frames, Stop())
    window = Window(features.features, spectra, spoken.norms.scale, spoken.norms.shift)
    exact = FloatGenerator(read_layers(spoken.part("generator"))).audio(window)
    onnx = spoken.window(0, features.frames, generator=spoken.onnx.generator)
    assert len(exact) == len(spoken.whole) == features.frames * FRAME_SAMPLES
    litert_db, onnx_db = (log_spectral_distance(samples, exact) for samples in (spoken.whole, onnx))
    assert litert_db < 1.3
    assert litert_db < onnx_db


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_window_has_samples_of_whole(spoken: Spoken, data: st.DataObject) -> None:
    frames = spoken.features.frames
    first = data.draw(st.integers(0, frames - 1))
    end = data.draw(st.integers(first + 1, min(first + 50, frames)))
    np.testing.assert_array_equal(
        spoken.window(first, end), spoken.whole[first * FRAME_SAMPLES : end * FRAME_SAMPLES]
    )


def test_audio_does_not_depend_on_threads(spoken: Spoken) -> None:
    alone = load_litert_decoder(spoken.packed, 1).generator
    edges = [(first, first + 20) for first in range(0, spoken.features.frames - 20, 20)]
    expected = [spoken.window(*edge, generator=alone) for edge in edges]
    with ThreadPoolExecutor(4) as pool:
        windows = list(pool.map(lambda edge: spoken.window(*edge), edges * 2))
    for samples, made in zip(expected * 2, windows, strict=True):
        np.testing.assert_array_equal(made, samples)


def test_curves_are_nearly_the_published_graphs(spoken: Spoken) -> None:
    model = on_onnxruntime(spoken.part, 2)
    litert, onnx = spoken.prosody, model.predict_prosody(spoken.symbols, spoken.style, 1.0, Stop())
    assert np.array_equal(onnx.frames, litert.frames)
    voiced = (litert.pitch > MIN_VOICED_HZ) & (onnx.pitch > MIN_VOICED_HZ)
    cents = 1200 * np.abs(np.log2(litert.pitch[voiced] / onnx.pitch[voiced]))
    assert np.median(cents) <= 2 and np.percentile(cents, 95) <= 10
    apart = np.abs(litert.energy - onnx.energy) / onnx.energy.std()
    assert np.median(apart) <= 0.02 and apart.max() <= 0.2


def test_features_are_closer_to_float32_than_published_graph(spoken: Spoken) -> None:
    exact = Network(dequantize(spoken.part("decoder")), 2)
    inputs = dict(zip(("asr", "pitch", "energy", "style"), spoken.given, strict=True))
    (expected,) = exact.run(inputs, ("features",), Stop())
    onnx = spoken.onnx.feature_decoder.decode(*spoken.given, Stop())
    litert = spoken.model.decoder.feature_decoder.decode(*spoken.given, Stop())
    assert agreement_db(expected, litert.features) > agreement_db(expected, onnx.features) + 1
    assert np.array_equal(litert.gain, onnx.gain) and np.array_equal(litert.bias, onnx.bias)
    spectra, lazy = (features.source.spectra(20, 60, Stop()) for features in (onnx, spoken.features))
    assert np.array_equal(lazy[:, :11], spectra[:, :11])


@pytest.mark.parametrize("frames", [1, 2, 3, 5])
def test_shortest_utterances_are_computed(spoken: Spoken, frames: int) -> None:
    feature_decoder, prosody = spoken.model.decoder.feature_decoder, spoken.prosody
    shared = np.zeros((frames, 1, 512), np.float32)
    pitch, energy = feature_decoder.predict_curves(shared, spoken.style, Stop())
    assert pitch.shape == energy.shape == (1, 2 * frames)
    halves = slice(40, 40 + 2 * frames)
    given = prosody.asr[:, :, 20 : 20 + frames], prosody.pitch[:, halves], prosody.energy[:, halves]
    made = feature_decoder.decode(*given, spoken.style, Stop())
    assert made.features.shape == (1, 512, 2 * frames) and np.isfinite(made.features).all()
    assert spoken.window(0, frames, made).shape == (frames * FRAME_SAMPLES,)


def test_stop_cancels_before_the_next_call(spoken: Spoken) -> None:
    stop, feature_decoder = Stop(), spoken.model.decoder.feature_decoder
    stop.set()
    for call in (
        lambda: feature_decoder.predict_curves(np.zeros((3, 1, 512), np.float32), spoken.style, stop),
        lambda: feature_decoder.decode(*spoken.given, stop),
        lambda: spoken.model.decode_window(spoken.features, spoken.norms, 0, 20, stop),
    ):
        with pytest.raises(Stopped):
            call()
    assert agreement_db(spoken.whole[: 20 * FRAME_SAMPLES], spoken.window(0, 20)) >= 80


class Noisy:
    """The generator with noise beside its speech."""

    context = CONTEXT_FRAMES

    def __init__(self, spoken: Spoken, noise: float) -> None:
        self._generator, self._noise = spoken.model.decoder.generator, noise

    def generate(self, window: Window, stop: Stop) -> Array:
        samples = self._generator.generate(window, stop)
        noise = np.random.default_rng(3).standard_normal(samples.shape)
        return np.asarray(samples + self._noise * samples.std() * noise, np.float32)

    def close(self) -> None:
        """Nothing to end."""


def test_noisy_generator_is_refused(spoken: Spoken) -> None:
    window, audio = load_probe()
    assert check_speech(Noisy(spoken, 0.0), window, audio) >= 20
    with pytest.raises(DecoderUnavailable, match=f"not {MIN_AGREEMENT_DB:.0f}"):
        check_speech(Noisy(spoken, 0.6), window, audio)
    with pytest.raises(DecoderUnavailable, match="no speech"):
        check_speech(Noisy(spoken, float("nan")), window, audio)


class CountingSource(HarmonicSource):
    """Counts the frames that are computed."""

    def __init__(self) -> None:
        super().__init__()
        self.frames = 0

    @override
    def spectra(self, phase: Array, pitch: Array, first: int, end: int) -> Array:
        self.frames += end - first
        return super().spectra(phase, pitch, first, end)


def test_closed_pool_computes_nothing_ahead() -> None:
    assert CorePool(1).ahead is None
    pool = CorePool(2)
    assert pool.ahead is not None
    pool.close()
    with pytest.raises(RuntimeError, match="shutdown"):
        pool.ahead.submit(int)


@pytest.mark.parametrize("helped", [False, True])
def test_frames_of_a_source_are_computed_once_and_ahead_only_of_a_second_window(helped: bool) -> None:
    frames = 100
    pitch = np.full((1, 2 * frames), 200, np.float32)
    whole = HarmonicSource().spectra(harmonic_phase(pitch), pitch, 0, frames)
    with ThreadPoolExecutor(1) as helper:
        source = LazySource(harmonics := CountingSource(), pitch, helper if helped else None)
        asked = [(5, 20), (10, 50), (44, 90), (80, frames), (0, 10)]
        computed = [15, 45 + helped * 32, 85 + helped * 10, 95, 105]
        for (first, end), count in zip(asked, computed, strict=True):
            spectra = source.spectra(first, end, Stop())
            np.testing.assert_array_equal(spectra, whole[:, :, HOPS * first : HOPS * end + 1])
            helper.submit(int).result()
            assert harmonics.frames == count
