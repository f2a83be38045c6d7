"""Solves for the timbre weights of the mix with the embedding nearest to a target."""

import numpy as np
import numpy.typing as npt

from kani.engines.kokoro.voices import MAX_NEGATIVE_WEIGHT, MAX_WEIGHT, MIN_WEIGHT

_STEPS = 200
_HALVINGS = 40

_INITIAL_RIDGE = 0.1
_RIDGE_UP, _RIDGE_DOWN = 4.0, 0.5
_MIN_CHANGE = 1e-6

Array = npt.NDArray[np.float64]


def solve_weights(table: Array, target: Array, ridge: float, near: Array | None = None) -> Array:
    """Weights [V] that minimise the distance from ``weights @ table`` to ``target`` [256].

    They sum to 1 and keep the limits of ``voices``. table: [V, 256]; ridge: penalty on the squared
    distance from ``near`` (default: equal weights). Accelerated projected gradients (Beck and Teboulle
    2009): 10 ms for 37 voices.
    """
    centre = np.full(len(table), 1 / len(table)) if near is None else near
    gram = table @ table.T + ridge * np.eye(len(table))
    pull = table @ target + ridge * centre
    step = 1 / float(np.linalg.eigvalsh(gram)[-1])
    weights = ahead = project_to_limits(centre)
    momentum = 1.0
    for _ in range(_STEPS):
        before = weights
        weights = project_to_limits(ahead - step * (gram @ ahead - pull))
        faster = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = weights + (momentum - 1) / faster * (weights - before)
        momentum = faster
    return _limit_negative(weights)


def project_to_limits(weights: Array) -> Array:
    """Project onto the weights that sum to 1, each within its limits (bisection on a common shift)."""
    low, high = float(weights.min()) - MAX_WEIGHT, float(weights.max()) - MIN_WEIGHT
    for _ in range(_HALVINGS):
        shift = (low + high) / 2
        if np.clip(weights - shift, MIN_WEIGHT, MAX_WEIGHT).sum() > 1:
            low = shift
        else:
            high = shift
    return np.clip(weights - high, MIN_WEIGHT, MAX_WEIGHT)


def _limit_negative(weights: Array) -> Array:
    """Limit the sum of the negative weights by interpolating towards the positive ones."""
    below = float(-weights[weights < 0].sum())
    if below <= MAX_NEGATIVE_WEIGHT:
        return weights
    share = MAX_NEGATIVE_WEIGHT / below
    above = np.maximum(weights, 0)
    return np.asarray(share * weights + (1 - share) * above / above.sum())


class WeightSearch:
    """Iterative search for the weights of the mix that measures nearest to a target.

    A damped Gauss-Newton method: the table's prediction of a change is applied to the measured embedding of
    the best weights so far, and each measurement corrects the table (Broyden 1965). After a try that measures
    worse the next one stays closer to the best weights.
    """

    def __init__(self, table: Array, target: Array, weights: Array, measured: Array) -> None:
        """table: [V, 256]; target: unit embedding; measured: embedding measured with ``weights`` [V]."""
        self._table = table.copy()
        self._target = target
        self._ridge = _INITIAL_RIDGE
        self.weights, self._measured = weights, measured
        self.similarity = float(measured @ target)

    def propose(self) -> Array:
        """Weights to try next."""
        offset = self._measured - self.weights @ self._table
        return solve_weights(self._table, self._target - offset, self._ridge, near=self.weights)

    def observe(self, weights: Array, measured: Array) -> bool:
        """Add the embedding measured with ``weights``; returns whether they are the best so far."""
        change = weights - self.weights
        missed = measured - self._measured - change @ self._table
        self._table += np.outer(change, missed) / (change @ change + _MIN_CHANGE)
        similarity = float(measured @ self._target)
        better = similarity > self.similarity
        self._ridge *= _RIDGE_DOWN if better else _RIDGE_UP
        if better:
            self.weights, self._measured, self.similarity = weights, measured, similarity
        return better
