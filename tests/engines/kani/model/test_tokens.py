"""The token layout matches the makers' code."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kani.engines.kani.model.tokens import END_OF_TEXT, START_OF_TEXT, TokenLayout
from kani.runtime.errors import CheckpointError


def test_published_vocabulary_has_published_tokens() -> None:
    layout = TokenLayout.of_vocabulary(80538, codebooks=4, codebook_size=4032)
    assert layout.text_vocabulary == 64400
    assert (layout.start_of_speech, layout.end_of_speech) == (64401, 64402)
    assert (layout.start_of_human, layout.end_of_human, layout.start_of_ai) == (64403, 64404, 64405)
    assert [layout.codebook_range(codebook) for codebook in range(4)] == [
        (64410, 68442), (68442, 72474), (72474, 76506), (76506, 80538),
    ]  # fmt: skip
    assert layout.size == 80538


def test_prompt_ends_with_start_of_speech() -> None:
    layout = TokenLayout(100, 4, 10)
    assert layout.prompt([START_OF_TEXT, 50, 60]) == [103, 1, 50, 60, END_OF_TEXT, 104, 105, 101]


@given(st.integers(3, 10**6), st.integers(1, 16), st.integers(1, 5000))
def test_token_ranges_do_not_overlap(text: int, codebooks: int, size: int) -> None:
    layout = TokenLayout.of_vocabulary(text + 10 + codebooks * size, codebooks=codebooks, codebook_size=size)
    assert layout.text_vocabulary == text
    special = [
        layout.start_of_speech,
        layout.end_of_speech,
        layout.start_of_human,
        layout.end_of_human,
        layout.start_of_ai,
    ]
    assert len(set(special)) == 5
    assert all(text < token < layout.audio_start for token in special)
    ends = [layout.audio_start, *(layout.codebook_range(codebook)[1] for codebook in range(codebooks))]
    assert [layout.codebook_range(codebook)[0] for codebook in range(codebooks)] == ends[:-1]
    assert ends[-1] == layout.size


@pytest.mark.parametrize("size", [-1, 0, 4 * 4032, 4 * 4032 + 12])
def test_small_vocabulary_is_refused(size: int) -> None:
    with pytest.raises(CheckpointError, match=rf"vocab_size is {size}: too small for 4 codebooks of 4032"):
        TokenLayout.of_vocabulary(size, codebooks=4, codebook_size=4032)
