"""Speakers of a recording: clusters of embeddings, turns, and a transcript divided among them."""

from collections.abc import Sequence
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from kani.core.diarization.clustering import MAX_CLUSTERED, Array, average_linkage, cut, find_speakers, smooth
from kani.core.diarization.diarizer import SAMPLE_RATE, Diarizer
from kani.core.diarization.turns import SpeakerTurn, divide_by_speaker
from kani.core.errors import InvalidRequest
from kani.core.transcriber import TranscribedSegment, TranscribedWord
from kani.core.types import Samples
from tests.runtime.recognition.test_stream import ScriptedVoice

RNG = np.random.default_rng(3)
VOICES = np.eye(6, 32, dtype=np.float32)


def windows(*counts: int, spread: float = 0.06) -> Array:
    """Embeddings of ``counts`` windows of each voice, cosines of about 0.9 within one."""
    centres = np.repeat(VOICES[: len(counts)], counts, axis=0)
    noisy = centres + np.float32(spread) * RNG.standard_normal(centres.shape, np.float32)
    return np.asarray(noisy / np.linalg.norm(noisy, axis=1, keepdims=True), np.float32)


def speakers_of(embeddings: Array, centroids: Array) -> list[int]:
    return [int(label) for label in (embeddings @ centroids.T).argmax(axis=1)]


def test_linkage_merges_as_the_definition_says() -> None:
    embeddings = windows(5, 4, 6, spread=0.3)
    merges, heights = average_linkage(embeddings)
    clusters = [[one] for one in range(len(embeddings))]
    for step, height in enumerate(heights):
        pairs = [(a, b) for a in range(len(clusters)) for b in range(a)]
        means = [float((embeddings[clusters[a]] @ embeddings[clusters[b]].T).mean()) for a, b in pairs]
        assert height == pytest.approx(max(means), abs=1e-5)
        a, b = pairs[int(np.argmax(means))]
        clusters[b] += clusters.pop(a)
        labels = cut(merges, step + 1, len(embeddings))
        found = [np.flatnonzero(labels == one).tolist() for one in sorted(set(labels.tolist()))]
        assert sorted(found) == sorted(map(sorted, clusters))


@pytest.mark.parametrize("counts", [(1,), (20,), (20, 5), (30, 20, 10, 8)])
def test_number_of_speakers_is_found(counts: tuple[int, ...]) -> None:
    embeddings = windows(*counts)
    centroids = find_speakers(embeddings, None, 32)
    assert len(centroids) == len(counts)
    labels = speakers_of(embeddings, centroids)
    firsts = np.cumsum([0, *counts])
    groups = [set(labels[begin:end]) for begin, end in pairwise(firsts)]
    assert all(len(group) == 1 for group in groups) and len(set.union(*groups)) == len(counts)


def test_number_of_speakers_has_its_limits() -> None:
    embeddings = windows(30, 20, 10)
    found = {given: len(find_speakers(embeddings, given, 32)) for given in (1, 2, 32)}
    assert found == {1: 1, 2: 2, 32: 3}
    assert len(find_speakers(windows(10, 10, 10, 10), None, 3)) == 3
    assert len(find_speakers(windows(20, 20, 1), None, 32)) == 2


def test_long_recording_is_clustered_by_a_sample_of_its_windows() -> None:
    embeddings = windows(MAX_CLUSTERED * 2, MAX_CLUSTERED)
    labels = speakers_of(embeddings, find_speakers(embeddings, None, 32))
    assert len(set(labels[: 2 * MAX_CLUSTERED])) == len(set(labels[2 * MAX_CLUSTERED :])) == 1
    assert labels[0] != labels[-1]


def test_change_has_to_be_worth_its_penalty() -> None:
    scores = np.array([[0.9, 0.6], [0.9, 0.6], [0.7, 0.8], [0.9, 0.6]], np.float32)
    assert smooth(scores, np.full(4, 0.2, np.float32)).tolist() == [0, 0, 0, 0]
    assert smooth(scores, np.full(4, 0.02, np.float32)).tolist() == [0, 0, 1, 0]
    assert smooth(scores[:1], np.zeros(1, np.float32)).tolist() == [0]


LOUD, SOFT = 0.8, 0.3
EDGE_S = 0.07
"""Two chunks of the detector, and some: speech begins with its second loud chunk."""


class LevelEncoder:
    """Loud and soft voices have embeddings at right angles; keeps the seconds of the stretches."""

    def __init__(self) -> None:
        self.lengths_s: list[float] = []

    def embed_stretches(self, stretches: Sequence[Samples], step_s: float) -> list[Array]:
        self.lengths_s += [len(samples) / SAMPLE_RATE for samples in stretches]
        size, axes = round(step_s * SAMPLE_RATE), np.eye(2, dtype=np.float32)
        starts = [range(0, max(len(one) - size, 1), size) for one in stretches]
        return [
            axes[[int(np.abs(one[at : at + size]).mean() > 0.5) for at in begins]]
            for one, begins in zip(stretches, starts, strict=True)
        ]


def recording(*parts: tuple[float, float]) -> Samples:
    """Parts of a level and seconds each."""
    return np.concatenate([np.full(round(s * SAMPLE_RATE), level, np.float32) for level, s in parts])


def levels(encoder: LevelEncoder | None = None) -> Diarizer:
    return Diarizer(lambda: SimpleNamespace(recording=ScriptedVoice), lambda: encoder or LevelEncoder())


def turns(
    samples: Samples,
    *,
    piece: int = 320_000,
    speakers: int | None = None,
    encoder: LevelEncoder | None = None,
) -> tuple[SpeakerTurn, ...]:
    stream = levels(encoder).stream(SAMPLE_RATE)
    for at in range(0, len(samples), piece):
        stream.feed(samples[at : at + piece])
    return stream.finish(speakers)


DIALOGUE = recording((0, 1), (SOFT, 4), (0, 0.5), (LOUD, 4), (0, 1), (SOFT, 3), (0, 0.2), (SOFT, 2), (0, 1))


def test_turns_begin_and_end_where_the_voices_do() -> None:
    found = turns(DIALOGUE)
    assert [turn.speaker for turn in found] == [0, 1, 0]
    edges = [edge for turn in found for edge in (turn.start_s, turn.end_s)]
    assert edges == pytest.approx([1.0, 5.0, 5.5, 9.5, 10.5, 15.7], abs=EDGE_S)
    for piece in (700, 16_000, 100_001):
        assert turns(DIALOGUE, piece=piece) == found, piece
    assert {turn.speaker for turn in turns(DIALOGUE, speakers=1)} == {0}
    found = turns(recording((SOFT, 6), (LOUD, 6)))
    assert [turn.speaker for turn in found] == [0, 1]
    assert found[0].end_s == found[1].start_s == pytest.approx(6.0, abs=0.5)
    found = turns(recording((SOFT, 4), (0, 1), (LOUD, 4), (0, 1), (SOFT, 0.3), (0, 1)))
    assert [turn.speaker for turn in found] == [0, 1, 1]
    stream = levels().stream(SAMPLE_RATE // 2)
    stream.feed(DIALOGUE[::2])
    assert [turn.speaker for turn in stream.finish()] == [0, 1, 0]
    assert turns(recording((0, 2))) == turns(np.zeros(0, np.float32)) == ()


def test_known_voices_come_first_and_need_speech() -> None:
    diarizer = levels()
    loud = diarizer.voice(recording((0, 1), (LOUD, 3)), SAMPLE_RATE)
    absent = np.array([-1, 0], np.float32)
    stream = diarizer.stream(SAMPLE_RATE)
    stream.feed(DIALOGUE)
    assert [turn.speaker for turn in stream.finish(None, [absent, loud])] == [2, 1, 2]
    assert [turn.speaker for turn in stream.finish(None, [loud])] == [1, 0, 1]
    assert [turn.speaker for turn in stream.finish()] == [0, 1, 0]
    with pytest.raises(InvalidRequest, match="file: holds no speech"):
        levels().voice(recording((0, 3)), SAMPLE_RATE)


def test_long_speech_is_embedded_in_stretches() -> None:
    encoder = LevelEncoder()
    (turn,) = turns(recording((SOFT, 65), (0, 1)), encoder=encoder)
    assert turn.end_s == pytest.approx(65, abs=EDGE_S)
    assert max(encoder.lengths_s) < 21 and sum(encoder.lengths_s) == pytest.approx(65, abs=EDGE_S)


TURNS = (SpeakerTurn(0.0, 2.0, 0), SpeakerTurn(2.5, 4.0, 1), SpeakerTurn(4.2, 6.0, 0))


def segment(text: str, *words: tuple[str, float, float]) -> TranscribedSegment:
    timed = tuple(TranscribedWord(word, start_s, end_s, -0.1) for word, start_s, end_s in words)
    start_s, end_s = (timed[0].start_s, timed[-1].end_s) if timed else (2.6, 3.0)
    return TranscribedSegment(text, start_s, end_s, timed, (1, 2), 0.0, 0.0, -0.1, 1.0, 0.0, "en", 1.0)


def test_segment_is_cut_where_the_speaker_changes() -> None:
    whole = segment(
        " Are you here? Yes, I am.",
        *(("Are", 0.1, 0.4), ("you", 0.5, 0.9), ("here?", 1.0, 1.9)),
        *(("Yes,", 2.6, 3.0), ("I", 3.1, 3.4), ("am.", 3.5, 3.9)),
    )
    first, second = divide_by_speaker([whole], TURNS)
    assert (first.text, first.start_s, first.end_s, first.speaker) == (" Are you here?", 0.1, 1.9, 0)
    assert (second.text, second.start_s, second.end_s, second.speaker) == (" Yes, I am.", 2.6, 3.9, 1)
    assert [word.text for word in second.words] == ["Yes,", "I", "am."]
    assert first.tokens + second.tokens == whole.tokens


def test_text_is_divided_by_its_words_or_its_time() -> None:
    whole = segment("你好吗很好", ("你好", 0.2, 1.0), ("吗", 1.1, 1.5), ("很好", 2.7, 3.5))
    assert [part.text for part in divide_by_speaker([whole], TURNS)] == ["你好吗", "很好"]
    assert [part.speaker for part in divide_by_speaker([segment(" hm")], TURNS)] == [1]
    whole = segment(" so", ("so", 0.0, 0.5))
    assert divide_by_speaker([whole], ())[0].speaker == 0
    assert divide_by_speaker([whole], None) == (whole,)


@pytest.mark.parametrize(
    ("start_s", "end_s", "speaker"),
    [
        (0.5, 1.0, 0),
        (1.9, 3.0, 1),  # more of it is the second's
        (2.05, 2.1, 0),  # between two turns: the nearest
        (2.4, 2.45, 1),
        (9.0, 9.5, 0),  # after the last
    ],
)
def test_word_belongs_to_the_turn_that_holds_most_of_it(start_s: float, end_s: float, speaker: int) -> None:
    (found,) = divide_by_speaker([segment(" so", ("so", start_s, end_s))], TURNS)
    assert found.speaker == speaker
