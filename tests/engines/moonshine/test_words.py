"""Times of words from attention that is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from kani.engines.moonshine.checkpoint import ROW_S
from kani.engines.moonshine.words import timed_words, token_ends
from kani.runtime.recognition.local_agreement import HypothesisWord


def attention(*rows: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Tokens that attend to so many rows each, one after the other, and all of them to the first row."""
    whole = np.full((len(rows), sum(rows)), 0.01, np.float32)
    at = 0
    for token, count in enumerate(rows):
        whole[token, at : at + count] = 0.5
        at += count
    whole[:, 0] = 0.9
    return whole


@pytest.mark.parametrize("rows", [(4, 6, 5), (1, 9), (7,), (3, 3, 3, 3, 30)])
def test_rows_are_divided_where_the_attention_moves_on(rows: tuple[int, ...]) -> None:
    assert token_ends(attention(*rows)).tolist() == np.cumsum(rows).tolist()


def test_token_without_attention_of_its_own_has_no_time() -> None:
    found = attention(5, 5, 5)
    found[1] = 0.01
    first, second, last = token_ends(found)
    assert first <= second <= last == 15 and first >= 5


def test_words_have_the_times_of_their_tokens_after_those_that_are_known() -> None:
    words = [HypothesisWord("Long", (5, 6)), HypothesisWord("ago.", (7,))]
    # A known token, three of the words, and the end of the text.
    timed = timed_words(words, 1, attention(10, 5, 6, 7, 20), [-0.1, -2.0, -0.5])
    rows = [time_s / ROW_S for one in timed for time_s in (one.start_s, one.end_s)]
    assert rows == pytest.approx([10, 21, 21, 28])
    assert [one.probability for one in timed] == pytest.approx([math.exp(-2), math.exp(-0.5)])
    assert timed_words([], 1, attention(3, 3), []) == ()
