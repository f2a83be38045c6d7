"""The diarization error rate, on turns whose errors are known."""

import pytest

from benchmarks.recognition.diarization.error import diarization_error
from kani.core.diarization.turns import SpeakerTurn

TRUE = [SpeakerTurn(0.0, 5.0, 0), SpeakerTurn(6.0, 10.0, 1)]


@pytest.mark.parametrize(
    ("found", "missed_s", "false_s", "confused_s"),
    [
        (TRUE, 0.0, 0.0, 0.0),
        ([SpeakerTurn(0.0, 5.0, 1), SpeakerTurn(6.0, 10.0, 0)], 0.0, 0.0, 0.0),  # names do not count
        ([SpeakerTurn(0.2, 4.8, 0), SpeakerTurn(6.2, 10.2, 3)], 0.0, 0.0, 0.0),  # within the collar
        ([SpeakerTurn(0.0, 10.0, 0)], 0.0, 0.5, 3.5),
        ([SpeakerTurn(0.0, 5.0, 0)], 3.5, 0.0, 0.0),
        ([SpeakerTurn(0.0, 5.0, 0), SpeakerTurn(6.0, 8.0, 1), SpeakerTurn(8.0, 10.0, 2)], 0.0, 0.0, 1.75),
        ([], 8.0, 0.0, 0.0),
    ],
)
def test_errors_counted(found: list[SpeakerTurn], missed_s: float, false_s: float, confused_s: float) -> None:
    error = diarization_error(TRUE, found)
    assert error.speech_s == pytest.approx(8.0)
    assert (error.missed_s, error.false_s, error.confused_s) == pytest.approx((missed_s, false_s, confused_s))
    assert error.rate == pytest.approx((missed_s + false_s + confused_s) / 8.0)


def test_recordings_are_added_up_by_their_speech() -> None:
    both = diarization_error(TRUE, TRUE) + diarization_error(TRUE, [])
    assert both.rate == pytest.approx(0.5)
    assert diarization_error([], []).rate == 0.0
