"""What dashboards for Kyutai's server read, by the names that it gives (metrics.rs of moshi-server)."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Gauge, Histogram
from prometheus_client.core import UnknownMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from protocols.kyutai.meter import Meter

HANDLER = "all"
SPEECH_STEP_BUCKETS = (0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.08)
SPEECH_STEPS_BUCKETS = (2, 25, 62.5, 125, 250, 500, 750)
RECOGNITION_STEP_BUCKETS = (0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08)
RECOGNITION_STEPS_BUCKETS = (2, 25, 125, 250, 500, 750, 1125, 1500, 2250, 3000, 4500)


class _Counter(Collector):
    """A counter by its bare name: prometheus_client's own end in ``_total``, which Kyutai's do not."""

    def __init__(self, name: str, about: str, registry: CollectorRegistry) -> None:
        self._name = name
        self._about = about
        self._count = 0
        registry.register(self)

    def inc(self, count: int = 1) -> None:
        """Count so many more."""
        self._count += count

    def collect(self) -> Iterable[Metric]:
        """The counter now. Its type is left open, as the library renames what is called a counter."""
        family = UnknownMetricFamily(self._name, self._about, labels=["handler"])
        family.add_metric([HANDLER], self._count)
        return [family]


class KyutaiMetrics(Meter):
    """The meter of one server, kept in ``registry``. A step is a frame of 80 ms."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, about: str) -> _Counter:
            return _Counter(name, about, registry)

        def gauge(name: str, about: str) -> Gauge:
            return Gauge(name, about, ["handler"], registry=registry).labels(HANDLER)

        def histogram(name: str, about: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(name, about, buckets=buckets, registry=registry)

        self._py_connect = counter("py_connect", "Clients that connected to hear speech.")
        self._py_open = gauge("py_open_channels", "Clients connected now to hear speech.")
        self._py_total = counter("py_total_steps", "Steps of 80 ms that were spoken.")
        self._py_active = counter("py_active_steps", "The same: no step is spoken for nobody.")
        self._py_could_run = counter("py_could_have_run_steps", "The same: no step waits for another.")
        self._py_missing_words = counter(
            "py_missing_words_steps", "How often what was there was spoken without what was still to come."
        )
        self._py_step = histogram(
            "py_model_step_duration", "Seconds that a step took to be spoken.", SPEECH_STEP_BUCKETS
        )
        self._py_steps = histogram(
            "py_model_connection_num_steps", "Steps that a connection heard.", SPEECH_STEPS_BUCKETS
        )
        self._asr_connect = counter("asr_connect", "Clients that connected to be heard.")
        self._asr_open = gauge("asr_open_channels", "Clients connected now to be heard.")
        self._asr_step = histogram(
            "asr_model_step_duration",
            "Seconds from a step's audio to its being heard.",
            RECOGNITION_STEP_BUCKETS,
        )
        self._asr_steps = histogram(
            "asr_connection_num_steps", "Steps of a connection that were heard.", RECOGNITION_STEPS_BUCKETS
        )
        self._post_connect = counter("py_post_connect", "Recordings that were turned into a voice.")
        self._post_duration = histogram(
            "py_post_model_duration",
            "Seconds that a recording took to become a voice.",
            RECOGNITION_STEP_BUCKETS,
        )

    def speech_opened(self) -> None:
        """A client connected to hear speech."""
        self._py_connect.inc()
        self._py_open.inc()

    def speech_closed(self, steps: int) -> None:
        """It has gone, after so many steps."""
        self._py_open.dec()
        self._py_steps.observe(steps)

    def frames_spoken(self, steps: int, seconds: float) -> None:
        """So many steps were ready ``seconds`` after those before them, or after their text."""
        for counter in (self._py_total, self._py_active, self._py_could_run):
            counter.inc(steps)
        for _ in range(steps):
            self._py_step.observe(seconds / steps)

    def idle_flushed(self) -> None:
        """What was there is spoken without what may still come, which was waited for long enough."""
        self._py_missing_words.inc()

    def recognition_opened(self) -> None:
        """A client connected to be heard."""
        self._asr_connect.inc()
        self._asr_open.inc()

    def recognition_closed(self, steps: int) -> None:
        """It has gone, after so many steps."""
        self._asr_open.dec()
        self._asr_steps.observe(steps)

    def frame_recognized(self, seconds: float) -> None:
        """A step was told ``seconds`` after its audio was there."""
        self._asr_step.observe(seconds)

    def voice_embedded(self, seconds: float) -> None:
        """A recording was turned into a voice."""
        self._post_connect.inc()
        self._post_duration.observe(seconds)
