"""Machines that do not support the int8 decoder, and the packed weights."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engines.kokoro.int8 import compatibility
from engines.kokoro.int8.convolution import Convolution
from engines.kokoro.int8.loader import load_decoder
from engines.kokoro.int8.packing.weights import load_generator_weights, quantise_weight
from engines.kokoro.network.decoder import DecoderUnavailable, Window
from engines.kokoro.network.decoder_checks import MIN_AGREEMENT_DB, check_speech
from engines.kokoro.network.onnx_decoder import OnnxGenerator
from engines.kokoro.network.onnx_model import Stop
from engines.kokoro.network.parts import LoadPart

Break = Callable[[pytest.MonkeyPatch], None]


@pytest.fixture(scope="module")
def generator(part: LoadPart) -> bytes:
    return part("generator")


def without(library: str) -> Break:
    return lambda patch: patch.setitem(sys.modules, library, None)


def without_operators(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(torch.ops, "onednn", torch._ops._OpNamespace("none"))


def on_other_processor(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")


def saturating(patch: pytest.MonkeyPatch) -> None:
    convolve = Convolution.__call__
    # As where two products exceed 16 bits.
    patch.setattr(Convolution, "__call__", lambda self, levels: np.minimum(convolve(self, levels), 1_000_000))


def refusing(patch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("could not create a primitive\nmore of it")

    patch.setattr(Convolution, "__call__", refuse)


@pytest.mark.parametrize(
    ("break_machine", "reason"),
    [
        (without("torch"), "torch"),
        (without("numba"), "numba"),
        (without_operators, r"has no operator onednn\.qconv_prepack"),
        (on_other_processor, "AVX2.*DEFAULT"),
        (saturating, "wrong int8 convolutions"),
        (refusing, "cannot convolve in int8: could not create a primitive$"),
    ],
)
def test_unsupported_machine_is_reported(
    cache: Path, part: LoadPart, monkeypatch: pytest.MonkeyPatch, break_machine: Break, reason: str
) -> None:
    break_machine(monkeypatch)
    with pytest.raises(DecoderUnavailable, match=reason):
        load_decoder(part, cache, 1)


def test_noisy_generator_is_refused(cache: Path, generator: bytes) -> None:
    class Noisy(OnnxGenerator):
        def generate(self, window: Window, stop: Stop) -> Any:
            made = super().generate(window, stop)
            return made + np.random.default_rng(0).normal(0, made.std(), made.shape).astype(np.float32)

    assert check_speech(OnnxGenerator(generator, 1)) > MIN_AGREEMENT_DB
    with pytest.raises(DecoderUnavailable, match="dB from float32's"):
        check_speech(Noisy(generator, 1))


def test_other_graph_cannot_be_packed(cache: Path, part: LoadPart) -> None:
    with pytest.raises(DecoderUnavailable, match="weights could not be packed"):
        load_decoder(lambda name: b"no graph" if name == "generator" else part(name), cache, 1)


@pytest.mark.parametrize("pairs", [True, False])
def test_weights_are_packed_once(
    cache: Path, generator: bytes, caplog: pytest.LogCaptureFixture, pairs: bool
) -> None:
    with load_generator_weights(generator, cache, pairs=pairs) as packed:
        first = dict(packed)
    caplog.clear()
    with caplog.at_level("INFO"), load_generator_weights(generator, cache, pairs=pairs) as packed:
        second = dict(packed)
    assert not caplog.text
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])
    most = 0
    for name, array in first.items():
        if name.endswith(".levels"):
            magnitude = np.abs(array.astype(np.int16))
            most = max(most, int((magnitude[:, 0::2] + magnitude[:, 1::2]).max()))
    assert (most <= 128) == pairs


def test_levels_are_within_half_a_step_of_weights() -> None:
    weight = np.random.default_rng(0).standard_normal((8, 6, 3)).astype(np.float32)
    for pairs in (True, False):
        levels, scale = quantise_weight(weight, pairs)
        assert np.abs(levels * scale[:, None, None] - weight).max() <= scale.max() * 0.501
        assert np.abs(levels.astype(int)).max() <= 127


def test_convolution_of_largest_levels_is_exact() -> None:
    pairs = compatibility.saturates_pairs()
    most = 64 if pairs else 127
    weights_ = np.full((16, 32, 5), most, np.int8)
    weights_[8:] *= -1
    one, none = np.ones(16, np.float32), np.zeros(16, np.float32)
    made = Convolution(weights_, one, none)(np.full((1, 9, 32), 255, np.uint8))
    assert made.shape == (1, 5, 16)
    assert (made[..., :8] == 255 * most * 32 * 5).all() and (made[..., 8:] == -255 * most * 32 * 5).all()
