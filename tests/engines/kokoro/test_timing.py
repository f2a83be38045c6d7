"""Word times and silence trimming, on audio with known truth."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kani.core.types import Samples
from kani.engines.kokoro.network.onnx_model import FRAME_SAMPLES, SAMPLE_RATE
from kani.engines.kokoro.text.phonemes import Utterance, Word
from kani.engines.kokoro.timing import LEADING_SILENCE_S, TRAILING_SILENCE_S, TimedAudio, TimedWord, Timeline

TWO_WORDS = Utterance("aaaa bbbb", (Word(0, 4, 0, 4), Word(5, 9, 5, 9)))
LEVEL = 0.125
"""The power of the hum."""


def humming(frames: list[int], sound: list[tuple[float, float]]) -> Samples:
    samples = np.zeros(sum(frames) * FRAME_SAMPLES, np.float32)
    for start_s, end_s in sound:
        at = np.arange(round(start_s * SAMPLE_RATE), min(round(end_s * SAMPLE_RATE), len(samples)))
        samples[at] = 0.5 * np.sin(2 * np.pi * 200 * at / SAMPLE_RATE)
    return samples


def times(
    frames: list[int], sound: list[tuple[float, float]], utterance: Utterance = TWO_WORDS
) -> list[tuple[float, float]]:
    return [(word.start_s, word.end_s) for word in heard_of(frames, sound, utterance).words]


def heard_of(
    frames: list[int], sound: list[tuple[float, float]], utterance: Utterance = TWO_WORDS, **how: float
) -> TimedAudio:
    return Timeline(utterance, np.array(frames), **how).feed(humming(frames, sound), last=True)


# Pads of 10 and 6 frames (0.25 s, 0.15 s), symbols of 4 frames (0.1 s): the space's middle is 0.7 s.
FRAMES = [10, *[4] * 9, 6]


def test_pauses_move_boundaries_only_where_they_are_near() -> None:
    shift = 0.2 - LEADING_SILENCE_S
    boundary = 0.70 - 0.06 - shift
    first, second = times(FRAMES, [(0.2, 1.2)])
    assert first == pytest.approx((LEADING_SILENCE_S, boundary), abs=0.005)
    assert second == pytest.approx((boundary, 1.2 - shift), abs=0.005)
    first, second = times(FRAMES, [(0.2, 0.5), (0.75, 1.2)])
    assert (first[1], second[0]) == pytest.approx((0.5 - shift, 0.75 - shift), abs=0.006)
    for sound in ([(0.2, 0.3), (0.4, 1.2)], [(0.2, 0.6), (0.64, 1.2)]):
        assert times(FRAMES, sound)[1][0] == pytest.approx(boundary, abs=0.006)
    utterance = Utterance("aaaa b cccc", (Word(0, 4, 0, 4), Word(5, 6, 5, 6), Word(7, 11, 7, 11)))
    frames = [10, 4, 4, 4, 4, 4, 2, 2, 4, 4, 4, 4, 6]
    starts = [start for start, _ in times(frames, [(0.2, 0.55), (0.66, 1.2)], utterance)]
    assert starts[1] == pytest.approx(0.66 - shift, abs=0.006)
    assert all(a < b for a, b in pairwise(starts))


def test_characters_begin_with_their_own_symbols() -> None:
    # Two syllables of three symbols and of one; spread evenly, the second would begin after 0.2 s.
    known = Utterance("ka→ta bbbb", (Word(0, 2, 0, 5, (0, 3)), Word(3, 7, 6, 10)))
    first, second = heard_of([10, *[4] * 10, 6], [(0.2, 1.2)], known).words
    begin = 0.2 - LEADING_SILENCE_S
    assert first.character_starts == pytest.approx((LEADING_SILENCE_S, 0.25 + 0.3 - 0.06 - begin), abs=0.005)
    assert len(second.character_starts) == 4 and second.character_starts[0] == second.start_s


def test_silence_is_trimmed_and_edges_fade() -> None:
    # The first one has a click that is early.
    for sound, how, after_s in (
        ([(0.02, 0.05), (0.2, 1.0)], {}, TRAILING_SILENCE_S),
        ([(0.2, 1.0)], {}, TRAILING_SILENCE_S),
        ([(0.2, 1.0)], {"trailing_silence_s": 0.15}, 0.15),
    ):
        length_s = len(heard_of(FRAMES, sound, **how).samples) / SAMPLE_RATE
        assert length_s == pytest.approx(0.8 + LEADING_SILENCE_S + after_s, abs=0.006)
    full = heard_of(FRAMES, [(0.0, 1.3)]).samples
    assert full[0] == 0 and abs(full[-1]) < 0.01
    # Silence as a whole is kept.
    assert len(heard_of(FRAMES, []).samples) == sum(FRAMES) * FRAME_SAMPLES
    first, second = times(FRAMES, [])
    assert first[0] <= first[1] <= second[0] <= second[1]


def in_pieces(
    samples: Samples, sizes: list[int], timeline: Timeline, *, cut: bool = False
) -> tuple[list[Samples], list[list[TimedWord]]]:
    """Audio and words of each piece, the last of all that is left."""
    edges = [0, *np.minimum(np.cumsum(sizes), len(samples)).tolist(), len(samples)]
    edges = edges[: edges.index(len(samples)) + 1]
    heard = [
        timeline.feed(samples[at:end], last=end == edges[-1] and not cut, cut=end == edges[-1] and cut)
        for at, end in pairwise(edges)
    ]
    return [piece.samples for piece in heard], [list(piece.words) for piece in heard]


FOUR_WORDS = Utterance(
    "aaaa bbb, cccc dd.", (Word(0, 4, 0, 4), Word(5, 8, 5, 8), Word(10, 14, 10, 14), Word(15, 17, 15, 17))
)
FOUR_FRAMES = [10, 4, 4, 4, 4, 4, 3, 3, 3, 5, 3, 4, 4, 4, 4, 2, 3, 3, 4, 12]
SPEECH_ENDS_S = 1.79


def four(**how: Any) -> Timeline:
    return Timeline(FOUR_WORDS, np.array(FOUR_FRAMES), level=LEVEL, **how)


@given(
    sizes=st.lists(st.integers(1, 80).map(lambda halves: halves * FRAME_SAMPLES // 2), max_size=12),
    pauses=st.lists(st.tuples(st.integers(30, 170), st.integers(1, 25)), max_size=4),
)
def test_pieces_equal_whole(sizes: list[int], pauses: list[tuple[int, int]]) -> None:
    samples = humming(FOUR_FRAMES, [(0.21, SPEECH_ENDS_S)])
    for start, length in pauses:
        samples[start * 240 : min((start + length) * 240, round((SPEECH_ENDS_S - 0.05) * SAMPLE_RATE))] = 0
    whole = four().feed(samples, last=True)
    # What was given out cannot be taken back: the last piece has to begin before the speech ends.
    while sizes and sum(sizes) > SPEECH_ENDS_S * SAMPLE_RATE:
        sizes = sizes[:-1]
    given, words_by_piece = in_pieces(samples, sizes, four())
    np.testing.assert_array_equal(np.concatenate(given), whole.samples)
    assert [word for words in words_by_piece for word in words] == list(whole.words)


@given(
    sizes=st.lists(st.integers(1, 20_000), max_size=12),
    sound=st.lists(st.tuples(st.floats(0, 2.2), st.floats(0.01, 1)), max_size=6),
    continues=st.booleans(),
    cut=st.booleans(),
)
def test_words_come_once_in_order_after_their_audio(
    sizes: list[int], sound: list[tuple[float, float]], continues: bool, cut: bool
) -> None:
    samples = humming(FOUR_FRAMES, [(start, start + length) for start, length in sound])
    before = np.zeros(FRAME_SAMPLES, np.float32) if continues else None
    timeline = four(before=before)
    given, words_by_piece = in_pieces(samples, sizes, timeline, cut=cut)
    words = [word for piece in words_by_piece for word in piece]
    assert [word.word for word in words] == list(FOUR_WORDS.words)
    assert all(0 <= word.start_s <= word.end_s for word in words)
    assert all(before.end_s <= after.start_s for before, after in pairwise(words))
    so_far = np.cumsum([len(piece) for piece in given]) / SAMPLE_RATE
    for known_s, piece in zip(so_far, words_by_piece, strict=True):
        assert all(word.end_s <= known_s + 0.0051 for word in piece)
    assert sum(map(len, given)) <= len(samples)
    if continues and cut:
        np.testing.assert_array_equal(np.concatenate(given), samples)


@given(
    first_sample=st.integers(round(1.05 * SAMPLE_RATE), round(1.25 * SAMPLE_RATE)),
    pause_s=st.tuples(st.floats(1.36, 1.5), st.floats(0.06, 0.2)),
)
def test_words_of_continuing_audio_keep_their_times(first_sample: int, pause_s: tuple[float, float]) -> None:
    """To the sample, wherever it begins, also where its first piece is louder than the voice."""
    samples = humming(FOUR_FRAMES, [(0.21, pause_s[0]), (sum(pause_s), SPEECH_ENDS_S)])
    # Sound that dies away, 2 dB above what counts as silent.
    samples[round(pause_s[0] * SAMPLE_RATE) :][:600] = np.sqrt(LEVEL * 10**-4.3)
    whole = four().feed(samples, last=True)
    samples[first_sample : first_sample + 2400] *= 2
    rest = four(words=FOUR_WORDS.words[2:], first_sample=first_sample, before=samples[:first_sample])
    later = rest.feed(samples[first_sample:], last=True)
    lengths = [[word.end_s - word.start_s for word in heard.words[-1:]] for heard in (whole, later)]
    assert lengths[0] == pytest.approx(lengths[1])
