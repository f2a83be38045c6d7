"""Speech that the judge has to understand."""

from __future__ import annotations

from kani.core.types import Samples
from tests.judges.judge import hear, word_error_rate

WRONG_AT_MOST = 0.05
"""Of all words; two of 40: the judge hears "del aeropuerto" as "de la aeropuerto"."""


def assert_understood(
    samples: Samples, rate: int, text: str, language: str, wrong_at_most: float = WRONG_AT_MOST
) -> None:
    heard = hear(samples, rate, language)
    assert word_error_rate(text, heard, language) <= wrong_at_most, heard
