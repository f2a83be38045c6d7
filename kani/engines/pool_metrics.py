"""Prometheus metrics of the workers that listen, by worker, and of restarts of engines."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True)
class WorkerState:
    replica: str  # name of the worker, or its address
    slots: int  # slots, for the segments of all servers; 0 if it cannot be used, 1 of a recogniser that can
    exchanges: int  # segments, or recognitions, of this server that it has


States = Callable[[], Iterable[WorkerState]]


class WorkerMetrics(Collector):
    """Reports the workers at each scrape; one that is gone leaves no series."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.engines: States = tuple
        """Asked for the states of the engine's workers."""
        self.recognizers: States = tuple
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        slots = GaugeMetricFamily(
            "kani_worker_slots", "Slots of an engine worker; 0 while it cannot be used.", labels=["replica"]
        )
        segments = GaugeMetricFamily(
            "kani_worker_segments", "Segments of this server that an engine worker has.", labels=["replica"]
        )
        for state in self.engines():
            slots.add_metric([state.replica], state.slots)
            segments.add_metric([state.replica], state.exchanges)
        usable = GaugeMetricFamily(
            "kani_recognizer_worker_usable",
            "1 while a recogniser's worker can be used, else 0.",
            labels=["replica"],
        )
        recognitions = GaugeMetricFamily(
            "kani_recognizer_worker_recognitions",
            "Recognitions of this server that a recogniser's worker has.",
            labels=["replica"],
        )
        for state in self.recognizers():
            usable.add_metric([state.replica], state.slots)
            recognitions.add_metric([state.replica], state.exchanges)
        yield from (slots, segments, usable, recognitions)


class Restarts:
    """Counts workers that were lost and reached again."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._restarts = Counter(
            "kani_engine_restarts",
            "Times that an engine's process was started, or its worker reached, again.",
            ["engine"],
            registry=registry,
        )

    def of(self, name: str) -> Callable[[], None]:
        """Return the function that counts a restart of the engine or recogniser ``name``."""
        return self._restarts.labels(name).inc
