"""Agglomerative clustering of speaker embeddings by average linkage, and the smoothing of labels in time."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

MAX_CLUSTERED = 1_500
"""Embeddings that are clustered at once: 9 MB of similarities. Of more, this many evenly spaced ones are."""

MIN_SIMILARITY = 0.74
"""Mean cosine from which on two clusters are one speaker, where the number of speakers is not given."""

MIN_SIMILARITY_OF_GIVEN = 0.78
"""The same, where it is given: fewer are found only if voices are as near as windows of one speaker."""

MIN_CLUSTER = 4
"""Embeddings of the smallest cluster that is a speaker: 3 s of speech."""

FAR, MIN_FAR_CLUSTER = 0.6, 2
"""Mean cosine to all others below which a smaller cluster is a speaker, too, and its least embeddings."""

MIN_SHARE = 0.01
"""Share of the embeddings that the smallest cluster has: odd sounds add up in a long recording."""

MIN_SIMILARITY_TO_KNOWN = 0.80
"""Cosine of a speaker's mean embedding and a known voice's from which on they are one speaker."""

_ROUNDS = 4


def find_speakers(embeddings: Array, speakers: int | None, most: int) -> Array:
    """Return the centroids [k, m] of the speakers, each of length 1; k is from 1 to ``most``.

    embeddings: [n, m], n > 0, each of length 1; speakers: their greatest number, None where it is unknown.
    Takes time and memory of ``MAX_CLUSTERED``² at most.
    """
    count = len(embeddings)
    at = np.linspace(0, count - 1, min(count, MAX_CLUSTERED)).round().astype(int)
    sample = embeddings[at]
    merges, similarities = average_linkage(sample)
    least = MIN_SIMILARITY if speakers is None else MIN_SIMILARITY_OF_GIVEN
    allowed = most if speakers is None else min(speakers, most)
    kept = _count(similarities, least)
    while True:
        labels = cut(merges, kept, len(sample))
        sizes = np.bincount(labels)
        smallest = max(MIN_CLUSTER, MIN_SHARE * len(sample))
        large = np.flatnonzero(sizes >= min(smallest, sizes.max()))
        if len(large) <= allowed or kept == len(merges):
            break
        kept += 1
    if len(large) < allowed:
        labels, large = _with_far_clusters(labels, large, cut(merges, _count(similarities, FAR), len(sample)))
        sizes = np.bincount(labels)
    large = large[np.argsort(-sizes[large], kind="stable")][:allowed]
    centroids = _unit(np.stack([sample[labels == one].mean(axis=0) for one in large]))
    return _refined(embeddings, centroids)


def with_known(centroids: Array, known: Sequence[Array]) -> Labels:
    """Return the speaker [k] of each of the ``centroids`` [k, m]: a place in ``known``, or a later number.

    known: embeddings [m] of length 1. Several centroids may be one known speaker's.
    """
    owners = len(known) + np.arange(len(centroids))
    if len(known):
        similar = centroids @ np.stack(known).T
        near = similar.max(axis=1) >= MIN_SIMILARITY_TO_KNOWN
        owners[near] = similar.argmax(axis=1)[near]
    return owners.astype(np.int64)


def average_linkage(embeddings: Array) -> tuple[Labels, Array]:
    """Return the merges [n - 1, 2], members of the clusters that merge, and their mean cosines, falling.

    By chains of nearest neighbours: n² time and memory.
    """
    count = len(embeddings)
    similar = embeddings @ embeddings.T
    np.fill_diagonal(similar, -np.inf)
    sizes = np.ones(count, np.float32)
    merges, heights = np.zeros((max(count - 1, 0), 2), np.int64), np.zeros(max(count - 1, 0), np.float32)
    alive = np.ones(count, bool)
    chain: list[int] = []
    for step in range(count - 1):
        if not chain:
            chain.append(int(np.argmax(alive)))
        while True:
            last = chain[-1]
            nearest = int(np.argmax(similar[last]))
            # The one before wins a tie, or a chain could run in a circle.
            if len(chain) > 1 and similar[last, chain[-2]] >= similar[last, nearest]:
                nearest = chain[-2]
                break
            chain.append(nearest)
        del chain[-2:]
        merges[step], heights[step] = (nearest, last), similar[last, nearest]
        whole = sizes[last] + sizes[nearest]
        merged = (sizes[last] * similar[last] + sizes[nearest] * similar[nearest]) / whole
        merged[nearest] = -np.inf
        similar[nearest], similar[:, nearest] = merged, merged
        similar[last], similar[:, last] = -np.inf, -np.inf
        sizes[nearest], alive[last] = whole, False
    order = np.argsort(-heights, kind="stable")
    return merges[order], heights[order]


def cut(merges: Labels, kept: int, count: int) -> Labels:
    """Return the label [count], from 0 on, of each embedding once the first ``kept`` merges were done."""
    parents = list(range(count))

    def root(one: int) -> int:
        while parents[one] != one:
            parents[one] = parents[parents[one]]
            one = parents[one]
        return one

    for first, second in merges[:kept]:
        parents[root(int(second))] = root(int(first))
    return np.unique([root(one) for one in range(count)], return_inverse=True)[1].astype(np.int64)


def smooth(scores: Array, penalties: Array) -> Labels:
    """Return the likeliest label of each row of ``scores`` [n, k] (Viterbi).

    penalties: [n], what a change of the label costs before each row; the first is not read.
    """
    count, speakers = scores.shape
    best = scores[0].astype(np.float64)
    came_from = np.zeros((count, speakers), np.int64)
    for at in range(1, count):
        top = int(best.argmax())
        changed = best[top] - penalties[at]
        came_from[at] = np.where(best >= changed, np.arange(speakers), top)
        best = np.maximum(best, changed) + scores[at]
    labels = np.zeros(count, np.int64)
    labels[-1] = best.argmax()
    for at in range(count - 1, 0, -1):
        labels[at - 1] = came_from[at, labels[at]]
    return labels


def _count(similarities: Array, least: float) -> int:
    return int(np.count_nonzero(similarities >= least))


def _with_far_clusters(labels: Labels, large: Labels, coarse: Labels) -> tuple[Labels, Labels]:
    """Add the clusters of ``coarse`` without a large one; return all labels and the large ones."""
    smallest = max(MIN_FAR_CLUSTER, MIN_SHARE * len(labels))
    labels = labels.copy()
    for one in set(coarse.tolist()) - set(coarse[np.isin(labels, large)].tolist()):
        members = coarse == one
        if np.count_nonzero(members) >= smallest:
            labels[members] = labels.max() + 1
            large = np.append(large, labels.max())
    return labels, large


def _refined(embeddings: Array, centroids: Array) -> Array:
    """Return the centroids of the embeddings nearest to each."""
    for _ in range(_ROUNDS):
        nearest = (embeddings @ centroids.T).argmax(axis=1)
        members = [embeddings[nearest == one] for one in range(len(centroids))]
        centroids = _unit(np.stack([own.mean(axis=0) for own in members if len(own)]))
    return centroids


def _unit(vectors: Array) -> Array:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)
