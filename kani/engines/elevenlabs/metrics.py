"""Prometheus metrics of ElevenLabs' service, where it is the engine."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter


class UpstreamMetrics:
    """Counts failures of the service, and segments that the fallback engine spoke."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """registry: holds the counters."""
        self._failures = Counter(
            "kani_elevenlabs_failures", "Failures of ElevenLabs.", ["code"], registry=registry
        )
        self._fallbacks = Counter(
            "kani_elevenlabs_fallbacks",
            "Segments spoken by the fallback engine instead of ElevenLabs.",
            ["engine"],
            registry=registry,
        )

    def count_failure(self, code: str) -> None:
        """Count a failure; ``code``: ``UpstreamFailed.metric_code``."""
        self._failures.labels(code).inc()

    def count_fallback(self, engine: str) -> None:
        """Count a segment that ``engine`` spoke instead of ElevenLabs."""
        self._fallbacks.labels(engine).inc()
