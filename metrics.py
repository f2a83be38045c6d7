"""What is counted and timed, by its Prometheus name."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from speech.observer import Observer

FIRST_AUDIO_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10)
SYNTHESIS_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32)


class Metrics(Observer):
    """The observer of one server, kept in a registry of its own.

    ``protocol`` labels are the dialects' names, ``engine`` labels the engines': both are few.
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, version: str) -> None:
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        Info("kani_build", "The version that runs.", registry=registry).info({"version": version})
        self._requests = Counter(
            "kani_requests", "Speech sessions that were admitted.", ["protocol"], registry=registry
        )
        self._sessions = Gauge("kani_sessions", "Speech sessions open now.", ["protocol"], registry=registry)
        self._first_audio = Histogram(
            "kani_first_audio_seconds",
            "From a session's first text to its first audio.",
            ["protocol", "engine"],
            buckets=FIRST_AUDIO_BUCKETS,
            registry=registry,
        )
        self._synthesis = Histogram(
            "kani_synthesis_seconds",
            "Time an engine took for one segment.",
            ["protocol", "engine"],
            buckets=SYNTHESIS_BUCKETS,
            registry=registry,
        )
        self._speech = Counter(
            "kani_speech_seconds", "Audio that engines produced.", ["protocol", "engine"], registry=registry
        )
        self._cancellations = Counter(
            "kani_cancellations", "Sessions ended by their client early.", ["protocol"], registry=registry
        )
        self._refusals = Counter(
            "kani_refusals", "Sessions that were not admitted.", ["protocol", "reason"], registry=registry
        )
        self._failures = Counter(
            "kani_engine_failures", "Engines that broke.", ["protocol", "engine"], registry=registry
        )
        self._waiting = Gauge("kani_waiting", "Syntheses that wait for an engine now.", registry=registry)
        self._speaking = Gauge("kani_speaking", "Engine places taken now.", registry=registry)
        self._connections = Gauge("kani_connections", "WebSocket connections open now.", registry=registry)

    def session_opened(self, protocol: str) -> None:
        """A session was admitted."""
        self._requests.labels(protocol).inc()
        self._sessions.labels(protocol).inc()

    def session_closed(self, protocol: str) -> None:
        """A session ended, however it ended."""
        self._sessions.labels(protocol).dec()

    def first_audio(self, protocol: str, engine: str, seconds: float) -> None:
        """A session's first audio was ready, ``seconds`` after its first text."""
        self._first_audio.labels(protocol, engine).observe(seconds)

    def segment_spoken(self, protocol: str, engine: str, wall_s: float, audio_s: float) -> None:
        """An engine spoke a segment of ``audio_s`` seconds in ``wall_s`` seconds."""
        self._synthesis.labels(protocol, engine).observe(wall_s)
        self._speech.labels(protocol, engine).inc(audio_s)

    def cancelled(self, protocol: str) -> None:
        """A session was ended by its client before its speech was complete."""
        self._cancellations.labels(protocol).inc()

    def refused(self, protocol: str, reason: str) -> None:
        """A session was not admitted: "sessions", "queue", "rate" or "draining"."""
        self._refusals.labels(protocol, reason).inc()

    def failed(self, protocol: str, engine: str) -> None:
        """An engine broke."""
        self._failures.labels(protocol, engine).inc()

    def waiting(self, count: int) -> None:
        """So many syntheses wait for an engine place now."""
        self._waiting.set(count)

    def speaking(self, count: int) -> None:
        """So many engine places are taken now."""
        self._speaking.set(count)

    def connections(self, count: int) -> None:
        """So many WebSocket connections are open now."""
        self._connections.set(count)

    def totals(self) -> dict[str, int]:
        """The counters, each summed over its labels, since the server started."""
        counters = {
            "requests": self._requests,
            "cancellations": self._cancellations,
            "refusals": self._refusals,
            "failures": self._failures,
        }
        return {name: _total(counter) for name, counter in counters.items()}

    def text(self) -> bytes:
        """Everything in Prometheus' text format (``content_type``)."""
        return generate_latest(self.registry)


def _total(counter: Counter) -> int:
    samples = (sample for family in counter.collect() for sample in family.samples)
    return round(sum(sample.value for sample in samples if sample.name.endswith("_total")))
