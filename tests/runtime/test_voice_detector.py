"""Voice detection: a stream gives the same as a recording, however it is cut."""

from __future__ import annotations

import numpy as np
import pytest
import soxr

from kani.core.types import Samples
from kani.engines.espeak.client import EspeakClient
from kani.runtime.voice_detector import CHUNK_SAMPLES, SAMPLE_RATE, VoiceDetector
from tests.support.espeak_audio import audio


@pytest.fixture(scope="module")
def detector() -> VoiceDetector:
    return VoiceDetector()


@pytest.fixture(scope="module")
def speech() -> Samples:
    client = EspeakClient.shared()
    samples = audio(client, "La lluvia golpea los cristales.").astype(np.float32) / 32768
    return np.asarray(soxr.resample(samples, client.sample_rate, SAMPLE_RATE), np.float32)


def test_result_does_not_depend_on_the_pieces(detector: VoiceDetector, speech: Samples) -> None:
    whole = detector.stream().feed(speech)
    stream, pieces = detector.stream(), list[float]()
    at, random = 0, np.random.default_rng(1)
    while at < len(speech):
        length = int(random.integers(1, 3000))
        pieces += stream.feed(speech[at : at + length])
        at += length
    assert len(whole) == len(speech) // CHUNK_SAMPLES
    assert pieces == pytest.approx(whole, abs=1e-3)
    assert max(whole) > 0.9


def test_streams_are_independent(detector: VoiceDetector, speech: Samples) -> None:
    one, other = detector.stream(), detector.stream()
    expected = detector.stream().feed(speech[: 20 * CHUNK_SAMPLES])
    found = list[float]()
    for at in range(0, 20 * CHUNK_SAMPLES, CHUNK_SAMPLES):
        found += one.feed(speech[at : at + CHUNK_SAMPLES])
        other.feed(np.zeros(CHUNK_SAMPLES, np.float32))
    assert found == pytest.approx(expected, abs=1e-3)


def test_recording_gives_the_same_as_a_stream(detector: VoiceDetector, speech: Samples) -> None:
    """An incomplete chunk at the end is left out."""
    found = detector.probabilities(speech)
    assert found.dtype == np.float32
    assert found == pytest.approx(detector.stream().feed(speech))
    assert len(detector.probabilities(speech[: CHUNK_SAMPLES - 1])) == 0
