"""Spans that tile a text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kani.core.timing.spans import SpanTiler, span_rows
from kani.core.types import Span

WORDS = st.lists(
    st.tuples(st.integers(0, 60), st.integers(1, 9), st.floats(0, 20), st.floats(0, 3)).map(
        lambda w: Span(w[0], w[0] + w[1], w[2], w[2] + w[3])
    ),
    max_size=20,
)


def assert_tiles(spans: list[Span], length: int, pauses: int = 0) -> None:
    """Assert that spans cover ``length`` characters once, in order, and their times too; rests: pauses."""
    assert sum(span.start == span.end for span in spans) == pauses
    at, time_s = 0, 0.0
    for span in spans:
        assert span.start == at and span.end >= span.start
        assert span.start_s == time_s and span.end_s >= span.start_s
        at, time_s = span.end, span.end_s
    assert at == length


@given(WORDS, st.integers(1, 80), st.floats(0, 30))
def test_any_words_tile_text(words: list[Span], length: int, end_s: float) -> None:
    tiler = SpanTiler()
    spans = [span for word in words if word.end <= length for span in tiler.add_word(word)]
    assert_tiles(spans + tiler.finish(length, end_s), length)


def test_text_between_words_gets_spans() -> None:
    tiler = SpanTiler()
    spans = (
        tiler.add_word(Span(1, 5, 0.1, 0.5)) + tiler.add_word(Span(7, 12, 0.8, 1.2)) + tiler.finish(13, 1.3)
    )
    assert spans == [
        Span(0, 1, 0.0, 0.1),
        Span(1, 5, 0.1, 0.5),
        Span(5, 7, 0.5, 0.8),
        Span(7, 12, 0.8, 1.2),
        Span(12, 13, 1.2, 1.3),
    ]


def test_words_of_same_characters_are_merged() -> None:
    """They end with the one that ends last."""
    tiler = SpanTiler()
    words = (Span(0, 3, 0.0, 0.3), Span(0, 3, 0.3, 0.9), Span(1, 2, 0.4, 0.5))
    spans = [span for word in words for span in tiler.add_word(word)]
    assert spans + tiler.finish(3, 1.0) == [Span(0, 3, 0.0, 0.9)]


def test_span_rows() -> None:
    assert span_rows([Span(0, 4, 0.0, 0.31249)]) == [[0, 4, 0.0, 0.3125]]
