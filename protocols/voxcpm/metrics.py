"""Metrics that dashboards of VoxCPM's server read, by its names (server/metrics.py of the original)."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from protocols.voxcpm.meter import Meter

DURATION_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 300, 600)
AUDIO_BUCKETS = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600)


class VoxCPMMetrics(Meter):
    """The meter of one server, kept in ``registry``."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "voxcpm_tts_requests",
            "Requests that are over, by how they ended.",
            ["mode", "status"],
            registry=registry,
        )
        self._duration = Histogram(
            "voxcpm_tts_request_duration_seconds",
            "From a request to its last message.",
            ["mode"],
            buckets=DURATION_BUCKETS,
            registry=registry,
        )
        self._connections = Gauge(
            "voxcpm_tts_active_connections", "Clients of /tts connected now.", registry=registry
        )
        self._queue = Gauge(
            "voxcpm_tts_queue_length", "Requests that wait for their turn now.", registry=registry
        )
        self._running = Gauge(
            "voxcpm_tts_running_tasks", "Requests that are being spoken now.", registry=registry
        )
        self._errors = Counter(
            "voxcpm_tts_errors", "Errors that clients were told of.", ["error_code"], registry=registry
        )
        self._audio = Histogram(
            "voxcpm_tts_audio_duration_seconds",
            "Audio of requests that were spoken to their end.",
            buckets=AUDIO_BUCKETS,
            registry=registry,
        )

    def connected(self) -> None:
        """A client connected."""
        self._connections.inc()

    def disconnected(self) -> None:
        """It has gone."""
        self._connections.dec()

    def request_queued(self) -> None:
        """A request came, and waits for its turn."""
        self._queue.inc()

    def request_started(self) -> None:
        """It has its turn."""
        self._queue.dec()
        self._running.inc()

    def request_ended(self, mode: str, status: str, seconds: float, begun: bool) -> None:
        """A request is over, so long after it came; begun: whether it had its turn."""
        (self._running if begun else self._queue).dec()
        self._requests.labels(mode, status).inc()
        self._duration.labels(mode).observe(seconds)

    def request_spoken(self, seconds: float) -> None:
        """A request was spoken to its end; so much audio it was."""
        self._audio.observe(seconds)

    def error_sent(self, code: str) -> None:
        """A client was told of an error."""
        self._errors.labels(code).inc()
