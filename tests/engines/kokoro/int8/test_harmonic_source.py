"""The harmonic source equals the published graph's, for any frames."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.kokoro.int8.harmonic_source import HarmonicSource
from engines.kokoro.network.decoder import DecoderUnavailable
from engines.kokoro.network.decoder_checks import check_source
from engines.kokoro.network.onnx_model import Array, Network, Stop
from engines.kokoro.network.parts import LoadPart

BINS = 11
HOPS = 120
"""Of a frame."""


@pytest.fixture(scope="module")
def graph(part: LoadPart) -> Network:
    return Network(part("source"), 1)


def spoken(frames: int, turned: float = 0.0) -> tuple[Array, Array]:
    halves = 2 * frames
    pitch = (180 + 90 * np.sin(np.arange(halves) / 7)).astype(np.float32)
    pitch[: halves // 8] = 0
    pitch[halves // 2 : halves // 2 + 9] = 4
    cycles = pitch[:, np.newaxis] * np.arange(1, 10) / 24_000 % 1
    return (turned + np.cumsum(cycles, axis=0)).astype(np.float32)[np.newaxis], pitch[np.newaxis]


@pytest.mark.parametrize(("frames", "turned"), [(1, 0.0), (120, 0.0), (40, 13.0), (40, 14.0), (40, 200.0)])
def test_spectra_equal_graph(graph: Network, frames: int, turned: float) -> None:
    phase, pitch = spoken(frames, turned)
    (expected,) = graph.run({"phase": phase, "pitch": pitch}, ("spectra",), Stop())
    made = HarmonicSource().spectra(phase, pitch, 0, frames)
    assert made.shape == (1, 2 * BINS, HOPS * frames + 1)
    assert np.array_equal(made[:, :BINS], expected[:, :BINS])
    assert np.abs(made[:, BINS:] - expected[:, BINS:]).max() <= 1e-6


def test_transform_is_dft_under_hann_window() -> None:
    made = HarmonicSource().spectra(np.zeros((1, 20, 9), np.float32), np.zeros((1, 20), np.float32), 0, 10)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(20) / 20)
    expected = np.abs(np.fft.rfft(window * np.tanh(-0.02945026)))
    assert np.abs(made[0, :BINS] - expected[:, np.newaxis]).max() <= 1e-6


@settings(deadline=None)
@given(data=st.data())
def test_frames_do_not_depend_on_window(data: st.DataObject) -> None:
    frames = 30
    phase, pitch = spoken(frames)
    source = HarmonicSource()
    first = data.draw(st.integers(0, frames - 1))
    end = data.draw(st.integers(first + 1, frames))
    whole = source.spectra(phase, pitch, 0, frames)
    window = source.spectra(phase, pitch, first, end)
    assert np.array_equal(window, whole[:, :, HOPS * first : HOPS * end + 1])


class OtherwiseRounded(HarmonicSource):
    """Phases shifted by a thousandth."""

    def spectra(self, phase: Array, pitch: Array, first: int, end: int) -> Array:
        made = super().spectra(phase, pitch, first, end)
        made[:, BINS:] += np.float32(1e-3)
        return made


def test_differently_rounded_source_is_refused(graph: Network) -> None:
    check_source(HarmonicSource(), graph)
    with pytest.raises(DecoderUnavailable, match="rounded otherwise"):
        check_source(OtherwiseRounded(), graph)
