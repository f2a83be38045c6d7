"""A client's words: what is spoken of them, what is echoed, and when each is said."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kani.core.types import Span
from kani.protocols.kyutai.words import Break, TimedWord, WordAligner, split_text


def test_text_splits_into_words_and_breaks() -> None:
    text = 'Uno  dos<break time="0.5s"/>tres <break time="99s" /> <break time="0.01s"/>\n<break time="1s">'
    assert split_text(text) == [
        "Uno",
        "dos",
        Break(0.48, '<break time="0.50s">'),
        "tres",
        Break(10.0, '<break time="10.00s">'),
        Break(0.08, '<break time="0.01s">'),
        Break(0.96, '<break time="1.00s">'),
    ]
    assert split_text(' \n <break time="1.2.3s"/>') == []


def test_newlines_stay_with_words() -> None:
    words = [part for part in split_text("Uno:\n- dos\n\n\ntres") if isinstance(part, str)]
    times = WordAligner()
    assert "".join(map(times.add, words)) == "Uno:\n- dos\n\ntres "
    assert [word.text for word in times.align([Span(0, 17, 0.0, 17.0)])] == ["Uno", "-", "dos", "tres"]


def echoes(*words: str) -> list[str]:
    times = WordAligner()
    text = "".join(map(times.add, words))
    return [word.text for word in times.align([Span(0, len(text), 0.0, float(len(text)))])]


def test_words_are_echoed_as_by_original() -> None:
    assert echoes("l’eau", "(Hola)", "Nota:", "12:30", "a–b", ":", "()", "«sí»") == [
        *("l'eau", "Hola", "Nota", "12", "30", "ab", "«sí»")
    ]


def test_word_times_exclude_punctuation() -> None:
    times = WordAligner()
    assert "".join(map(times.add, ["¿Qué,", "tal?"])) == "¿Qué, tal? "
    spans = [
        *(Span(0, 1, 0.0, 0.2), Span(1, 4, 0.2, 0.5), Span(4, 6, 0.5, 0.9), Span(6, 9, 0.9, 1.3)),
        Span(9, 11, 1.3, 1.5),
    ]
    assert times.align(spans) == [TimedWord("¿Qué,", 0.2, 0.5), TimedWord("tal?", 0.9, 1.3)]


def test_words_share_span_by_letters() -> None:
    times = WordAligner()
    times.add("12:30")
    assert times.align([Span(0, 5, 1.0, 2.0)]) == [TimedWord("12", 1.0, 1.4), TimedWord("30", 1.6, 2.0)]


def test_word_covers_several_spans() -> None:
    times = WordAligner()
    times.add("electro-magnético")
    assert times.align([Span(0, 7, 0.0, 0.5)]) == []
    assert times.align([Span(7, 18, 0.5, 1.5)]) == [
        TimedWord("electro-magnético", 0.0, pytest.approx(1.4, abs=0.1))
    ]


def test_breaks_keep_their_place() -> None:
    times = WordAligner()
    for word in ("uno", "…", Break(0.48, "<break>"), Break(0.08, "<break 2>"), "dos"):
        times.add(word)
    spans = [Span(0, 3, 0.0, 0.3), Span(3, 6, 0.3, 0.4), Span(6, 6, 0.4, 0.88), Span(6, 6, 0.88, 0.96)]
    assert times.align([*spans, Span(6, 10, 0.96, 1.36)]) == [
        *(TimedWord("uno", 0.0, 0.3), TimedWord("…", pytest.approx(1 / 3), pytest.approx(11 / 30))),
        *(TimedWord("<break>", 0.4, 0.88), TimedWord("<break 2>", 0.88, 0.96)),
        TimedWord("dos", 0.96, pytest.approx(1.26)),
    ]


LETTERS = st.text(st.sampled_from("aé,.:;()–— 1😀-"), min_size=1, max_size=8).filter(
    lambda text: text.split()
)


@given(st.lists(LETTERS, max_size=12), st.data())
def test_words_return_once_and_in_order(texts: list[str], data: st.DataObject) -> None:
    times = WordAligner()
    words = [part for text in texts for part in split_text(text) if isinstance(part, str)]
    text = "".join(map(times.add, words))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(text) - 1)))) if len(text) > 1 else []
    edges = [0, *cuts, len(text)] if text else []
    told = [
        word
        for first, last in pairwise(edges)
        for word in times.align([Span(first, last, first / 10, last / 10)])
    ]
    assert [word.text for word in told] == echoes(*words)
    assert all(word.start_s <= word.stop_s for word in told)
    assert all(one.start_s <= other.start_s for one, other in pairwise(told))
