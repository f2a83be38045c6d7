"""Agreement of two passes on words."""

from __future__ import annotations

import pytest

from kani.runtime.recognition.local_agreement import HypothesisWord, agreed_count
from kani.runtime.transcript import ends_sentence


def words(text: str) -> list[HypothesisWord]:
    return [HypothesisWord(word, (number,)) for number, word in enumerate(text.split())]


@pytest.mark.parametrize(
    ("before", "now", "count"),
    [
        ("", "the old", 0),
        ("the old", "", 0),
        ("the old", "the old clock", 2),
        ("the old clock", "the old", 2),
        ("the cold clock", "the old clock", 1),
        ("The, old", "the old! Clock", 2),
        ("the old", "the old.", 1),
        ("the old.", "the old.", 1),
        ("the old.", "the old. Clock", 2),
        ("what (old?)", "what (old?)", 1),
        ("Ça", "ça va", 1),
    ],
)
def test_agreement_ends_at_the_first_different_word(before: str, now: str, count: int) -> None:
    """Case and punctuation are ignored; the last word of a sentence waits for another to follow."""
    assert agreed_count(words(before), words(now)) == count


@pytest.mark.parametrize("text", ["end.", "end!", "end?", "end…", 'end."', "end?»", "终。"])
def test_sentence_ending_may_stand_inside_a_quotation(text: str) -> None:
    assert ends_sentence(text)


@pytest.mark.parametrize("text", ["", "end", "end,", "end;", "3.5", '"'])
def test_other_punctuation_ends_no_sentence(text: str) -> None:
    assert not ends_sentence(text)
