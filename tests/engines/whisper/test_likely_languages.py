"""``kani.engines.whisper.likely_languages``: which languages are tried where none is given."""

import math

import pytest

from kani.engines.whisper.likely_languages import LikelyLanguages

SHORT = {"it": 0.6, "es": 0.2, "gl": 0.05, "en": 0.15}
"""Likelihoods of a short Spanish utterance."""


@pytest.mark.parametrize(
    ("server", "candidates", "expected", "first"),
    [
        (None, (), None, "it"),
        ("es", (), None, "es"),
        ("en", (), None, "en"),
        (None, (), "es", "es"),
        ("es", (), "en", "en"),  # of the speech before
        ("es", ("it", "gl"), None, "it"),  # the client knows better
        (None, ("es", "en"), None, "es"),
    ],
)
def test_what_is_usual_counts(
    server: str | None, candidates: tuple[str, ...], expected: str | None, first: str
) -> None:
    scores = {language: math.log(likely) for language, likely in SHORT.items()}
    found = LikelyLanguages([*SHORT], server).of(scores, candidates, expected)
    assert found[0][0] == first
    assert [likely for _, likely in found] == sorted((likely for _, likely in found), reverse=True)
    assert {language for language, _ in found} <= set(candidates or SHORT)
