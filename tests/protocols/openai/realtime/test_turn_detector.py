"""Pauses in which a turn has probably ended."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kani.core.recognizer import Step
from kani.protocols.openai.realtime.session_config import TurnDetection
from kani.protocols.openai.realtime.turn_detector import TurnDetector

SPEECH = Step(0, (0.0, 0.0, 0.0, 0.0), (0.9, 0.9))
SILENCE = Step(1, (0.2, 0.1, 0.1, 0.1), (0.0, 0.0), settled=True)


def paused(silent_steps: int) -> TurnDetector:
    detector = TurnDetector(0.0)
    for step in (SPEECH, *([SILENCE] * silent_steps)):
        detector.feed(step, TurnDetection())
    return detector


@pytest.mark.parametrize(
    ("silent_steps", "last", "text", "probable"),
    [
        (3, SILENCE, "Turn it on.", False),  # 0.19 s
        (4, SILENCE, "Turn it on.", True),
        (4, SPEECH, "Turn it on.", False),  # its words are not all decided
        (4, SILENCE, "Turn it on", False),
        (4, SILENCE, "Turn it on and.", False),
        (4, SILENCE, "", False),
        (4, replace(SILENCE, complete=False, completeness=0.49), "Turn it on.", False),
        (4, replace(SILENCE, complete=False, completeness=0.5), "Turn it on.", True),
        (8, SILENCE, "Turn it on.", False),  # the turn has ended
    ],
)
def test_pause_in_which_a_turn_has_probably_ended(
    silent_steps: int, last: Step, text: str, probable: bool
) -> None:
    assert paused(silent_steps).probably_ended(last, text.split(), "en") is probable


def test_speech_goes_on() -> None:
    detector = paused(4)
    assert not detector.speaking
    detector.feed(SPEECH, TurnDetection())
    assert detector.speaking and not detector.probably_ended(SPEECH, ["on."], "en")
