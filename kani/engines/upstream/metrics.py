"""Prometheus metrics of a service that is the engine."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter


class UpstreamMetrics:
    """Counts failures of the service, and segments that the fallback engine spoke."""

    def __init__(self, registry: CollectorRegistry, name: str, service: str) -> None:
        """registry: holds the counters; name: in their names; service: its name for people."""
        self.service = service
        self._failures = Counter(
            f"kani_{name}_failures", f"Failures of {service}.", ["code"], registry=registry
        )
        self._fallbacks = Counter(
            f"kani_{name}_fallbacks",
            f"Segments spoken by the fallback engine instead of {service}.",
            ["engine"],
            registry=registry,
        )

    def count_failure(self, code: str) -> None:
        """Count a failure; ``code``: one of few, such as ``UpstreamFailed.metric_code``."""
        self._failures.labels(code).inc()

    def count_fallback(self, engine: str) -> None:
        """Count a segment that ``engine`` spoke instead of the service."""
        self._fallbacks.labels(engine).inc()
