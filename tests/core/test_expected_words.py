"""Limits of expected words, and their text for the recogniser."""

from __future__ import annotations

from kani.core.expected_words import MAX_TEXT, MAX_WORD, MAX_WORDS, as_prompt, fault


def test_words_come_before_the_text_and_the_end_stays() -> None:
    assert as_prompt([]) == "" and as_prompt(["Zandrell", "Tolliwen"]) == "Zandrell, Tolliwen."
    assert as_prompt(["Zandrell"], "Dear all") == "Zandrell. Dear all"
    long = as_prompt(["a" * MAX_WORD] * MAX_WORDS, "Tolliwen")
    assert len(long) == MAX_TEXT and long.endswith(" Tolliwen")


def test_limits_are_named() -> None:
    assert fault(["a" * MAX_WORD] * MAX_WORDS) == ""
    assert fault(["a"] * (MAX_WORDS + 1)) == "too many (at most 1000)"
    assert fault(["a", "a" * (MAX_WORD + 1)]) == "an entry is too long (at most 100 characters)"
