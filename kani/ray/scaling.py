"""The number of replicas that the utterances under way need.

Ray copies this module into its controller, so it imports nothing of this repository.
"""

from typing import Any

UTTERANCES, SLOTS = "utterances", "slots"
"""Names of what a replica reports: utterances that it speaks or that wait there, and its slots."""


class ByUtterances:
    """An autoscaling policy of Ray Serve; Serve itself applies the limits and the delays."""

    def __init__(self, load: float) -> None:
        """load: utterances for each slot that are aimed at, 0 to 1."""
        self._load = load

    def __call__(self, context: Any) -> tuple[float, dict[str, Any]]:
        """Return the number of replicas, as a fraction, and an empty state of the policy.

        context: ``ray.serve.config.AutoscalingContext``.
        """
        utterances = context.aggregated_metrics.get(UTTERANCES, {})
        slots = context.aggregated_metrics.get(SLOTS, {})
        if not slots:
            # No replica has reported yet.
            return context.target_num_replicas, {}
        slots_of_one = sum(slots.values()) / len(slots)
        return sum(utterances.values()) / (self._load * slots_of_one), {}
