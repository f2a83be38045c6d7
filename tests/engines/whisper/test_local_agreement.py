"""Which words two passes agree on."""

from __future__ import annotations

import pytest

from engines.whisper.local_agreement import HypothesisWord, agreed_count, ends_sentence


def words(text: str) -> list[HypothesisWord]:
    """The words of a text, each with a token of its own."""
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
def test_words_count_up_to_the_first_that_differs(before: str, now: str, count: int) -> None:
    """Case and marks aside; a sentence's last word waits for the next one."""
    assert agreed_count(words(before), words(now)) == count


@pytest.mark.parametrize("text", ["end.", "end!", "end?", "end…", 'end."', "end?»", "终。"])
def test_these_end_a_sentence(text: str) -> None:
    """A mark that ends a sentence may stand inside what closes a quotation."""
    assert ends_sentence(text)


@pytest.mark.parametrize("text", ["", "end", "end,", "end;", "3.5", '"'])
def test_these_do_not(text: str) -> None:
    """Other marks, points inside a word, and nothing at all."""
    assert not ends_sentence(text)
