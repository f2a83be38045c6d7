"""Clusters of embeddings, and labels smoothed in time."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from kani.core.diarization.clustering import (
    MAX_CLUSTERED,
    Array,
    average_linkage,
    cut,
    find_speakers,
    smooth,
)

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
        assert {frozenset(np.flatnonzero(labels == one).tolist()) for one in set(labels.tolist())} == {
            frozenset(cluster) for cluster in clusters
        }


@pytest.mark.parametrize("counts", [(1,), (20,), (20, 5), (30, 20, 10, 8)])
def test_number_of_speakers_is_found(counts: tuple[int, ...]) -> None:
    embeddings = windows(*counts)
    centroids = find_speakers(embeddings, None, 32)
    assert len(centroids) == len(counts)
    labels = speakers_of(embeddings, centroids)
    firsts = np.cumsum([0, *counts])
    groups = [set(labels[begin:end]) for begin, end in pairwise(firsts)]
    assert all(len(group) == 1 for group in groups) and len(set.union(*groups)) == len(counts)


def test_given_number_is_the_greatest() -> None:
    embeddings = windows(30, 20, 10)
    assert len(find_speakers(embeddings, 2, 32)) == 2
    assert len(find_speakers(embeddings, 1, 32)) == 1
    assert len(find_speakers(embeddings, 32, 32)) == 3
    assert len(find_speakers(windows(10, 10, 10, 10), None, 3)) == 3


def test_single_odd_window_is_no_speaker() -> None:
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
