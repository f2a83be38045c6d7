"""Prometheus metrics under the names of VoxCPM's server (its kani/server/metrics.py), for its dashboards."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

DURATION_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 300, 600)
AUDIO_BUCKETS = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600)


class VoxCPMMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "voxcpm_tts_requests", "Requests that ended.", ["mode", "status"], registry=registry
        )
        self._duration = Histogram(
            "voxcpm_tts_request_duration_seconds",
            "From a request to its last message.",
            ["mode"],
            buckets=DURATION_BUCKETS,
            registry=registry,
        )

        def gauge(name: str, about: str) -> Gauge:
            return Gauge(name, about, registry=registry, multiprocess_mode="livesum")

        self.connections = gauge("voxcpm_tts_active_connections", "Clients of /tts connected now.")
        self.queue = gauge("voxcpm_tts_queue_length", "Requests queued now.")
        self._running = gauge("voxcpm_tts_running_tasks", "Requests being synthesized now.")
        self._errors = Counter("voxcpm_tts_errors", "Errors sent.", ["error_code"], registry=registry)
        self.audio = Histogram(
            "voxcpm_tts_audio_duration_seconds",
            "Audio of requests that succeeded.",
            buckets=AUDIO_BUCKETS,
            registry=registry,
        )

    def request_started(self) -> None:
        self.queue.dec()
        self._running.inc()

    def request_ended(self, mode: str, status: str, seconds: float, started: bool) -> None:
        """Count a request that ended ``seconds`` after it came.

        mode: "streaming" or "non_streaming"; status: "success", "failed" or "cancelled"; started: whether it
        had left the queue.
        """
        (self._running if started else self.queue).dec()
        self._requests.labels(mode, status).inc()
        self._duration.labels(mode).observe(seconds)

    def error_sent(self, code: str) -> None:
        """Count an error sent to a client; code: one of the protocol's."""
        self._errors.labels(code).inc()
