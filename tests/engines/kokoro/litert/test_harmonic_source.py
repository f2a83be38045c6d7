"""The harmonic source: its spectra are the published graph's, whatever the window."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kani.engines.kokoro.litert.harmonic_source import HarmonicSource, harmonic_phase
from kani.engines.kokoro.network.onnx_model import Array, Network, Stop
from kani.engines.kokoro.network.parts import LoadPart

BINS, HOPS = 11, 120
"""Bins of a spectrum; spectra of a frame."""


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


# Turns of 14 and more reach the angles that are reduced exactly.
@pytest.mark.parametrize(("frames", "turned"), [(1, 0.0), (120, 0.0), (40, 13.0), (40, 14.0), (40, 200.0)])
def test_spectra_equal_graph(graph: Network, frames: int, turned: float) -> None:
    phase, pitch = spoken(frames, turned)
    (expected,) = graph.run({"phase": phase, "pitch": pitch}, ("spectra",), Stop())
    made = HarmonicSource().spectra(phase, pitch, 0, frames)
    assert made.shape == (1, 2 * BINS, HOPS * frames + 1)
    assert np.array_equal(made[:, :BINS], expected[:, :BINS])
    assert np.abs(made[:, BINS:] - expected[:, BINS:]).max() <= 1e-6


@settings(max_examples=30)
@given(data=st.data())
def test_frames_do_not_depend_on_window(data: st.DataObject) -> None:
    frames = 30
    phase, pitch = spoken(frames)
    source = HarmonicSource()
    first = data.draw(st.integers(0, frames - 1))
    end = data.draw(st.integers(first + 1, frames))
    whole = source.spectra(phase, pitch, 0, frames)
    np.testing.assert_array_equal(
        source.spectra(phase, pitch, first, end), whole[..., HOPS * first : HOPS * end + 1]
    )


def test_silence_is_the_same_in_each_frame() -> None:
    frames = 3
    silent = np.zeros((1, 2 * frames), np.float32)
    made = HarmonicSource().spectra(harmonic_phase(silent), silent, 0, frames)
    np.testing.assert_array_equal(made, np.broadcast_to(made[..., :1], made.shape))
