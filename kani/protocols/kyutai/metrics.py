"""Prometheus metrics under the names of moshi-server (its metrics.rs), for the dashboards made for it."""

from typing import Literal

from prometheus_client import CollectorRegistry, Gauge, Histogram

HANDLER = "all"
SPEECH_STEP_BUCKETS = (0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.08)
SPEECH_STEPS_BUCKETS = (2, 25, 62.5, 125, 250, 500, 750)
RECOGNITION_STEP_BUCKETS = (0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08)
RECOGNITION_STEPS_BUCKETS = (2, 25, 125, 250, 500, 750, 1125, 1500, 2250, 3000, 4500)


class KyutaiMetrics:
    """Metrics of one server in ``registry``. A step is a frame of 80 ms."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, about: str, mode: Literal["sum", "livesum"] = "livesum") -> Gauge:
            return Gauge(name, about, ["handler"], registry=registry, multiprocess_mode=mode).labels(HANDLER)

        def counter(name: str, about: str) -> Gauge:
            # A Counter's name would get the suffix ``_total``, which moshi-server's names lack.
            return gauge(name, about, "sum")

        def histogram(name: str, about: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(name, about, buckets=buckets, registry=registry)

        self.speaking = self.listening = 0  # clients of this process connected now
        self._py_connect = counter("py_connect", "Clients that connected for speech.")
        self._py_open = gauge("py_open_channels", "Clients connected now for speech.")
        self._py_spoken = (
            counter("py_total_steps", "Steps of 80 ms that were synthesized."),
            counter("py_active_steps", "The same: every step has a client."),
            counter("py_could_have_run_steps", "The same: no step waits for another."),
        )
        self.missing_words = counter(
            "py_missing_words_steps", "Texts that were flushed because no word came for a while."
        )
        self._py_step = histogram(
            "py_model_step_duration", "Seconds to synthesize a step.", SPEECH_STEP_BUCKETS
        )
        self._py_steps = histogram(
            "py_model_connection_num_steps", "Steps sent on a speech connection.", SPEECH_STEPS_BUCKETS
        )
        self._asr_connect = counter("asr_connect", "Clients that connected for recognition.")
        self._asr_open = gauge("asr_open_channels", "Clients connected now for recognition.")
        self.recognition_step = histogram(
            "asr_model_step_duration",
            "Seconds from the arrival of a step's audio to its recognition.",
            RECOGNITION_STEP_BUCKETS,
        )
        self._asr_steps = histogram(
            "asr_connection_num_steps",
            "Steps recognized on a recognition connection.",
            RECOGNITION_STEPS_BUCKETS,
        )
        self._post_connect = counter("py_post_connect", "Recordings that were made into a voice.")
        self._post_duration = histogram(
            "py_post_model_duration", "Seconds to make a recording into a voice.", RECOGNITION_STEP_BUCKETS
        )

    def speech_opened(self) -> None:
        self._py_connect.inc()
        self.speaking += 1
        self._py_open.inc()

    def speech_closed(self, steps: int) -> None:
        """Count the end of a speech connection on which ``steps`` frames were sent."""
        self.speaking -= 1
        self._py_open.dec()
        self._py_steps.observe(steps)

    def frames_spoken(self, steps: int, seconds: float) -> None:
        """Count ``steps`` frames, ready ``seconds`` after the frames before them, or after their text."""
        for counter in self._py_spoken:
            counter.inc(steps)
        for _ in range(steps):
            self._py_step.observe(seconds / steps)

    def recognition_opened(self) -> None:
        self._asr_connect.inc()
        self.listening += 1
        self._asr_open.inc()

    def recognition_closed(self, steps: int) -> None:
        """Count the end of a recognition connection on which ``steps`` frames were recognized."""
        self.listening -= 1
        self._asr_open.dec()
        self._asr_steps.observe(steps)

    def voice_embedded(self, seconds: float) -> None:
        """Count a recording that was made into a voice in ``seconds``."""
        self._post_connect.inc()
        self._post_duration.observe(seconds)
