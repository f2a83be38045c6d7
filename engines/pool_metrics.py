"""Prometheus metrics of the engine workers that listen, by worker."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A worker as a server sees it."""

    replica: str
    """Its name, or its address."""
    slots: int
    """Slots, for the segments of all servers; 0 if it cannot be used."""
    segments: int
    """Segments of this server that it has."""


class WorkerMetrics(Collector):
    """Reports the workers at each scrape; one that is gone leaves no series behind."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """registry: holds the metrics."""
        self._states: Callable[[], Iterable[WorkerState]] = tuple
        registry.register(self)

    def watch(self, states: Callable[[], Iterable[WorkerState]]) -> None:
        """Report what ``states`` returns."""
        self._states = states

    def collect(self) -> Iterator[Metric]:
        """See ``Collector``."""
        slots = GaugeMetricFamily(
            "kani_worker_slots", "Slots of an engine worker; 0 while it cannot be used.", labels=["replica"]
        )
        segments = GaugeMetricFamily(
            "kani_worker_segments", "Segments of this server that an engine worker has.", labels=["replica"]
        )
        for state in self._states():
            slots.add_metric([state.replica], state.slots)
            segments.add_metric([state.replica], state.segments)
        yield slots
        yield segments
