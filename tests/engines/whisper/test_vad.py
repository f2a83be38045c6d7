"""Who speaks when, and how likely a pause is to last."""

from __future__ import annotations

import numpy as np
import pytest

from engines.whisper.vad import CHUNK_S, CHUNK_SAMPLES, SpeechGate, VoiceDetector, pause_probabilities
from speech.types import Samples


def gate_after(*voices: float) -> SpeechGate:
    """A gate that has heard these chunks."""
    gate = SpeechGate()
    for voice in voices:
        gate.feed(voice)
    return gate


def silent_for(seconds: float) -> SpeechGate:
    """A gate that has been silent for at least that long, by less than a chunk more."""
    return gate_after(*[0.9] * 10, *[0.0] * int(np.ceil(seconds / CHUNK_S)))


def test_nobody_has_spoken_at_first() -> None:
    """Every pause is certain then."""
    gate = gate_after(0.1, 0.4, 0.1)
    assert not gate.speaking
    assert pause_probabilities(gate, sentence_ended=True) == (1, 1, 1, 1)


def test_one_loud_chunk_is_no_voice() -> None:
    """Clicks are that short."""
    gate = gate_after(0.1, 0.99, 0.1, 0.99, 0.1)
    assert not gate.speaking
    assert gate.speech_end_s == 0


def test_a_voice_begins_with_the_first_of_two_loud_chunks() -> None:
    """And lasts to the end of the last one."""
    gate = gate_after(0.1, 0.1, 0.6, 0.6)
    assert gate.speaking
    assert gate.onset_s == pytest.approx(2 * CHUNK_S)
    assert gate.speech_end_s == pytest.approx(4 * CHUNK_S)


def test_a_voice_goes_on_while_it_is_faint_and_ends_below_that() -> None:
    """Once it has ended, faint sounds do not begin it again."""
    faint = gate_after(0.6, 0.6, 0.25, 0.25)
    assert faint.speaking
    gone = gate_after(0.6, 0.6, 0.25, 0.19, 0.3, 0.3)
    assert not gone.speaking
    assert gone.speech_end_s == pytest.approx(3 * CHUNK_S)
    assert gone.silence_s == pytest.approx(3 * CHUNK_S)


def test_no_pause_is_likely_while_somebody_speaks() -> None:
    """All are 0."""
    assert pause_probabilities(gate_after(0.9, 0.9), sentence_ended=True) == (0, 0, 0, 0)


@pytest.mark.parametrize(("head", "after_s"), [(0, 0.30), (1, 0.50), (2, 0.70), (3, 1.10)])
def test_each_length_is_likely_from_its_time_on(head: int, after_s: float) -> None:
    """0.6 is reached there, not a chunk before."""
    assert pause_probabilities(silent_for(after_s), sentence_ended=True)[head] >= 0.6
    assert pause_probabilities(silent_for(after_s - 1.01 * CHUNK_S), sentence_ended=True)[head] < 0.6


def test_long_pauses_are_less_likely_in_the_middle_of_a_sentence() -> None:
    """The short ones are as likely as ever."""
    ended, open_ = (pause_probabilities(silent_for(0.8), sentence_ended=ended) for ended in (True, False))
    assert ended[:2] == open_[:2]
    assert ended[2] > 0.6 > open_[2]
    assert ended[3] > open_[3]


def test_probabilities_rise_with_the_silence_and_fall_with_the_length() -> None:
    """For each length, and at any time."""
    pauses = [
        pause_probabilities(silent_for(seconds), sentence_ended=False) for seconds in np.arange(0.1, 3, 0.1)
    ]
    assert all(list(heads) == sorted(heads, reverse=True) for heads in pauses)
    for head in range(4):
        series = [heads[head] for heads in pauses]
        assert series == sorted(series)
        assert series[-1] > 0.99


@pytest.fixture(scope="module")
def detector() -> VoiceDetector:
    """The detector, loaded once."""
    return VoiceDetector()


def test_a_stream_is_heard_the_same_in_whatever_pieces(detector: VoiceDetector, speech: Samples) -> None:
    """Of one sample, or of many chunks."""
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


def test_streams_do_not_hear_each_other(detector: VoiceDetector, speech: Samples) -> None:
    """Each carries its own state."""
    one, other = detector.stream(), detector.stream()
    expected = detector.stream().feed(speech[: 20 * CHUNK_SAMPLES])
    heard = list[float]()
    for at in range(0, 20 * CHUNK_SAMPLES, CHUNK_SAMPLES):
        heard += one.feed(speech[at : at + CHUNK_SAMPLES])
        other.feed(np.zeros(CHUNK_SAMPLES, np.float32))
    assert heard == pytest.approx(expected, abs=1e-3)


def test_a_recording_is_heard_as_a_stream_of_it(detector: VoiceDetector, speech: Samples) -> None:
    """A chunk that is not whole is left out."""
    heard = detector.probabilities(speech)
    assert heard.dtype == np.float32
    assert heard == pytest.approx(detector.stream().feed(speech))
    assert len(detector.probabilities(speech[: CHUNK_SAMPLES - 1])) == 0
