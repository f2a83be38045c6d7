"""Spans that tile a text, and the times of every character from them."""

from dataclasses import replace
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kani.core.timing.characters import FormsClock, TimedCharacters, TimedForms
from kani.core.timing.spans import SpanTiler, span_rows, spread
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


def test_words_and_text_between_them_have_spans() -> None:
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
    # They end with the one that ends last.
    tiler = SpanTiler()
    words = (Span(0, 3, 0.0, 0.3), Span(0, 3, 0.3, 0.9), Span(1, 2, 0.4, 0.5))
    spans = [span for word in words for span in tiler.add_word(word)]
    assert spans + tiler.finish(3, 1.0) == [Span(0, 3, 0.0, 0.9)]
    assert span_rows([Span(0, 4, 0.0, 0.31249)]) == [[0, 4, 0.0, 0.3125]]


TIMES = st.floats(0, 3)


@st.composite
def texts_with_spans(draw: st.DrawFn) -> tuple[str, list[list[Span]]]:
    """A text, and spans that tile it, with or without character starts and pauses, chunk by chunk."""
    spans: list[Span] = []
    at, time_s = 0, 0.0
    for length in draw(st.lists(st.integers(0, 6), max_size=12)):
        end_s = time_s + draw(TIMES)
        inner = sorted(draw(st.lists(st.floats(time_s, end_s), min_size=length, max_size=length)))
        marks = (time_s, *inner[1:]) if length and draw(st.booleans()) else ()
        spans.append(Span(at, at + length, time_s, end_s, marks))
        at, time_s = at + length, end_s
    text = "".join(draw(st.lists(st.characters(codec="utf-8"), min_size=at, max_size=at)))
    cuts = sorted(draw(st.lists(st.integers(0, len(spans)), max_size=4)))
    return text, [spans[first:stop] for first, stop in pairwise([0, *cuts, len(spans)])]


def timed_chunks(text: str, chunks: list[list[Span]]) -> list[TimedCharacters]:
    clock = FormsClock()
    clock.feed(text)
    return [taken for spans in chunks if (taken := clock.align(spans).written).text]


@given(texts_with_spans())
def test_characters_tile_text(made: tuple[str, list[list[Span]]]) -> None:
    text, chunks = made
    taken = timed_chunks(text, chunks)
    assert "".join(part.text for part in taken) == text
    edges = [part.edges_s for part in taken]
    assert all(len(part.edges_s) == len(part.text) + 1 for part in taken)
    assert all(start <= end for part in edges for start, end in pairwise(part))
    assert all(one[-1] == other[0] for one, other in pairwise(edges))
    spoken = [span for spans in chunks for span in spans if span.end > span.start]
    if spoken:
        assert edges[0][0] == 0.0 and edges[-1][-1] >= spoken[-1].end_s


@given(texts_with_spans(), st.integers(0, 5000))
def test_milliseconds_tile(made: tuple[str, list[list[Span]]], origin_ms: int) -> None:
    for part in timed_chunks(*made):
        starts, durations = part.milliseconds(origin_ms)
        assert starts == list(accumulate(durations[:-1], initial=starts[0]))
        for start, edge in zip(starts, part.edges_s, strict=False):
            assert start == pytest.approx(max(edge * 1000 - origin_ms, 0), abs=0.5001)


def test_character_starts_are_used_where_known() -> None:
    clock = FormsClock()
    clock.feed("sol mar")
    taken = clock.align(
        [Span(0, 3, 0.0, 0.6, (0.0, 0.1, 0.4)), Span(3, 4, 0.6, 0.7), Span(4, 7, 0.7, 1.0)]
    ).written
    assert taken.text == "sol mar"
    assert taken.edges_s == pytest.approx((0.0, 0.1, 0.4, 0.6, 0.7, 0.8, 0.9, 1.0))


def test_pause_belongs_to_character() -> None:
    clock = FormsClock()
    clock.feed("ab")
    together = clock.align([Span(0, 1, 0.0, 0.2), Span(1, 1, 0.2, 1.2), Span(1, 2, 1.2, 1.4)]).written
    assert together.edges_s == (0.0, 1.2, 1.4)
    apart = FormsClock()
    apart.feed("ab")
    assert apart.align([Span(0, 1, 0.0, 0.2)]).written.edges_s == (0.0, 0.2)
    assert apart.align([Span(1, 1, 0.2, 1.2)]).written == TimedCharacters("", ())
    assert apart.align([Span(1, 2, 1.2, 1.4)]).written.edges_s == (0.2, 1.4)


def test_spoken_form_shares_time_of_written_form() -> None:
    clock = FormsClock()
    clock.feed("**Son** 21 sol")
    reading = clock.align(
        [
            Span(0, 2, 0.0, 0.1, spoken_form=""),
            Span(2, 5, 0.1, 0.4, spoken_form="Son"),
            Span(5, 7, 0.4, 0.5, spoken_form=""),
            Span(7, 8, 0.5, 0.6, spoken_form=" "),
            Span(8, 10, 0.6, 1.6, (0.6, 0.8), spoken_form="veinte"),
            Span(10, 14, 1.6, 2.0),
        ]
    )
    assert (reading.written.text, reading.spoken.text) == ("**Son** 21 sol", "Son veinte sol")
    veinte = [0.6, 0.6 + 0.2 / 3, 0.6 + 0.4 / 3, 0.8, 0.8 + 0.8 / 3, 0.8 + 1.6 / 3]
    assert reading.spoken.edges_s == pytest.approx([0.0, 0.2, 0.3, 0.5, *veinte, 1.6, 1.7, 1.8, 1.9, 2.0])
    assert reading.written.edges_s[-1] == 2.0


def test_unspoken_characters_leave_time_to_next() -> None:
    clock = FormsClock()
    clock.feed("a*b")
    first = clock.align([Span(0, 1, 0.0, 0.2)])
    nothing = clock.align([Span(1, 2, 0.2, 0.5, spoken_form="")])
    assert nothing == TimedForms(TimedCharacters("*", (0.2, 0.5)))
    last = clock.align([Span(2, 3, 0.5, 0.9, spoken_form="bebé")])
    assert last.spoken.edges_s == pytest.approx((0.2, 0.6, 0.7, 0.8, 0.9))
    together = first + nothing + last
    assert (together.written.text, together.spoken.text) == ("a*b", "abebé")
    assert len(together.spoken.edges_s) == 6 and together.written.edges_s == (0.0, 0.2, 0.5, 0.9)


@given(texts_with_spans(), st.data())
def test_spoken_form_tiles_across_chunks(made: tuple[str, list[list[Span]]], data: st.DataObject) -> None:
    text, chunks = made
    says = st.one_of(st.none(), st.text(max_size=5))
    chunks = [
        [replace(span, spoken_form=data.draw(says) if span.end > span.start else None) for span in spans]
        for spans in chunks
    ]
    clock = FormsClock()
    clock.feed(text)
    readings = [clock.align(spans) for spans in chunks]
    assert [reading.written for reading in readings if reading.written.text] == timed_chunks(text, chunks)
    spans = [span for chunk in chunks for span in chunk]
    said = "".join(
        text[each.start : each.end] if each.spoken_form is None else each.spoken_form for each in spans
    )
    assert "".join(reading.spoken.text for reading in readings) == said
    edges = [reading.spoken.edges_s for reading in readings if reading.spoken.text]
    assert all(start <= end for part in edges for start, end in pairwise(part))
    assert all(one[-1] == other[0] for one, other in pairwise(edges))


@given(st.integers(1, 30), st.lists(TIMES, min_size=2, max_size=12))
def test_characters_spread_over_phonemes(count: int, times: list[float]) -> None:
    edges = sorted(times)
    marks = spread(count, edges)
    assert len(marks) == count and marks[0] == edges[0]
    assert all(a <= b for a, b in pairwise(marks)) and marks[-1] <= edges[-1]
    assert spread(len(edges) - 1, edges) == pytest.approx(edges[:-1])
