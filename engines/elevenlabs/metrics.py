"""What is counted of ElevenLabs' own service, where it speaks."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter

from engines.elevenlabs.meter import UpstreamMeter


class UpstreamMetrics(UpstreamMeter):
    """Counts in ``registry``."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._failures = Counter(
            "kani_elevenlabs_failures", "Times that ElevenLabs failed.", ["code"], registry=registry
        )
        self._stood_in = Counter(
            "kani_elevenlabs_stood_in",
            "Segments that a voice of this machine spoke in ElevenLabs' place.",
            ["engine"],
            registry=registry,
        )

    def count_failure(self, code: str) -> None:
        """ElevenLabs failed once."""
        self._failures.labels(code).inc()

    def count_fallback(self, engine: str) -> None:
        """A segment was spoken by ``engine`` in its place."""
        self._stood_in.labels(engine).inc()
