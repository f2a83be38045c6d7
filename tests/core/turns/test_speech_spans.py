"""Times of speech by the probabilities of a voice."""

import pytest

from kani.core.recognizer import VOICE_CHUNK_S
from kani.core.turns.speech_spans import speech_spans


def test_cut_loses_no_speech_that_is_just_below_the_threshold() -> None:
    voices = [0.9, *[0.4] * 5, 0.1]
    longest_s = 3 * VOICE_CHUNK_S
    spans = speech_spans(voices, 0.5, 0.35, 0.0, 0.0, longest_s, 0.0)
    assert spans == [pytest.approx((0, longest_s)), pytest.approx((longest_s, 2 * longest_s))]
