"""The words of a text that grows, and their times in audio without the silence around it."""

from __future__ import annotations

import numpy as np
import pytest

from kani.core.types import Span
from kani.engines.kyutai.speech.script import Script, TimedSpeech, words

TEXT = "Well, it’s (only) one:two — three."


def test_words_are_those_of_the_package() -> None:
    found = words(TEXT)
    assert [word.written for word in found] == ["Well,", "it's", "only", "one", "two", "—", "three."]
    assert [TEXT[word.start : word.end] for word in found][1:4] == ["it’s", "(only)", "one"]
    assert not words(" ( : ) ")


@pytest.mark.parametrize("step", [1, 2, 5, 100])
def test_growing_text_has_the_same_words(step: int) -> None:
    script, taken = Script(), []
    for end in range(0, len(TEXT), step):
        taken += script.take(TEXT[:end], complete=False)
    taken += script.take(TEXT, complete=True)
    assert taken == script.words == words(TEXT)


def test_spans_follow_the_frames_that_words_begin_with() -> None:
    """Two silent frames at the beginning, but for 50 ms of them, are not played."""
    script, steps = Script(), [1, 2]
    script.take("one two three", complete=True)
    speech = TimedSpeech(24_000, script, lambda: steps)
    silent, loud = np.zeros(1920, np.float32), np.full(1920, 0.5, np.float32)
    for frame in (silent, silent):
        assert not len(speech.feed(frame)[0])
    audio, spans = speech.feed(loud)
    assert len(audio) == 1920 + 1200 and spans == (Span(0, 3, 0.0, pytest.approx(0.05)),)
    steps.append(4)
    speech.feed(loud)
    _, spans = speech.feed(loud)
    assert spans == (Span(4, 7, pytest.approx(0.05), pytest.approx(0.21)),)
    rest, spans = speech.finish()
    assert not len(rest) and spans == (Span(8, 13, pytest.approx(0.21), pytest.approx(0.29)),)
