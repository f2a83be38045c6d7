"""Where speech is, and the probability that a pause lasts."""

from __future__ import annotations

import numpy as np
import pytest

from kani.core.recognizer import VOICE_CHUNK_S
from kani.core.turns.speech_gate import SpeechGate, pause_probabilities


def gate_after(*voices: float) -> SpeechGate:
    """A gate that was fed these probabilities of a voice."""
    gate = SpeechGate()
    for voice in voices:
        gate.feed(voice)
    return gate


def silent_for(seconds: float) -> SpeechGate:
    """A gate with speech and then silence of ``seconds``, rounded up to a chunk."""
    return gate_after(*[0.9] * 10, *[0.0] * int(np.ceil(seconds / VOICE_CHUNK_S)))


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
    assert gate.onset_s == pytest.approx(2 * VOICE_CHUNK_S)
    assert gate.speech_end_s == pytest.approx(4 * VOICE_CHUNK_S)


def test_faint_chunks_continue_speech_but_do_not_begin_it() -> None:
    assert gate_after(0.6, 0.6, 0.25, 0.25).speaking
    ended = gate_after(0.6, 0.6, 0.25, 0.19, 0.3, 0.3)
    assert not ended.speaking
    assert ended.speech_end_s == pytest.approx(3 * VOICE_CHUNK_S)
    assert ended.silence_s == pytest.approx(3 * VOICE_CHUNK_S)


def test_no_pause_is_likely_during_speech() -> None:
    assert pause_probabilities(gate_after(0.9, 0.9), sentence_ended=True) == (0, 0, 0, 0)


@pytest.mark.parametrize(("length", "after_s"), [(0, 0.30), (1, 0.50), (2, 0.70), (3, 1.10)])
def test_pause_becomes_likely_after_its_silence(length: int, after_s: float) -> None:
    early, late = (
        pause_probabilities(silent_for(seconds), sentence_ended=True)[length]
        for seconds in (after_s - 1.01 * VOICE_CHUNK_S, after_s)
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
