"""Voice detection, and the probability that a pause lasts."""

from __future__ import annotations

import numpy as np
import pytest
import soxr

from kani.core.types import Samples
from kani.engines.espeak.client import EspeakClient
from kani.runtime.voice_detector import (
    CHUNK_S,
    CHUNK_SAMPLES,
    SAMPLE_RATE,
    SpeechGate,
    VoiceDetector,
    pause_probabilities,
)
from tests.support.espeak_audio import audio


def gate_after(*voices: float) -> SpeechGate:
    """A gate that was fed these probabilities of a voice."""
    gate = SpeechGate()
    for voice in voices:
        gate.feed(voice)
    return gate


def silent_for(seconds: float) -> SpeechGate:
    """A gate with speech and then silence of ``seconds``, rounded up to a chunk."""
    return gate_after(*[0.9] * 10, *[0.0] * int(np.ceil(seconds / CHUNK_S)))


def test_every_pause_is_certain_before_speech() -> None:
    gate = gate_after(0.1, 0.4, 0.1)
    assert not gate.speaking
    assert pause_probabilities(gate, sentence_ended=True) == (1, 1, 1, 1)


def test_click_is_no_speech() -> None:
    gate = gate_after(0.1, 0.99, 0.1, 0.99, 0.1)
    assert not gate.speaking
    assert gate.speech_end_s == 0


def test_speech_begins_with_the_first_of_two_loud_chunks() -> None:
    gate = gate_after(0.1, 0.1, 0.6, 0.6)
    assert gate.speaking
    assert gate.onset_s == pytest.approx(2 * CHUNK_S)
    assert gate.speech_end_s == pytest.approx(4 * CHUNK_S)


def test_faint_chunks_continue_speech_but_do_not_begin_it() -> None:
    assert gate_after(0.6, 0.6, 0.25, 0.25).speaking
    ended = gate_after(0.6, 0.6, 0.25, 0.19, 0.3, 0.3)
    assert not ended.speaking
    assert ended.speech_end_s == pytest.approx(3 * CHUNK_S)
    assert ended.silence_s == pytest.approx(3 * CHUNK_S)


def test_no_pause_is_likely_during_speech() -> None:
    assert pause_probabilities(gate_after(0.9, 0.9), sentence_ended=True) == (0, 0, 0, 0)


@pytest.mark.parametrize(("length", "after_s"), [(0, 0.30), (1, 0.50), (2, 0.70), (3, 1.10)])
def test_pause_becomes_likely_after_its_silence(length: int, after_s: float) -> None:
    early, late = (
        pause_probabilities(silent_for(seconds), sentence_ended=True)[length]
        for seconds in (after_s - 1.01 * CHUNK_S, after_s)
    )
    assert early < 0.6 <= late


def test_long_pauses_are_less_likely_inside_a_sentence() -> None:
    ended, inside = (pause_probabilities(silent_for(0.8), sentence_ended=ended) for ended in (True, False))
    assert ended[:2] == inside[:2]
    assert ended[2] > 0.6 > inside[2]
    assert ended[3] > inside[3]


def test_probabilities_rise_with_the_silence_and_fall_with_the_length() -> None:
    rows = np.array(
        [pause_probabilities(silent_for(seconds), sentence_ended=False) for seconds in np.arange(0.1, 3, 0.1)]
    )
    assert np.all(np.diff(rows, axis=1) <= 0) and np.all(np.diff(rows, axis=0) >= 0)
    assert rows[-1].min() > 0.99


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
