"""Advice on recordings: sentences for people, and the same for programs."""

from __future__ import annotations

from string import Formatter

import pytest

from kani.core.errors import Reason
from kani.core.voices.recording_advice import SENTENCES, advice, reason_of


@pytest.mark.parametrize("code", SENTENCES)
def test_sentence_is_read_back(code: str) -> None:
    names = [name for _, name, _, _ in Formatter().parse(SENTENCES[code]) if name]
    values = dict.fromkeys(names, 2.0)
    assert reason_of(advice(code, **values)) == Reason(code, values)


def test_numbers_are_those_of_the_sentence() -> None:
    assert reason_of(advice("little_speech", seconds=1.26)) == Reason("little_speech", {"seconds": 1.3})
    assert reason_of(advice("clipped", places=12)) == Reason("clipped", {"places": 12.0})


@pytest.mark.parametrize("sentence", ["", "It is rather quiet.", "The room echoes: go home."])
def test_sentence_of_another_version_has_no_code(sentence: str) -> None:
    assert reason_of(sentence) is None
