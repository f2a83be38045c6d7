"""Metrics of the server, by their Prometheus names."""

import operator
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Literal

import prometheus_client as prometheus
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from typing_extensions import override

from kani.core import shared_numbers
from kani.core.observer import Observer
from kani.core.shared_numbers import Number
from kani.server.network.tcp_connections import CLOSE_REASONS

FIRST_AUDIO_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10)
SYNTHESIS_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32)
TURN_BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 60, 120)
SESSION_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600)
QUEUE_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
RECOGNITION_LAG_BUCKETS = (0.08, 0.16, 0.24, 0.4, 0.8, 1.6, 4, 8, 16, 60)
Mode = Literal["all", "livesum", "livemax"]
"""Way in which a gauge that is set adds up over processes; ``all``: a function returns its value."""

MOST_READS, TOTALS_S = 100, 1.0  # reads of files that are being made; age of the sums of /health
REFUSALS = ("sessions", "queue", "rate", "draining")
LOOP_LAG_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

# A further sample per series, its creation time, which no query here uses.
prometheus.disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics(Observer):
    """Observer of one server, with a registry of its own.

    ``protocol`` labels are the names of protocols, ``engine`` labels those of engines: both are few.
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, version: str) -> None:
        registry = self.registry = prometheus.CollectorRegistry()
        self._engines: list[str] = []
        self._protocols: set[str] = set()
        self._counted, self._counted_until = dict[str, list[Metric]](), 0.0

        def counter(name: str, about: str, *labels: str) -> prometheus.Counter:
            return prometheus.Counter(name, about, labels, registry=registry)

        def gauge(name: str, about: str, *labels: str, mode: Mode = "all") -> prometheus.Gauge:
            return prometheus.Gauge(name, about, labels, registry=registry, multiprocess_mode=mode)

        def histogram(
            name: str, about: str, buckets: tuple[float, ...], *labels: str
        ) -> prometheus.Histogram:
            return prometheus.Histogram(name, about, labels, buckets=buckets, registry=registry)

        prometheus.PlatformCollector(registry=registry)
        if shared_numbers.shared is None:
            prometheus.ProcessCollector(registry=registry)
            prometheus.GCCollector(registry=registry)
            gauge("kani_threads", "Python threads of the server.").set_function(threading.active_count)
        prometheus.Info("kani_build", "Version of the server.", registry=registry).info({"version": version})
        self.ready = gauge("kani_ready", "1 while sessions are admitted, else 0.")
        self._requests = counter("kani_requests", "Sessions admitted.", "protocol")
        self._sessions = gauge("kani_sessions", "Open sessions.", "protocol", mode="livesum")
        self._session = histogram(
            "kani_session_seconds",
            "Duration of a speech session, from its opening to its end, by outcome.",
            SESSION_BUCKETS,
            "protocol",
            "outcome",
        )
        self._characters = counter(
            "kani_text_characters", "Characters of text, of ended speech sessions.", "protocol"
        )
        self._queue = histogram(
            "kani_queue_seconds", "Time a segment waited for a slot.", QUEUE_BUCKETS, "protocol", "engine"
        )
        self._first_audio = histogram(
            "kani_first_audio_seconds",
            "Time from a session's first text to its first audio.",
            FIRST_AUDIO_BUCKETS,
            "protocol",
            "engine",
        )
        self._synthesis = histogram(
            "kani_synthesis_seconds",
            "Time an engine took for one segment.",
            SYNTHESIS_BUCKETS,
            "protocol",
            "engine",
        )
        self._speech = counter("kani_speech_seconds", "Audio that engines produced.", "protocol", "engine")
        self._cancellations = counter(
            "kani_cancellations", "Speech sessions cancelled by their client.", "protocol"
        )
        self._refusals = counter("kani_refusals", "Sessions refused.", "protocol", "reason")
        self._estimated = counter(
            "kani_estimated_times", "Segments with estimated word times.", "protocol", "engine"
        )
        self._failures = counter("kani_engine_failures", "Failures of engines.", "protocol", "engine")
        self._waiting = gauge("kani_waiting", "Segments waiting for a slot.")
        self._waiting_limit = gauge(
            "kani_waiting_limit", "Most segments that may wait for a slot.", mode="livemax"
        )
        self._slots_in_use = gauge("kani_slots_in_use", "Slots in use.")
        self._slots = gauge(
            "kani_slots", "Slots of an engine: segments, or streams, that it synthesizes at once.", "engine"
        )
        self._loaded = gauge(
            "kani_engine_loaded", "1 while an engine, or the recogniser, is in memory, else 0.", "engine"
        )
        self.connections = gauge("kani_connections", "Open WebSocket connections.", mode="livesum")
        self._connections_limit = gauge(
            "kani_connections_limit", "Most WebSocket connections that may be open.", mode="livemax"
        )
        self._closed = counter("kani_connections_closed", "TCP connections closed by the server.", "reason")
        # Prometheus sees no increase in a series that starts at 1, so these start at 0.
        for reason in CLOSE_REASONS:
            self._closed.labels(reason)
        self._recognitions = gauge(
            "kani_recognition_sessions", "Open recognition sessions.", "protocol", mode="livesum"
        )
        self._recognized = counter("kani_recognized_seconds", "Recognized audio.", "protocol")
        self._recognition_lag = histogram(
            "kani_recognition_lag_seconds",
            "Delay of recognition after the audio, sampled every 80 ms of audio.",
            RECOGNITION_LAG_BUCKETS,
            "protocol",
        )
        self._turn = histogram(
            "kani_turn_seconds",
            "Stretches of a turn of a conversation: from its last sound to the decision that it has ended, "
            "to its last word, to the model's first text, to the first audio.",
            TURN_BUCKETS,
            "protocol",
            "stage",
        )
        self._early = counter(
            "kani_early_answers",
            "Answers of a conversation that were begun in a pause of the user: started, used, dropped.",
            "protocol",
            "outcome",
        )
        self.loop_lag = histogram(
            "kani_event_loop_lag_seconds", "Delay of the event loop's timers.", LOOP_LAG_BUCKETS
        )

    def set_limits(self, *, connections: int, waiting: int) -> None:
        self._connections_limit.set(connections)
        self._waiting_limit.set(waiting)

    @override
    def engine_ready(self, engine: str, slots: Callable[[], int]) -> None:
        self._slots.labels(engine).set_function(lambda: float(slots()))
        self._engines.append(engine)

    @override
    def watch_loaded(self, engine: str, loaded: Callable[[], bool]) -> None:
        self._loaded.labels(engine).set_function(lambda: float(loaded()))

    @override
    def watch_slots(self, waiting: Callable[[], int], in_use: Callable[[], int]) -> None:
        self._waiting.set_function(lambda: float(waiting()))
        self._slots_in_use.set_function(lambda: float(in_use()))

    @override
    def session_opened(self, protocol: str) -> None:
        if protocol not in self._protocols:
            self._start_counters(protocol)
        self._requests.labels(protocol).inc()
        self._sessions.labels(protocol).inc()

    def _start_counters(self, protocol: str) -> None:
        """Start the counters of a protocol at 0, so that the first event of each is an increase."""
        self._protocols.add(protocol)
        for reason in REFUSALS:
            self._refusals.labels(protocol, reason)
        for engine in self._engines:
            self._failures.labels(protocol, engine)
            self._speech.labels(protocol, engine)

    @override
    def session_closed(self, protocol: str) -> None:
        self._sessions.labels(protocol).dec()

    @override
    def synthesis_ended(self, protocol: str, outcome: str, seconds: float, characters: int) -> None:
        self._session.labels(protocol, outcome).observe(seconds)
        self._characters.labels(protocol).inc(characters)

    @override
    def slot_acquired(self, protocol: str, engine: str, seconds: float) -> None:
        self._queue.labels(protocol, engine).observe(seconds)

    @override
    def first_audio(self, protocol: str, engine: str, seconds: float) -> None:
        self._first_audio.labels(protocol, engine).observe(seconds)

    @override
    def segment_synthesized(self, protocol: str, engine: str, wall_s: float, audio_s: float) -> None:
        self._synthesis.labels(protocol, engine).observe(wall_s)
        self._speech.labels(protocol, engine).inc(audio_s)

    @override
    def timing_estimated(self, protocol: str, engine: str) -> None:
        self._estimated.labels(protocol, engine).inc()

    @override
    def session_cancelled(self, protocol: str) -> None:
        self._cancellations.labels(protocol).inc()

    @override
    def session_refused(self, protocol: str, reason: str) -> None:
        self._refusals.labels(protocol, reason).inc()

    @override
    def engine_failed(self, protocol: str, engine: str) -> None:
        self._failures.labels(protocol, engine).inc()

    def tcp_connection_closed(self, reason: str) -> None:
        """Count a TCP connection that the server closed, for one of ``CLOSE_REASONS``."""
        self._closed.labels(reason).inc()

    @override
    def recognition_opened(self, protocol: str) -> None:
        self._recognitions.labels(protocol).inc()

    @override
    def recognition_closed(self, protocol: str) -> None:
        self._recognitions.labels(protocol).dec()

    @override
    def audio_recognized(self, protocol: str, audio_s: float, lag_s: float) -> None:
        self._recognized.labels(protocol).inc(audio_s)
        self._recognition_lag.labels(protocol).observe(lag_s)

    @override
    def turn_stage(self, protocol: str, stage: str, seconds: float) -> None:
        self._turn.labels(protocol, stage).observe(seconds)

    @override
    def early_answer(self, protocol: str, outcome: str) -> None:
        self._early.labels(protocol, outcome).inc()

    def totals(self) -> dict[str, int]:
        """Return the main counters since the start, each summed over its labels."""
        counters = {
            "requests": self._requests,
            "cancellations": self._cancellations,
            "refusals": self._refusals,
            "failures": self._failures,
        }
        if (shared := shared_numbers.shared) is None:
            return {name: _total(counter.collect()) for name, counter in counters.items()}
        if time.monotonic() >= self._counted_until:
            self._counted_until = time.monotonic() + TOTALS_S
            self._counted = {each.name: [each] for each in _summed([*shared.folder.glob("counter_*.db")])}
        names = {name: next(iter(counter.describe())).name for name, counter in counters.items()}
        return {name: _total(self._counted.get(of, ())) for name, of in names.items()}

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics: sums over the processes of this server, where there are several."""
        if shared_numbers.shared is None:
            yield from self.registry.collect()
            return
        summed = {family.name: family for family in _summed([*shared_numbers.shared.folder.glob("*.db")])}
        for own in self.registry.collect():
            family = summed.pop(own.name, own)
            # A gauge by process is one that is computed now: of all processes, or the same in each.
            yield own if any("pid" in sample.labels for sample in family.samples) else family
        yield from summed.values()
        yield from _processes()

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format (``content_type``). Blocks: reads files of /proc."""
        return generate_latest(self)


def _summed(files: Sequence[Path]) -> Sequence[Metric]:
    """Return what the processes of this server have counted in files, those that have ended too."""
    for _ in range(MOST_READS):
        # A process that starts may not have written the head of its file yet.
        with suppress(struct.error):
            return list(MultiProcessCollector.merge(files))  # type: ignore[no-untyped-call]
        time.sleep(0.01)
    return []


def _processes() -> Iterable[Metric]:
    """Return the metrics ``process_*``, summed over the processes of this server."""
    summed: dict[str, Metric] = {}
    pids, shared = Number("process"), shared_numbers.shared
    for pid in filter(None, map(pids.of, range(shared.rows if shared is not None else 0))):
        for family in prometheus.ProcessCollector(pid=partial(int, pid), registry=None).collect():
            if (known := summed.setdefault(family.name, family)) is not family:
                first, other = known.samples[0], family.samples[0]
                together = min if family.name == "process_start_time_seconds" else operator.add
                known.samples[0] = first._replace(value=together(first.value, other.value))
    return summed.values()


def _total(families: Iterable[Metric]) -> int:
    samples = (sample for family in families for sample in family.samples)
    return round(sum(sample.value for sample in samples if sample.name.endswith("_total")))
