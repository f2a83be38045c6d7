"""Words' times and the cut around the speech, on renderings whose truth is known."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from engines.kokoro.model import FRAME, SAMPLE_RATE, Rendering
from engines.kokoro.phonemes import Utterance, Word
from engines.kokoro.timing import MARGIN_S, speech_of

TWO_WORDS = Utterance("aaaa bbbb", (Word(0, 4, 0, 4), Word(5, 9, 5, 9)))


def rendering(frames: list[int], sound: list[tuple[float, float]]) -> Rendering:
    """A rendering with those durations that hums during ``sound`` (seconds) and is silent else."""
    samples = np.zeros(sum(frames) * FRAME, np.float32)
    for start_s, end_s in sound:
        at = np.arange(round(start_s * SAMPLE_RATE), round(end_s * SAMPLE_RATE))
        samples[at] = 0.5 * np.sin(2 * np.pi * 200 * at / SAMPLE_RATE)
    return Rendering(samples, np.array(frames))


# Pads of 10 and 6 frames (0.25 s, 0.15 s), symbols of 4 frames (0.1 s): the space's middle is 0.7 s.
FRAMES = [10, *[4] * 9, 6]


def test_without_a_pause_a_word_starts_60_ms_before_the_middle_of_its_space() -> None:
    """Sound without a gap: the boundary is the space's middle less the lag, for end and start."""
    speech = speech_of(rendering(FRAMES, [(0.2, 1.2)]), TWO_WORDS)
    boundary = 0.70 - 0.06 - (0.2 - MARGIN_S)
    assert speech.times[0] == pytest.approx((MARGIN_S, boundary), abs=0.005)
    assert speech.times[1] == pytest.approx((boundary, 1.2 - 0.2 + MARGIN_S), abs=0.005)


def test_a_pause_tells_a_words_end_and_the_next_ones_start() -> None:
    """A silence that ends near the expected start is the truth itself."""
    speech = speech_of(rendering(FRAMES, [(0.2, 0.5), (0.75, 1.2)]), TWO_WORDS)
    shift = 0.2 - MARGIN_S
    assert speech.times[0][1] == pytest.approx(0.5 - shift, abs=0.006)
    assert speech.times[1][0] == pytest.approx(0.75 - shift, abs=0.006)


def test_a_pause_far_from_the_boundary_is_not_one() -> None:
    """A silence more than 0.2 s away, or shorter than 50 ms, moves nothing."""
    for sound in ([(0.2, 0.3), (0.4, 1.2)], [(0.2, 0.6), (0.64, 1.2)]):
        speech = speech_of(rendering(FRAMES, sound), TWO_WORDS)
        assert speech.times[1][0] == pytest.approx(0.64 - 0.2 + MARGIN_S, abs=0.006)


def test_one_pause_is_before_one_word_only() -> None:
    """Of two boundaries near one silence the nearer gets it; starts still rise."""
    utterance = Utterance("aaaa b cccc", (Word(0, 4, 0, 4), Word(5, 6, 5, 6), Word(7, 11, 7, 11)))
    frames = [10, 4, 4, 4, 4, 4, 2, 2, 4, 4, 4, 4, 6]
    speech = speech_of(rendering(frames, [(0.2, 0.55), (0.66, 1.2)]), utterance)
    starts = [start for start, _ in speech.times]
    assert starts[1] == pytest.approx(0.66 - 0.2 + MARGIN_S, abs=0.006)
    assert all(a < b for a, b in pairwise(starts))


def test_the_models_silence_is_cut_and_the_edges_fade() -> None:
    """At most 50 ms stay on either side, or as much as is asked for behind, and no click."""
    whole = rendering(FRAMES, [(0.2, 1.0)])
    speech = speech_of(whole, TWO_WORDS)
    assert len(speech.samples) / SAMPLE_RATE == pytest.approx(0.8 + 2 * MARGIN_S, abs=0.006)
    longer = speech_of(whole, TWO_WORDS, keep_after_s=0.15)
    assert len(longer.samples) / SAMPLE_RATE == pytest.approx(0.8 + MARGIN_S + 0.15, abs=0.006)
    full = speech_of(rendering(FRAMES, [(0.0, 1.3)]), TWO_WORDS).samples
    assert full[0] == 0
    assert abs(full[-1]) < 0.01


def test_a_rendering_without_sound_is_left_as_it_is() -> None:
    """Silence throughout has no speech to find: all of it stays, and times stay in order."""
    speech = speech_of(rendering(FRAMES, []), TWO_WORDS)
    assert len(speech.samples) == sum(FRAMES) * FRAME
    assert speech.times[0][0] <= speech.times[0][1] <= speech.times[1][0] <= speech.times[1][1]
